package durable

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	// connectTimeout and statementTimeout bound how long a database that does not
	// answer can hold tend up. The second one holds on the server, too, for a statement
	// that a frozen process leaves behind.
	connectTimeout   = 3 * time.Second
	statementTimeout = 4 * time.Second
)

// schema is made by the first process. Keys hold the project's name: two projects of
// one name are one project.
const schema = `
CREATE TABLE IF NOT EXISTS tend_leases (
	project text PRIMARY KEY,
	holder  text NOT NULL,
	token   bigint NOT NULL,
	expires timestamptz NOT NULL
);
CREATE TABLE IF NOT EXISTS tend_rows (
	project text NOT NULL,
	"table" text NOT NULL,
	key     text NOT NULL,
	format  int NOT NULL,
	value   bytea NOT NULL,
	PRIMARY KEY (project, "table", key)
)`

// schemaLock is an arbitrary number; it keeps two first processes from making the
// schema at once.
const schemaLock = 7036360431

// UnreachableError reports that the database does not answer as it should.
type UnreachableError struct{ Err error }

func (e *UnreachableError) Error() string {
	return fmt.Sprintf("the database of tend's state: %v", e.Err)
}
func (e *UnreachableError) Unwrap() error { return e.Err }

// Connect connects to a Postgres database, and makes tend's tables where they
// are missing. Its errors name no password.
func Connect(ctx context.Context, url string) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("the database's URL: %w", err)
	}
	config.MaxConns = 3 // a commit, a renewal, and one to spare
	config.ConnConfig.ConnectTimeout = connectTimeout
	milliseconds := fmt.Sprint(statementTimeout.Milliseconds())
	for name, value := range map[string]string{
		"application_name": "tend", "statement_timeout": milliseconds, "idle_in_transaction_session_timeout": milliseconds,
	} {
		config.ConnConfig.RuntimeParams[name] = value
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("the database's URL: %w", err)
	}
	err = pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		var exist bool
		if err := tx.QueryRow(ctx, `SELECT to_regclass('tend_leases') IS NOT NULL AND to_regclass('tend_rows') IS NOT NULL`).Scan(&exist); err != nil || exist {
			return err
		}
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, int64(schemaLock)); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, schema)
		return err
	})
	if err != nil {
		pool.Close()
		return nil, &UnreachableError{Err: err}
	}
	return pool, nil
}

// Postgres is a Store in a Postgres database. It writes only while a
// PostgresLease is held: the lease is checked in the statement that writes.
type Postgres struct {
	pool    *pgxpool.Pool
	project string
	token   int64
}

// NewPostgres makes a store for the holder of a lease. Closing it leaves the
// pool open.
func NewPostgres(l *PostgresLease) *Postgres {
	return &Postgres{pool: l.pool, project: l.project, token: l.token}
}

// Load implements Store.
func (p *Postgres) Load(ctx context.Context) ([]Row, error) {
	found, err := p.pool.Query(ctx, `SELECT "table", key, value, format FROM tend_rows WHERE project = $1 ORDER BY "table", key`, p.project)
	if err != nil {
		return nil, err
	}
	type versioned struct {
		Row
		Format int
	}
	all, err := pgx.CollectRows(found, pgx.RowToStructByPos[versioned])
	if err != nil {
		return nil, err
	}
	rows := make([]Row, len(all))
	for i, v := range all {
		if err := checkFormat(v.Format); err != nil {
			return nil, err
		}
		rows[i] = v.Row
	}
	return rows, nil
}

// write is one statement, so that a process that is frozen within it holds nothing up.
// Where $3 is true, the rows that are not named are deleted.
const write = `
WITH lease AS (
	SELECT FROM tend_leases WHERE project = $1 AND token = $2 FOR SHARE
), named AS (
	SELECT * FROM unnest($4::text[], $5::text[], $6::bytea[]) AS n("table", key, value)
), deleted AS (
	DELETE FROM tend_rows r USING lease
	WHERE r.project = $1 AND CASE WHEN $3
		THEN NOT EXISTS (SELECT FROM named n WHERE (n."table", n.key) = (r."table", r.key) AND n.value IS NOT NULL)
		ELSE EXISTS (SELECT FROM named n WHERE (n."table", n.key) = (r."table", r.key) AND n.value IS NULL)
	END
), put AS (
	INSERT INTO tend_rows (project, "table", key, format, value)
	SELECT $1, n."table", n.key, $7, n.value FROM lease, named n WHERE n.value IS NOT NULL
	ON CONFLICT (project, "table", key) DO UPDATE SET format = excluded.format, value = excluded.value
)
SELECT count(*) FROM lease`

// Commit implements Store.
func (p *Postgres) Commit(ctx context.Context, rows []Row) error { return p.write(ctx, false, rows) }

// Replace implements Store.
func (p *Postgres) Replace(ctx context.Context, rows []Row) error { return p.write(ctx, true, rows) }

func (p *Postgres) write(ctx context.Context, all bool, rows []Row) error {
	tables, keys, values := make([]string, len(rows)), make([]string, len(rows)), make([][]byte, len(rows))
	for i, r := range rows {
		tables[i], keys[i], values[i] = r.Table, r.Key, r.Value
	}
	held := 0
	if err := p.pool.QueryRow(ctx, write, p.project, p.token, all, tables, keys, values, format).Scan(&held); err != nil {
		return err
	}
	if held == 0 {
		return fmt.Errorf("%w: another tend has taken the lease", ErrLost)
	}
	return nil
}

// SetAside implements Store: the rows get another project's name.
func (p *Postgres) SetAside(ctx context.Context, reason Damage) (string, error) {
	aside := fmt.Sprintf("%s.%s-%s", p.project, reason, time.Now().UTC().Format(asideTime))
	if _, err := p.pool.Exec(ctx, `UPDATE tend_rows SET project = $2 WHERE project = $1`, p.project, aside); err != nil {
		return "", fmt.Errorf("move the state aside: %w", err)
	}
	return fmt.Sprintf("the rows of project %q in tend_rows", aside), nil
}

// Close implements Store.
func (p *Postgres) Close() error { return nil }
