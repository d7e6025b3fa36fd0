package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/jackc/pgx/v5"
	"go.uber.org/zap"

	"github.com/tendhq/tend/services/internal/config"
	"github.com/tendhq/tend/services/internal/metrics"
	"github.com/tendhq/tend/services/internal/postgres"
	"github.com/tendhq/tend/services/internal/testenv"
)

func TestMain(m *testing.M) { os.Exit(testenv.Run(m)) }

func open(t *testing.T, database string) *postgres.DB {
	t.Helper()
	pg := testenv.SharedPostgres(t)
	db, err := postgres.Open(postgres.Config{Host: pg.Dir, Port: 5432, Name: database, User: "postgres", Password: testenv.Password}, metrics.New("test"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	return db
}

var migrations = fstest.MapFS{"migrations/00001_counters.sql": {Data: []byte(`-- +goose Up
CREATE TABLE counters (name text PRIMARY KEY, value integer NOT NULL);
INSERT INTO counters VALUES ('runs', 1);`)}}

func count(ctx context.Context, db *postgres.DB) (value int, err error) {
	err = db.Read(ctx, func(ctx context.Context, q postgres.Querier) error {
		return q.QueryRow(ctx, `SELECT value FROM counters`).Scan(&value)
	})
	return value, err
}

func increment(ctx context.Context, tx pgx.Tx) error {
	_, err := tx.Exec(ctx, `UPDATE counters SET value = value + 1`)
	return err
}

func TestReplicasThatMigrateTogetherTakeTurns(t *testing.T) {
	name := testenv.SharedPostgres(t).NewDatabase(t)
	var group sync.WaitGroup
	for range 4 {
		db := open(t, name)
		group.Go(func() {
			if err := db.Migrate(t.Context(), migrations, zap.NewNop()); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if got, err := count(t.Context(), open(t, name)); err != nil || got != 1 {
		t.Errorf("count = %d, %v, want 1", got, err)
	}
}

func TestMigrationWaitsForADatabaseThatIsNotThereYet(t *testing.T) {
	pg := testenv.SharedPostgres(t)
	db := open(t, "later")
	done := make(chan error, 1)
	go func() { done <- db.MigrateWhenAvailable(t.Context(), migrations, zap.NewNop()) }()
	if err := db.Ping(t.Context()); err == nil {
		t.Error("Ping succeeds without a database")
	}
	pg.Exec(t, "postgres", "CREATE DATABASE later")
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// Two databases that are replaced at the same time may exchange their addresses.
func TestAServerThatRefusesTheConnectionIsTriedAgain(t *testing.T) {
	pg := testenv.SharedPostgres(t)
	const name = "made_later"
	db := open(t, name)
	var refused error
	var value int
	err := db.Read(t.Context(), func(ctx context.Context, q postgres.Querier) error {
		err := q.QueryRow(ctx, `SELECT 1`).Scan(&value)
		if err != nil && refused == nil {
			refused = err
			pg.Exec(t, "postgres", "CREATE DATABASE "+name)
		}
		return err
	})
	if err != nil || value != 1 || !postgres.IsCode(refused, "3D000") {
		t.Errorf("%d, %v, after %v", value, err, refused)
	}
}

func TestReadAndWriteOutliveARestart(t *testing.T) {
	pg := testenv.SharedPostgres(t)
	db := open(t, pg.NewDatabase(t))
	if err := db.Migrate(t.Context(), migrations, zap.NewNop()); err != nil {
		t.Fatal(err)
	}
	pg.Stop(t)
	var group sync.WaitGroup
	for range 10 {
		group.Go(func() {
			if err := db.Write(t.Context(), increment); err != nil {
				t.Errorf("write: %v", err)
			}
		})
		group.Go(func() {
			if _, err := count(t.Context(), db); err != nil {
				t.Errorf("read: %v", err)
			}
		})
	}
	pg.Start(t)
	group.Wait()
	if got, err := count(t.Context(), db); err != nil || got != 11 {
		t.Errorf("count = %d, %v, want 11", got, err)
	}
}

func TestATransactionThatMeetsAStopIsRunAnewAsAWhole(t *testing.T) {
	pg := testenv.SharedPostgres(t)
	db := open(t, pg.NewDatabase(t))
	if err := db.Migrate(t.Context(), migrations, zap.NewNop()); err != nil {
		t.Fatal(err)
	}
	runs := 0
	err := db.Write(t.Context(), func(ctx context.Context, tx pgx.Tx) error {
		runs++
		if err := increment(ctx, tx); err != nil {
			return err
		}
		if runs == 1 {
			pg.Stop(t)
			pg.Start(t)
		}
		return increment(ctx, tx)
	})
	if err != nil || runs != 2 {
		t.Errorf("err = %v after %d runs, want 2 runs", err, runs)
	}
	if got, err := count(t.Context(), db); err != nil || got != 3 {
		t.Errorf("count = %d, %v, want 3", got, err)
	}
}

func TestATransactionThatHangsGivesItsLocksBack(t *testing.T) {
	name := testenv.SharedPostgres(t).NewDatabase(t)
	hanging, other := open(t, name), open(t, name)
	if err := other.Migrate(t.Context(), migrations, zap.NewNop()); err != nil {
		t.Fatal(err)
	}
	runs := 0
	err := hanging.Write(t.Context(), func(ctx context.Context, tx pgx.Tx) error {
		runs++
		if err := increment(ctx, tx); err != nil {
			return err
		}
		if runs == 1 { // it stands still until the other is through
			if err := other.Write(t.Context(), increment); err != nil {
				t.Errorf("the other transaction: %v", err)
			}
		}
		return increment(ctx, tx)
	})
	if err != nil || runs != 2 {
		t.Errorf("err = %v after %d runs, want 2 runs", err, runs)
	}
	if got, err := count(t.Context(), other); err != nil || got != 4 {
		t.Errorf("count = %d, %v, want 4", got, err)
	}
}

func TestStatementsHaveATimeoutAndMigrationsNone(t *testing.T) {
	db := open(t, testenv.SharedPostgres(t).NewDatabase(t))
	files := fstest.MapFS{"migrations/00001_settings.sql": {Data: []byte(`-- +goose Up
CREATE TABLE settings AS SELECT current_setting('statement_timeout') || current_setting('idle_in_transaction_session_timeout') AS value;`)}}
	if err := db.Migrate(t.Context(), files, zap.NewNop()); err != nil {
		t.Fatal(err)
	}
	var migration, statement string
	err := db.Read(t.Context(), func(ctx context.Context, q postgres.Querier) error {
		return q.QueryRow(ctx, `SELECT value, current_setting('statement_timeout') FROM settings`).Scan(&migration, &statement)
	})
	if err != nil || migration != "00" || statement != "10s" {
		t.Errorf("time-outs: %q in a migration, %q in a statement, %v; want none and 10s", migration, statement, err)
	}
}

func TestErrorsOfStatementsAreNotRepeated(t *testing.T) {
	db := open(t, testenv.SharedPostgres(t).NewDatabase(t))
	if err := db.Migrate(t.Context(), migrations, zap.NewNop()); err != nil {
		t.Fatal(err)
	}
	runs := 0
	err := db.Write(t.Context(), func(ctx context.Context, tx pgx.Tx) error {
		runs++
		_, err := tx.Exec(ctx, `INSERT INTO counters VALUES ('runs', 2)`)
		return err
	})
	if !postgres.IsCode(err, postgres.UniqueViolation) || runs != 1 {
		t.Errorf("err = %v after %d runs", err, runs)
	}
	var unavailable *postgres.UnavailableError
	if errors.As(err, &unavailable) {
		t.Errorf("%v is taken for a database that is away", err)
	}
}

func TestAnAbsentDatabaseIsUnavailableInTheEnd(t *testing.T) {
	db, err := postgres.Open(postgres.Config{Host: t.TempDir(), Port: 5432, Name: "x", User: "x", Password: "x"}, metrics.New("test"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 300e6)
	defer cancel()
	var unavailable *postgres.UnavailableError
	if _, err := count(ctx, db); !errors.As(err, &unavailable) {
		t.Errorf("err = %v, want an UnavailableError", err)
	}
}

// The services' own tests run with such roles, and so show that it is enough.
func TestARoleHasItsDatabaseAndNothingElse(t *testing.T) {
	pg := testenv.SharedPostgres(t)
	mine, other := pg.NewDatabase(t), pg.NewDatabase(t)
	pg.Exec(t, other, `CREATE TABLE secrets (t text)`)
	as := func(database, role, password string) error {
		conn, err := pgx.Connect(t.Context(), fmt.Sprintf(`host='%s' dbname='%s' user='%s' password='%s' sslmode=disable`,
			pg.Dir, database, role, strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(password)))
		if err == nil {
			err = conn.Close(t.Context())
		}
		return err
	}
	for name, test := range map[string]struct {
		database, role, password string
		code                     string
	}{
		"its own":                     {mine, mine, testenv.ServicePassword, ""},
		"another's":                   {other, mine, testenv.ServicePassword, "42501"},
		"postgres":                    {"postgres", mine, testenv.ServicePassword, "42501"},
		"template1":                   {"template1", mine, testenv.ServicePassword, "42501"},
		"the superuser's password":    {mine, mine, testenv.Password, "28P01"},
		"the superuser, with its own": {mine, "postgres", testenv.ServicePassword, "28P01"},
	} {
		err := as(test.database, test.role, test.password)
		if test.code == "" && err != nil || test.code != "" && !postgres.IsCode(err, test.code) {
			t.Errorf("%s: %v, want %q", name, err, test.code)
		}
	}

	env := config.NewEnv(func(name string) (string, bool) { value, ok := pg.Env(t, mine)[name]; return value, ok })
	db, err := postgres.Open(postgres.ConfigFromEnv(env), metrics.New("test"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	try := func(statement string) error {
		return db.Read(t.Context(), func(ctx context.Context, q postgres.Querier) error {
			rows, err := q.Query(ctx, statement, pgx.QueryExecModeSimpleProtocol)
			if err != nil {
				return err
			}
			rows.Close()
			return rows.Err()
		})
	}
	for _, statement := range []string{
		`CREATE ROLE r`, `CREATE DATABASE d`, `CREATE SCHEMA s`, `CREATE EXTENSION hstore`, `SET ROLE postgres`, `COPY (SELECT 1) TO PROGRAM 'id'`,
		`SELECT pg_read_file('PG_VERSION')`, `ALTER SYSTEM SET work_mem = '1MB'`, `SELECT * FROM pg_authid`, `CREATE TEMPORARY TABLE t ()`,
		`ALTER ROLE CURRENT_USER SUPERUSER`,
	} {
		if err := try(statement); !postgres.IsCode(err, "42501") {
			t.Errorf("%s: %v, want no permission", statement, err)
		}
	}
	if err := try(`CREATE TABLE t (n serial); INSERT INTO t DEFAULT VALUES`); err != nil {
		t.Error(err)
	}
	// Run again it takes over what the superuser made, as a restored dump.
	pg.Exec(t, mine, `CREATE TABLE restored (n serial)`)
	pg.MakeRole(t, mine)
	if err := try(`INSERT INTO restored DEFAULT VALUES; ALTER TABLE restored ADD m int`); err != nil {
		t.Error(err)
	}
}
