package postgres

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
	"go.uber.org/zap"
)

// Migrate brings the schema up to the newest of the goose migrations in the
// folder migrations of files. A session-level advisory lock makes replicas that
// start together take turns. A migration may take as long as it needs, so the
// connections are not those of the pool.
func (db *DB) Migrate(ctx context.Context, files fs.FS, log *zap.Logger) (err error) {
	migrations, err := fs.Sub(files, "migrations")
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 300), lock.WithUnlockTimeout(1, 5))
	if err != nil {
		return fmt.Errorf("migration lock: %w", err)
	}
	config := db.pool.Config().ConnConfig
	delete(config.RuntimeParams, "statement_timeout")
	delete(config.RuntimeParams, "idle_in_transaction_session_timeout")
	sqlDB := stdlib.OpenDB(*config)
	provider, err := goose.NewProvider(goose.DialectPostgres, sqlDB, migrations, goose.WithSessionLocker(locker))
	if err != nil {
		return errors.Join(fmt.Errorf("read migrations: %w", err), sqlDB.Close())
	}
	// Closing the provider closes sqlDB.
	defer func() { err = errors.Join(err, provider.Close()) }()
	results, err := provider.Up(ctx)
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	for _, result := range results {
		log.Info("migration applied", zap.Int64("migration", result.Source.Version), zap.Duration("duration", result.Duration))
	}
	return nil
}

// MigrateWhenAvailable calls Migrate until it succeeds or ctx ends. It does not
// give up on any error: a database that is being initialised refuses passwords
// and lacks databases for a while.
func (db *DB) MigrateWhenAvailable(ctx context.Context, files fs.FS, log *zap.Logger) error {
	policy := backoff.NewExponentialBackOff()
	policy.InitialInterval = 100 * time.Millisecond
	policy.MaxInterval = 2 * time.Second
	_, err := backoff.Retry(ctx, func() (struct{}, error) {
		return struct{}{}, db.Migrate(ctx, files, log)
	}, backoff.WithBackOff(policy), backoff.WithMaxElapsedTime(0),
		backoff.WithNotify(func(err error, wait time.Duration) {
			log.Warn("database not ready", zap.Error(err), zap.Duration("retryIn", wait))
		}))
	return err
}
