package main

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
)

// A connection that breaks is what is to happen here.
func init() {
	_ = mysql.SetLogger(new(mysql.NopLogger))
	redis.SetLogger(new(logging.VoidLogger))
}

// callTimeout bounds a call to a store.
const callTimeout = 5 * time.Second

// store is a connection to one that runs in a container.
type store interface {
	// add has a row on the disk when it returns no error.
	add(ctx context.Context, n int) error
	// rows reads all rows back. damage names what is wrong with them, or with the
	// structures that lead to them.
	rows(ctx context.Context) (found map[int]bool, damage []string, err error)
	close()
}

// connect opens a connection to a store at an address of its container.
func connect(ctx context.Context, kind, address string) (store, error) {
	switch kind {
	case "postgres":
		return openSQL(ctx, "pgx", "postgres://postgres:secret@"+address+":5432/postgres?sslmode=disable", postgresDialect)
	case "mariadb":
		return openSQL(ctx, "mysql", "root:secret@tcp("+address+":3306)/app?timeout=5s", mariadbDialect)
	case "redis":
		s := redisStore{redis.NewClient(&redis.Options{Addr: address + ":6379", MaxRetries: -1, DialerRetries: 1, PoolSize: 1, DisableIdentity: true})}
		return opened(s, s.Ping(ctx).Err())
	default:
		s := fileStore{"http://" + address + ":8080", &http.Client{Transport: &http.Transport{}}}
		return opened(s, s.call(ctx, http.MethodGet, "/health", http.StatusOK))
	}
}

// opened is a connection over which a first call was made, unless that has failed.
func opened(s store, err error) (store, error) {
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// dialect has the differences between two databases.
type dialect struct {
	create, insert string
	// seqscan keeps the rows from being read through an index, which may hold what
	// the table has lost.
	seqscan, read string
	check         func(ctx context.Context, c *sql.Conn) ([]string, error)
}

var postgresDialect = dialect{
	create:  "CREATE TABLE IF NOT EXISTS numbered (n bigint PRIMARY KEY, filler text NOT NULL)",
	insert:  "INSERT INTO numbered VALUES ($1, repeat('x', 100))",
	seqscan: "SET enable_indexscan = off; SET enable_indexonlyscan = off; SET enable_bitmapscan = off",
	read:    "SELECT n FROM numbered",
	check:   checkPostgres,
}

var mariadbDialect = dialect{
	create:  "CREATE TABLE IF NOT EXISTS numbered (n bigint PRIMARY KEY, filler varchar(200) NOT NULL) ENGINE=InnoDB",
	insert:  "INSERT INTO numbered VALUES (?, repeat('x', 100))",
	seqscan: "DO 0",
	read:    "SELECT n FROM numbered",
	check:   checkMariaDB,
}

type sqlStore struct {
	db *sql.DB
	*sql.Conn
	dialect
}

func openSQL(ctx context.Context, driver, source string, d dialect) (store, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	db, err := sql.Open(driver, source)
	if err != nil {
		return nil, err
	}
	c, err := db.Conn(ctx)
	if err == nil {
		_, err = c.ExecContext(ctx, d.create)
	}
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return sqlStore{db, c, d}, nil
}

func (s sqlStore) add(ctx context.Context, n int) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	_, err := s.ExecContext(ctx, s.insert, n)
	return err
}

func (s sqlStore) rows(ctx context.Context) (map[int]bool, []string, error) {
	if _, err := s.ExecContext(ctx, s.seqscan); err != nil {
		return nil, nil, err
	}
	all, err := s.QueryContext(ctx, s.read)
	if err != nil {
		return nil, nil, err
	}
	defer all.Close()
	found, damage := map[int]bool{}, []string(nil)
	for all.Next() {
		var n int
		if err := all.Scan(&n); err != nil {
			return nil, nil, err
		}
		if found[n] {
			damage = append(damage, fmt.Sprintf("row %d is there twice", n))
		}
		found[n] = true
	}
	if err := all.Err(); err != nil {
		return found, append(damage, err.Error()), nil
	}
	more, err := s.check(ctx, s.Conn)
	return found, append(damage, more...), err
}

func (s sqlStore) close() { _, _ = s.Conn.Close(), s.db.Close() }

