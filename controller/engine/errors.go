package engine

import (
	"errors"
	"fmt"
	"time"
)

// Class tells a caller what a failed call means.
type Class int

// The classes of errors.
const (
	// Unknown: the reply was lost, or the engine failed. The request may have been
	// carried out, or may be yet; only an inspect or a list tells.
	Unknown Class = iota
	// Unavailable: the engine cannot be reached; nothing was done.
	Unavailable
	// NotFound: the object named does not exist; nothing was done.
	NotFound
	// Conflict: the object's state forbids it, or a name is taken.
	Conflict
	// Invalid: the engine will never accept this request.
	Invalid
	// Exhausted: a host port is taken, the disk is full, or a limit is reached.
	Exhausted
)

func (c Class) String() string {
	switch c {
	case Unavailable:
		return "unavailable"
	case NotFound:
		return "not found"
	case Conflict:
		return "conflict"
	case Invalid:
		return "invalid"
	case Exhausted:
		return "exhausted"
	default:
		return "unknown"
	}
}

// Error is a failed call to an engine.
type Error struct {
	// Op is the request, as "create container".
	Op string
	// Object is the name or ID of its object.
	Object string
	Class  Class
	Err    error
	// RetryAfter is how long a registry has asked to be left alone; 0 where it has not.
	RetryAfter time.Duration
}

func (e *Error) Error() string {
	if e.Object == "" {
		return fmt.Sprintf("%s: %v", e.Op, e.Err)
	}
	return fmt.Sprintf("%s %s: %v", e.Op, e.Object, e.Err)
}

func (e *Error) Unwrap() error { return e.Err }

// RetryAfterOf is how long an error says to wait before the next try; 0 where it does not.
func RetryAfterOf(err error) time.Duration {
	var e *Error
	if errors.As(err, &e) {
		return e.RetryAfter
	}
	return 0
}

// ClassOf is the class of an error; Unknown where it is not an *Error.
func ClassOf(err error) Class {
	var e *Error
	if errors.As(err, &e) {
		return e.Class
	}
	return Unknown
}
