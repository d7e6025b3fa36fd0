package testenv

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"
)

// Gate stops the first statement of a kind in a database, so that whoever sent it can be
// killed there.
type Gate struct {
	postgres *Postgres
	database string
	table    string
	held     *pgx.Conn
}

// gateLock is the key of the lock that the stopped statement waits for.
const gateLock = 4711

// CloseGate stops the first row that when describes, the part of CREATE TRIGGER between its
// name and the table, such as "BEFORE INSERT", for which condition holds.
func (p *Postgres) CloseGate(t testing.TB, database, when, table, condition string) *Gate {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), p.URL(database))
	if err != nil {
		t.Fatal(err)
	}
	g := &Gate{postgres: p, database: database, table: table, held: conn}
	constraint, deferred := "", ""
	if when == "ON COMMIT OF DELETE" {
		constraint, when, deferred = "CONSTRAINT", "AFTER DELETE", "DEFERRABLE INITIALLY DEFERRED"
	}
	// The function has its owner's rights: a service's role may not use the sequence.
	_, err = conn.Exec(t.Context(), fmt.Sprintf(`
		SELECT pg_advisory_lock(%[1]d);
		CREATE SEQUENCE gate_hits;
		CREATE FUNCTION gate() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
		BEGIN
			IF nextval('public.gate_hits') = 1 THEN
				PERFORM pg_advisory_xact_lock(%[1]d);
			END IF;
			RETURN coalesce(NEW, OLD);
		END $$;
		CREATE %[2]s TRIGGER gate %[3]s ON %[4]s %[5]s FOR EACH ROW WHEN (%[6]s) EXECUTE FUNCTION gate();`,
		gateLock, constraint, when, table, deferred, condition))
	if err != nil {
		t.Fatal(err)
	}
	return g
}

const stopped = `FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND objid = 4711
	AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`

// AwaitStopped returns when a statement is stopped.
func (g *Gate) AwaitStopped(t testing.TB) {
	t.Helper()
	Await(t, "a statement comes to the gate at "+g.table, func() error {
		var found bool
		err := g.held.QueryRow(t.Context(), `SELECT EXISTS (SELECT `+stopped+`)`).Scan(&found)
		if err == nil && !found {
			err = errors.New("none yet")
		}
		return err
	})
}

// Open removes the gate. The transaction that was stopped is rolled back: whoever began it
// is dead.
func (g *Gate) Open(t testing.TB) {
	t.Helper()
	for _, statement := range []string{
		`SELECT pg_terminate_backend(pid) ` + stopped,
		`SELECT pg_advisory_unlock_all()`,
		`DROP TRIGGER gate ON ` + g.table, `DROP FUNCTION gate`, `DROP SEQUENCE gate_hits`,
	} {
		if _, err := g.held.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	if err := g.held.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
}
