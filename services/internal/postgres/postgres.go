// Package postgres gives a service its database: a pool that outlives the
// database's restarts, transactions that are repeated when that is safe, and
// migrations.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tendhq/tend/services/internal/config"
	"github.com/tendhq/tend/services/internal/metrics"
)

const (
	connectTimeout = 2 * time.Second
	pingTimeout    = time.Second
	maxConns       = 10
	// idleTime is short, so that many replicas at rest leave the server's
	// connections to those at work.
	idleTime = time.Minute
	// patience is how long an operation waits for a database that is away. A
	// restart for a minor update takes less, so that no request fails of it.
	patience = 8 * time.Second
	// statementTimeout ends, in the server, what a replica that hangs or has been
	// cut off no longer waits for.
	statementTimeout = 10 * time.Second
	// idleInTransaction takes back the locks of a replica that hangs in the middle
	// of a transaction, well within the patience of those who wait for them.
	idleInTransaction = 3 * time.Second
)

// Config says where the database is. A Host that begins with a slash is the
// directory of a Unix socket.
type Config struct {
	Host, Name, User, Password string
	Port                       int
}

// ConfigFromEnv reads DB_HOST, DB_PORT, DB_NAME, DB_USER and DB_PASSWORD_FILE.
func ConfigFromEnv(env *config.Env) Config {
	return Config{
		Host:     env.Required("DB_HOST"),
		Port:     env.Port("DB_PORT", 5432),
		Name:     env.Required("DB_NAME"),
		User:     env.Required("DB_USER"),
		Password: env.Secret("DB_PASSWORD_FILE"),
	}
}

// connString returns the configuration in libpq's keyword form. TLS is off: the
// database is reached over a network of the project's own.
func (c Config) connString() string {
	quote := strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace
	return fmt.Sprintf("host='%s' port=%d dbname='%s' user='%s' password='%s' sslmode=disable",
		quote(c.Host), c.Port, quote(c.Name), quote(c.User), quote(c.Password))
}

// DB is a pool of connections. Its methods may be called concurrently.
type DB struct {
	pool *pgxpool.Pool
}

// Open returns a DB without connecting: the database need not be there yet.
// The caller closes it.
func Open(cfg Config, m *metrics.Metrics) (*DB, error) {
	poolConfig, err := pgxpool.ParseConfig(cfg.connString())
	if err != nil {
		return nil, fmt.Errorf("database configuration: %w", err)
	}
	poolConfig.MaxConns = maxConns
	poolConfig.MaxConnIdleTime = idleTime
	poolConfig.PingTimeout = pingTimeout
	poolConfig.ConnConfig.ConnectTimeout = connectTimeout
	poolConfig.ConnConfig.RuntimeParams["statement_timeout"] = milliseconds(statementTimeout)
	poolConfig.ConnConfig.RuntimeParams["idle_in_transaction_session_timeout"] = milliseconds(idleInTransaction)
	poolConfig.ConnConfig.Tracer = tracer{metrics: m, database: cfg.Name}
	// A background context: connecting happens later, on demand.
	pool, err := pgxpool.NewWithConfig(context.Background(), poolConfig)
	if err != nil {
		return nil, fmt.Errorf("database pool: %w", err)
	}
	m.Registerer.MustRegister(poolCollector{pool})
	return &DB{pool: pool}, nil
}

func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

// Close waits for connections in use and closes all.
func (db *DB) Close() {
	db.pool.Close()
}

// Ping makes a round trip to the database.
func (db *DB) Ping(ctx context.Context) error {
	return db.pool.Ping(ctx)
}

// Querier is what Read gives to its function.
type Querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// Read runs fn, which must only read, and runs it again while the database is
// away, within the package's patience.
func (db *DB) Read(ctx context.Context, fn func(context.Context, Querier) error) error {
	return retry(ctx, func(ctx context.Context) error { return fn(ctx, db.pool) })
}

// Write runs fn in a transaction that is committed when fn returns nil. While
// the database is away it starts anew, within the package's patience; so fn must
// have no effect but through its transaction. A commit that was sent is never
// repeated, as its outcome is unknown: callers who need exactly-once store an
// idempotency key in the transaction.
func (db *DB) Write(ctx context.Context, fn func(context.Context, pgx.Tx) error) error {
	return retry(ctx, func(ctx context.Context) error {
		tx, err := db.pool.Begin(ctx)
		if err != nil {
			return err
		}
		if err := fn(ctx, tx); err != nil {
			// The error to report is fn's; a rollback that fails closes the connection.
			_ = tx.Rollback(ctx)
			return err
		}
		if err := tx.Commit(ctx); err != nil {
			return backoff.Permanent(fmt.Errorf("commit: %w", err))
		}
		return nil
	})
}

func retry(ctx context.Context, fn func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	policy := backoff.NewExponentialBackOff()
	policy.InitialInterval = 50 * time.Millisecond
	policy.MaxInterval = 500 * time.Millisecond
	var cause error
	_, err := backoff.Retry(ctx, func() (struct{}, error) {
		err := fn(ctx)
		if cause == nil || ctx.Err() == nil {
			// Once time is up, the error met before says more than "deadline exceeded".
			cause = err
		}
		if !unavailable(err) {
			err = backoff.Permanent(err)
		}
		return struct{}{}, err
	}, backoff.WithBackOff(policy), backoff.WithMaxElapsedTime(0))
	if err == nil {
		return nil
	}
	if unavailable(cause) || errors.Is(cause, context.DeadlineExceeded) {
		return &UnavailableError{Err: cause}
	}
	return cause
}
