package postgres

import (
	"fmt"
	"strings"

	"github.com/tendhq/tend/controller/spec"
)

// JobFolder is where the jobs of PrepareJob and CheckJob expect the volume that has the
// backups.
const JobFolder = "/backups"

// describeJob writes what decides whether a server can take over another one's data.
const describeJob = `describe() {` + describeImage + `}
`

// jobBeginning has a job reach a Database's server by a host name, from the folder of its
// backups, in which no other job is at work meanwhile.
func jobBeginning(w *spec.Workload, host string) string {
	return fmt.Sprintf("%sexport PGHOST=%s PGCONNECT_TIMEOUT=10\nmkdir -p %[3]s/%[4]s && cd %[3]s/%[4]s && exec 9>.lock && flock 9\n", environment, host, JobFolder, w.Name)
}

// PrepareJob is the shell script of a job that prepares an update of a Database where tend
// cannot reach the server's container. It runs in the running server's image and
// environment, reaches the server by a host name, and writes into JobFolder: what the
// server is, for CheckJob; and a dump, where one is wanted, which has its name once
// pg_restore has read it to its end. Of the dumps it leaves as many as backup.keep says.
// Last comes a checkpoint. Where nobody serves there is only the former.
func PrepareJob(w *spec.Workload, host string, serving, dump bool) string {
	var b strings.Builder
	b.WriteString(jobBeginning(w, host) + describeJob)
	b.WriteString("rm -f .*.partial\ndescribe >.server.partial && mv .server.partial .server\n")
	if !serving {
		return b.String()
	}
	b.WriteString(staleJob)
	if dump {
		fmt.Fprintf(&b, dumpJob, w.Backup.Keep)
	}
	b.WriteString("psql --no-psqlrc --no-password --quiet --set=ON_ERROR_STOP=1 --command=CHECKPOINT\n")
	return b.String()
}

// staleJob ends the job where indexes were made with another version of a collation.
const staleJob = `
if [ "$(sed -n 's/^version=[^0-9]*\([0-9]*\).*/\1/p' .server)" -ge 15 ]; then
	stale=$(psql --no-psqlrc --no-password --no-align --tuples-only --quiet --set=ON_ERROR_STOP=1 --command="
		SELECT datname FROM pg_database WHERE datallowconn AND datcollversion IS NOT NULL AND datcollversion IS DISTINCT FROM pg_database_collation_actual_version(oid)")
	if [ -n "$stale" ]; then
		echo "the indexes of these databases were made with another version of their collation, and may miss rows already; in each, run REINDEX DATABASE and ALTER DATABASE ... REFRESH COLLATION VERSION:" $stale >&2
		exit 1
	fi
fi
`

const dumpJob = `
name=$(date -u +%%Y%%m%%dT%%H%%M%%S.000Z).dump
pg_dump --format=custom --no-password >".$name.partial"
sync
pg_restore --format=custom --file=/dev/null ".$name.partial"
mv ".$name.partial" "$name" && sync
echo "read back and kept: $(wc -c <"$name") bytes" >&2
echo "$name"
ls -1 | grep '^[0-9].*\.dump$' | sort -r | tail -n +$((%d + 1)) | while read -r old; do rm -- "$old"; done
`

// CheckJob is the shell script of a job in the image that is to take over a Database's
// data. The script compares that image with the description which PrepareJob has written, by
// the rules of Check.
func CheckJob(workload string) string {
	return "set -eu\n" + describeJob + fmt.Sprintf(`cd %s/%s
describe >.image
for key in version distribution libc icu; do
	runs=$(sed -n "s/^$key=//p" .server) next=$(sed -n "s/^$key=//p" .image)
	if [ "$key" = version ]; then
		runs=$(echo "$runs" | sed 's/^[^0-9]*\([0-9]*\).*/\1/') next=$(echo "$next" | sed 's/^[^0-9]*\([0-9]*\).*/\1/')
	fi
	if [ "$runs" != "$next" ]; then
		echo "the new image has $key $next in place of $runs: it must not take over the data, as it cannot read them, or may sort text otherwise; dump them, and restore them into a new and empty volume" >&2
		exit 1
	fi
done
`, JobFolder, workload)
}

// RestoreJob is the shell script of a job that brings a Database back to what a file of its
// backups holds, as Restore does.
func RestoreJob(w *spec.Workload, host, file string) string {
	return jobBeginning(w, host) + fmt.Sprintf("file=%s\n", quoted(file)) + `
if [ ! -f "$file" ]; then
	echo "there is no $file among the backups, which are:" *.dump >&2
	exit 1
fi
pg_restore --format=custom --file=/dev/null "$file"
` + restoreScript + ` "$file"
`
}

// quoted is a text as one word of a shell.
func quoted(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }
