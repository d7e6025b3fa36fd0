package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tendhq/tend/state/durable"
)

// standByEvery is how often a process that stands by asks whether it may act.
const standByEvery = 500 * time.Millisecond

// Right is a process's permission to act on a project. It also holds the store of the
// state that survives the process.
type Right struct {
	lock  *durable.Lock
	lease *durable.PostgresLease // nil without a database
	pool  *pgxpool.Pool          // likewise
	store durable.Store
}

// TakeRight takes the right to act on a project. The error is a *durable.HeldError
// where another process has it.
func TakeRight(ctx context.Context, dataDir, project, databaseURL string) (*Right, error) {
	lock, err := durable.TakeLock(dataDir)
	if err != nil {
		return nil, err
	}
	r := &Right{lock: lock}
	r.store = durable.NewFile(dataDir, project)
	if databaseURL == "" {
		return r, nil
	}
	if r.pool, err = durable.Connect(ctx, databaseURL); err == nil {
		r.lease, err = durable.TakeLease(ctx, r.pool, project)
	}
	if err != nil {
		return nil, errors.Join(err, r.Release())
	}
	r.store = durable.NewPostgres(r.lease)
	return r, nil
}

// Check implements durable.Lease.
func (r *Right) Check() error {
	if r.lease != nil {
		if err := r.lease.Check(); err != nil {
			return err
		}
	}
	return r.lock.Check()
}

// Release implements durable.Lease.
func (r *Right) Release() error {
	var errs []error
	if r.lease != nil {
		errs = append(errs, r.lease.Release())
	}
	if r.pool != nil {
		r.pool.Close()
	}
	return errors.Join(append(errs, r.lock.Release())...)
}

// standBy takes the right to act as soon as no other process has it, and tells a person
// what it waits for.
func standBy(ctx context.Context, o Options) (*Right, error) {
	project, said := o.Project.Name, ""
	for {
		r, err := TakeRight(ctx, o.DataDir, project, o.DatabaseURL)
		text := ""
		held, unreachable := new(durable.HeldError), new(durable.UnreachableError)
		switch {
		case err == nil:
			return r, nil
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case errors.As(err, &held):
			text = fmt.Sprintf("standing by: %s keeps project %s; this one takes over when that one has ended", held.Holder, project)
		case errors.As(err, &unreachable):
			text = fmt.Sprintf("standing by: without the database nobody knows whether another tend keeps project %s: %v", project, err)
		default:
			return nil, err
		}
		if text != said {
			o.Say("%s", text)
			said = text
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(standByEvery):
		}
	}
}
