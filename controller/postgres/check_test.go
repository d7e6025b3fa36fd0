package postgres_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/postgres"
)

func TestCheckRefusesWhatCannotTakeOverTheData(t *testing.T) {
	running := postgres.Server{
		Version: "15.10", Major: 15, Distribution: "debian", Release: "12", Libc: "glibc 2.36", ICU: "72",
		Collations: []postgres.Collation{{Database: "users", Recorded: "2.36", Actual: "2.36"}},
	}
	for name, c := range map[string]struct {
		change func(running, next *postgres.Server)
		says   []string // in the refusal; none where there is none
	}{
		"the same":       {func(_, _ *postgres.Server) {}, nil},
		"a newer minor":  {func(_, next *postgres.Server) { next.Version = "15.20" }, nil},
		"an older minor": {func(_, next *postgres.Server) { next.Version = "15.1" }, nil},
		"a newer major": {
			func(_, next *postgres.Server) { next.Version, next.Major = "16.4", 16 },
			[]string{"Postgres 15.10", "Postgres 16.4", "tend backup user-db", "new and empty volume", "tend apply", "tend restore user-db FILE"},
		},
		"an older major": {
			func(_, next *postgres.Server) { next.Version, next.Major = "14.9", 14 },
			[]string{"Postgres 15.10", "Postgres 14.9"},
		},
		"another glibc": {
			func(_, next *postgres.Server) { next.Release, next.Libc = "13", "glibc 2.41" },
			[]string{"debian 13", "libc glibc 2.41 in place of glibc 2.36", "tend backup user-db", "tend restore user-db FILE"},
		},
		"another ICU": {
			func(_, next *postgres.Server) { next.ICU = "76" },
			[]string{"ICU 76 in place of 72"},
		},
		"no ICU": {
			func(_, next *postgres.Server) { next.ICU = "" },
			[]string{"ICU none in place of 72"},
		},
		"another distribution": {
			func(_, next *postgres.Server) {
				next.Distribution, next.Release, next.Libc = "alpine", "3.20.1", "musl 1.2.5"
			},
			[]string{"distribution alpine in place of debian", "libc musl 1.2.5 in place of glibc 2.36"},
		},
		"a patch of the same release": {func(running, next *postgres.Server) {
			running.Release, next.Release = "3.20.1", "3.20.2"
		}, nil},
		"indexes that are stale already": {
			func(running, _ *postgres.Server) { running.Collations[0].Recorded = "2.31" },
			[]string{"version 2.31", "2.36 is in use", `REINDEX DATABASE "users";`, `ALTER DATABASE "users" REFRESH COLLATION VERSION;`},
		},
		"a stale database with a quote in its name": {
			func(running, _ *postgres.Server) {
				running.Collations[0].Recorded, running.Collations[0].Database = "2.31", `a"b`
			},
			[]string{`REINDEX DATABASE "a""b";`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			running, next := running, running
			running.Collations = append([]postgres.Collation(nil), running.Collations...)
			next.Collations = nil
			c.change(&running, &next)
			err := postgres.Check("user-db", running, next)
			if c.says == nil {
				require.NoError(t, err)
				return
			}
			for _, text := range c.says {
				require.ErrorContains(t, err, text)
			}
		})
	}
}
