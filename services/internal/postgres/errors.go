package postgres

import (
	"errors"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// UnavailableError reports that the database could not be reached in time. The
// same request may succeed later.
type UnavailableError struct{ Err error }

func (e *UnavailableError) Error() string { return "database unavailable: " + e.Err.Error() }

// Unwrap returns the cause.
func (e *UnavailableError) Unwrap() error { return e.Err }

// Temporary tells callers that trying again later is worthwhile.
func (e *UnavailableError) Temporary() bool { return true }

// UniqueViolation is the SQLSTATE of a duplicate key.
const UniqueViolation = "23505"

// IsCode reports whether err is Postgres' error with the given SQLSTATE.
func IsCode(err error, code string) bool {
	var pgErr *pgconn.PgError
	return errors.As(err, &pgErr) && pgErr.Code == code
}

// unavailable reports whether err comes from a database that is away, starting
// or stopping, rather than from the statement. Codes: appendix A of Postgres'
// documentation.
//
// Whatever keeps a connection from being made does not come from the statement,
// also where a server refuses it: when several databases are replaced at once, one
// of them may for a moment have the address that another one's name led to.
func unavailable(err error) bool {
	var connectErr *pgconn.ConnectError
	if errors.As(err, &connectErr) {
		return true
	}
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) {
		switch pgErr.Code {
		case "57P01", "57P02", "57P03", // shutting down, crashed, cannot connect now
			"25P03", // this process stood still in the middle of the transaction
			"53300": // too many connections
			return true
		}
		return strings.HasPrefix(pgErr.Code, "08") // connection exceptions
	}
	var netErr net.Error
	return pgconn.SafeToRetry(err) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.As(err, &netErr) && !netErr.Timeout()
}
