package postgres

import (
	"fmt"
	"strings"
)

// Refusal is why a server must not take over the data of another one. Trying again does
// not change that.
type Refusal struct{ Reason string }

func (r *Refusal) Error() string { return r.Reason }

// Check returns an error where the server of another image must not take over the
// data of the running one. It must not where
//   - the major version differs: each reads only its own files;
//   - the distribution, libc or ICU differs: text may sort otherwise, and the
//     existing indexes would miss rows
//     (https://wiki.postgresql.org/wiki/Locale_data_changes). The distribution's
//     release does not count by itself: Alpine has a new one for every patch;
//   - a database's indexes were made with another version already.
//
// The error is a *Refusal that names the difference and what to do. workload is for
// its commands.
func Check(workload string, running, next Server) error {
	if why := check(workload, running, next); why != "" {
		return &Refusal{Reason: why}
	}
	return nil
}

func check(workload string, running, next Server) string {
	if next.Major != running.Major {
		return fmt.Sprintf("%s runs Postgres %s, and Postgres %s cannot read its data: a major version reads only its own; to change it, %s",
			workload, running.Version, next.Version, moveCommands(workload))
	}
	var stale []string
	for _, c := range running.Collations {
		if c.Recorded != c.Actual {
			stale = append(stale, staleIndexes(workload, c))
		}
	}
	if len(stale) > 0 {
		return strings.Join(stale, "\n")
	}
	var differences []string
	for _, d := range []struct{ what, running, next string }{
		{"distribution", running.Distribution, next.Distribution},
		{"libc", running.Libc, next.Libc},
		{"ICU", running.ICU, next.ICU},
	} {
		if d.running != d.next {
			differences = append(differences, fmt.Sprintf("%s %s in place of %s", d.what, orNone(d.next), orNone(d.running)))
		}
	}
	if len(differences) > 0 {
		return fmt.Sprintf("the new image of %s (%s %s) has %s: text may sort otherwise there, and the indexes of today would miss rows; to change it, %s",
			workload, next.Distribution, next.Release, strings.Join(differences, ", "), moveCommands(workload))
	}
	return ""
}

// moveCommands are the commands that move the data to another server through a dump,
// which makes the indexes anew.
func moveCommands(workload string) string {
	return fmt.Sprintf("run tend backup %[1]s, write the new image and a new and empty volume in place of the old one, "+
		"and run tend apply and tend restore %[1]s FILE; the old volume stays as it is", workload)
}

func staleIndexes(workload string, c Collation) string {
	identifier := `"` + strings.ReplaceAll(c.Database, `"`, `""`) + `"`
	return fmt.Sprintf("the indexes of database %s of %s were made with version %s of its collation, and %s is in use: they may miss rows already; in psql, connected to that database, run "+
		"REINDEX DATABASE %s; ALTER DATABASE %s REFRESH COLLATION VERSION;", c.Database, workload, orNone(c.Recorded), orNone(c.Actual), identifier, identifier)
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}
