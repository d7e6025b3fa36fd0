package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/state/durable"
)

// The variables that name the database where no flag does.
const (
	databaseEnv     = "TEND_DATABASE_URL"
	databaseFileEnv = "TEND_DATABASE_URL_FILE"
)

// standByEvery is how often a process that stands by asks whether it may act.
const standByEvery = 500 * time.Millisecond

// right is that of this process to act on a project, and where it keeps what
// is to survive it.
type right struct {
	lock  *durable.Lock
	lease *durable.PostgresLease // nil without a database
	pool  *pgxpool.Pool          // likewise
	store durable.Store
}

// take takes the right to act. The error is a *durable.HeldError where another
// process has it.
func (f *flags) take(ctx context.Context, p *spec.Project) (*right, error) {
	url, err := f.database()
	if err != nil {
		return nil, err
	}
	r := &right{}
	if r.lock, err = durable.TakeLock(f.data(p)); err != nil {
		return nil, err
	}
	r.store = durable.NewFile(f.data(p), p.Name)
	if url == "" {
		return r, nil
	}
	if r.pool, err = durable.Connect(ctx, url); err == nil {
		r.lease, err = durable.TakeLease(ctx, r.pool, p.Name)
	}
	if err != nil {
		return nil, errors.Join(err, r.Release())
	}
	r.store = durable.NewPostgres(r.lease)
	return r, nil
}

// Check implements durable.Lease.
func (r *right) Check() error {
	if r.lease != nil {
		if err := r.lease.Check(); err != nil {
			return err
		}
	}
	return r.lock.Check()
}

// Release implements durable.Lease.
func (r *right) Release() error {
	var errs []error
	if r.lease != nil {
		errs = append(errs, r.lease.Release())
	}
	if r.pool != nil {
		r.pool.Close()
	}
	return errors.Join(append(errs, r.lock.Release())...)
}

// standBy takes the right to act as soon as no other process has it, and says
// what it waits for.
func (f *flags) standBy(ctx context.Context, p *spec.Project, tell *narrator) (*right, error) {
	said := ""
	for {
		r, err := f.take(ctx, p)
		text := ""
		held, unreachable := new(durable.HeldError), new(durable.UnreachableError)
		switch {
		case err == nil:
			return r, nil
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case errors.As(err, &held):
			text = fmt.Sprintf("standing by: %s keeps project %s; this one takes over when that one has ended", held.Holder, p.Name)
		case errors.As(err, &unreachable):
			text = fmt.Sprintf("standing by: without the database nobody knows whether another tend keeps project %s: %v", p.Name, err)
		default:
			return nil, err
		}
		if text != said {
			tell.say("%s", text)
			said = text
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(standByEvery):
		}
	}
}

// database is the URL of the database for tend's own state, or nothing.
func (f *flags) database() (string, error) {
	if f.databaseURL != "" {
		return f.databaseURL, nil
	}
	if path := os.Getenv(databaseFileEnv); path != "" {
		content, err := os.ReadFile(path) //nolint:gosec // whoever runs tend names it
		if err != nil {
			return "", fmt.Errorf("%s: %w", databaseFileEnv, err)
		}
		return strings.TrimSpace(string(content)), nil
	}
	return os.Getenv(databaseEnv), nil
}
