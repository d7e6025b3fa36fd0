package durable

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	// leaseTime is how long a lease lasts without a renewal, by the server's clock.
	leaseTime = 6 * time.Second
	// leaseMargin is how much earlier its holder stops acting, by its own clock. It
	// leaves time for a call that is on its way to the engine.
	leaseMargin = 2 * time.Second
	// renewEvery and renewRetry pace the renewals, and the tries of one that fails.
	renewEvery = 1500 * time.Millisecond
	renewRetry = 250 * time.Millisecond
)

// PostgresLease is the Lease of a project in a database. It has to be renewed:
// when its holder is dead, frozen or cut off, another one can take it.
type PostgresLease struct {
	pool    *pgxpool.Pool
	project string
	// token grows with each holder. A write with an older one is refused.
	token int64
	// until is when the right ends, by the clock of bootTime.
	until   atomic.Int64
	stop    context.CancelFunc
	renewed sync.WaitGroup
}

// TakeLease takes the lease of a project and renews it until it is released or
// lost. The error is a *HeldError where another process has it.
func TakeLease(ctx context.Context, pool *pgxpool.Pool, project string) (*PostgresLease, error) {
	l := &PostgresLease{pool: pool, project: project}
	asked := bootTime()
	err := pool.QueryRow(ctx, `
		INSERT INTO tend_leases AS l (project, holder, token, expires) VALUES ($1, $2, 1, clock_timestamp() + $3::interval)
		ON CONFLICT (project) DO UPDATE SET holder = excluded.holder, token = l.token + 1, expires = excluded.expires
		WHERE l.expires <= clock_timestamp()
		RETURNING token`, project, Self(), leaseTime).Scan(&l.token)
	if errors.Is(err, pgx.ErrNoRows) {
		var holder string
		if err := pool.QueryRow(ctx, `SELECT holder FROM tend_leases WHERE project = $1`, project).Scan(&holder); err != nil {
			return nil, &UnreachableError{Err: err}
		}
		return nil, &HeldError{Holder: holder, Elsewhere: true}
	}
	if err != nil {
		return nil, &UnreachableError{Err: err}
	}
	l.extend(asked)
	ctx, l.stop = context.WithCancel(context.WithoutCancel(ctx))
	l.renewed.Go(func() { l.renew(ctx) })
	return l, nil
}

// extend moves the end of the right. It counts from before the server was asked, so
// that the lease never ends for others before it ends here.
func (l *PostgresLease) extend(asked time.Duration) {
	l.until.Store(int64(asked + leaseTime - leaseMargin))
}

// renew renews the lease until ctx ends or it is lost.
func (l *PostgresLease) renew(ctx context.Context) {
	wait := renewEvery
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		left := time.Duration(l.until.Load()) - bootTime()
		if left <= 0 {
			return
		}
		asked := bootTime()
		trying, cancel := context.WithTimeout(ctx, left)
		done, err := l.pool.Exec(trying, `UPDATE tend_leases SET expires = clock_timestamp() + $3::interval WHERE project = $1 AND token = $2`, l.project, l.token, leaseTime)
		cancel()
		switch {
		case err != nil:
			wait = renewRetry
		case done.RowsAffected() == 0:
			l.until.Store(0)
			return
		default:
			l.extend(asked)
			wait = renewEvery
		}
	}
}

// Check implements Lease. It asks no server: the time has passed, or not.
func (l *PostgresLease) Check() error {
	if int64(bootTime()) >= l.until.Load() {
		return fmt.Errorf("%w: the lease in Postgres could not be renewed in time, or was taken by another tend", ErrLost)
	}
	return nil
}

// Release implements Lease: a process that waits can take it at once.
func (l *PostgresLease) Release() error {
	l.stop()
	l.renewed.Wait()
	l.until.Store(0)
	ctx, cancel := context.WithTimeout(context.Background(), statementTimeout)
	defer cancel()
	_, err := l.pool.Exec(ctx, `UPDATE tend_leases SET expires = '-infinity' WHERE project = $1 AND token = $2`, l.project, l.token)
	return err
}