// checkPostgres looks at every index and table that may have been written to,
// the catalogues included, and builds the index of the rows anew.
func checkPostgres(ctx context.Context, c *sql.Conn) (damage []string, err error) {
	for _, statement := range []string{
		"CREATE EXTENSION IF NOT EXISTS amcheck",
		`SELECT bt_index_check(c.oid, true) FROM pg_class c JOIN pg_am a ON a.oid = c.relam JOIN pg_index i ON i.indexrelid = c.oid
			WHERE a.amname = 'btree' AND c.relpersistence = 'p' AND i.indisready AND i.indisvalid`,
		"REINDEX TABLE numbered",
	} {
		if _, err := c.ExecContext(ctx, statement); err != nil {
			damage = append(damage, err.Error())
		}
	}
	return append(damage, queryText(ctx, c, "SELECT msg FROM verify_heapam('numbered')")...), nil
}

func checkMariaDB(ctx context.Context, c *sql.Conn) ([]string, error) {
	all, err := c.QueryContext(ctx, "CHECK TABLE numbered EXTENDED")
	if err != nil {
		return nil, err
	}
	defer all.Close()
	var damage []string
	for all.Next() {
		var table, operation, kind, text string
		if err := all.Scan(&table, &operation, &kind, &text); err != nil {
			return nil, err
		}
		if text != "OK" {
			damage = append(damage, kind+": "+text)
		}
	}
	return damage, all.Err()
}

// queryText returns the values of a query's only column, and its error as one.
func queryText(ctx context.Context, c *sql.Conn, query string) (values []string) {
	all, err := c.QueryContext(ctx, query)
	if err != nil {
		return []string{err.Error()}
	}
	defer all.Close()
	for all.Next() {
		var value string
		if err := all.Scan(&value); err != nil {
			return append(values, err.Error())
		}
		values = append(values, value)
	}
	if err := all.Err(); err != nil {
		values = append(values, err.Error())
	}
	return values
}

type redisStore struct{ *redis.Client }

const redisPrefix = "row:"

func (s redisStore) add(ctx context.Context, n int) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return s.Set(ctx, redisPrefix+strconv.Itoa(n), n, 0).Err()
}

func (s redisStore) rows(ctx context.Context) (map[int]bool, []string, error) {
	keys, err := s.Keys(ctx, redisPrefix+"*").Result()
	if err != nil {
		return nil, nil, err
	}
	found := map[int]bool{}
	for _, key := range keys {
		n, err := strconv.Atoi(strings.TrimPrefix(key, redisPrefix))
		if err != nil {
			return nil, nil, err
		}
		found[n] = true
	}
	info, err := s.Info(ctx, "persistence").Result()
	if err != nil {
		return nil, nil, err
	}
	var damage []string
	if !strings.Contains(info, "aof_last_write_status:ok") {
		damage = append(damage, "the append-only file cannot be written to")
	}
	return found, damage, nil
}

func (s redisStore) close() { _ = s.Close() }

// fileStore is the program probe with DATA.
type fileStore struct {
	url    string
	client *http.Client
}

func (s fileStore) add(ctx context.Context, n int) error {
	return s.call(ctx, http.MethodPost, "/rows/"+strconv.Itoa(n), http.StatusNoContent)
}

// call makes a request, and returns only the status.
func (s fileStore) call(ctx context.Context, method, path string, want int) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, s.url+path, nil)
	if err != nil {
		return err
	}
	answer, err := s.client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != want {
		return errors.New(answer.Status)
	}
	return nil
}

func (s fileStore) rows(ctx context.Context) (map[int]bool, []string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/rows", nil)
	if err != nil {
		return nil, nil, err
	}
	answer, err := s.client.Do(request)
	if err != nil {
		return nil, nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, nil, errors.New(answer.Status)
	}
	found, damage := map[int]bool{}, []string(nil)
	lines := bufio.NewScanner(answer.Body)
	for lines.Scan() {
		n, err := strconv.Atoi(lines.Text())
		switch {
		case err != nil:
			damage = append(damage, "a record is "+lines.Text())
		case found[n]:
			damage = append(damage, fmt.Sprintf("row %d is there twice", n))
		}
		if err == nil {
			found[n] = true
		}
	}
	return found, damage, lines.Err()
}

func (s fileStore) close() { s.client.CloseIdleConnections() }
