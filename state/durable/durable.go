// Package durable keeps what a restarted tend cannot learn from the engine, in a file
// of the data directory or in Postgres. It keeps rows of bytes, and leaves their
// meaning to package state.
package durable

import (
	"context"
	"fmt"
)

// Row is one row of one table.
type Row struct {
	Table, Key string
	// Value is the content; nil deletes the row.
	Value []byte
}

// Store keeps rows. Its methods are called by one goroutine at a time.
type Store interface {
	// Load returns all rows, by table and key. The error is a *DamagedError where the
	// content cannot be used.
	Load(ctx context.Context) ([]Row, error)
	// Commit writes all rows or none. They have reached the disk when it returns nil.
	// After an error nobody knows what was written, and Replace is the way on.
	Commit(ctx context.Context, rows []Row) error
	// Replace has the store hold exactly these rows, all or none as Commit.
	Replace(ctx context.Context, rows []Row) error
	// SetAside moves the content out of the way without deleting it, so that the store
	// is empty, and returns where it is now.
	SetAside(ctx context.Context, reason Damage) (where string, err error)
	Close() error
}

// Damage is why the content of a store cannot be used, as one word.
type Damage string

// The damages.
const (
	Corrupt Damage = "corrupt"
	// Older and Newer: written in a format of another version of tend.
	Older Damage = "older"
	Newer Damage = "newer"
	// Foreign: it is another project's.
	Foreign Damage = "foreign"
)

// DamagedError reports that the content of a store cannot be used.
type DamagedError struct {
	Damage Damage
	// Detail names what was found.
	Detail string
}

func (e *DamagedError) Error() string { return fmt.Sprintf("%s: %s", e.Damage, e.Detail) }

// asideTime is the layout of the instant in the name of content that was set aside.
const asideTime = "20060102T150405.000Z"

// format is the version of the content. Another one is not read, as what is kept helps
// and is never needed.
const format = 1

// checkFormat returns an error where a format cannot be read.
func checkFormat(found int) error {
	switch {
	case found < format:
		return &DamagedError{Damage: Older, Detail: fmt.Sprintf("written in format %d, this tend reads %d", found, format)}
	case found > format:
		return &DamagedError{Damage: Newer, Detail: fmt.Sprintf("written in format %d, this tend reads %d", found, format)}
	}
	return nil
}
