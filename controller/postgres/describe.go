package postgres

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/spec"
)

// Server is all that decides whether a server can use another one's data directory.
type Server struct {
	// Version is Postgres' own, as "15.20"; Major is its first part.
	Version string
	Major   int
	// Distribution and Release are ID and VERSION_ID of /etc/os-release.
	Distribution, Release string
	// Libc is "glibc 2.36" or "musl 1.2.5"; ICU the major version of the ICU
	// library that the server is linked to, or empty.
	Libc, ICU string
	// Collations are the collations of a running server's databases that depend on a
	// library's version. A server before 15 does not record them.
	Collations []Collation
}

// Collation is a database's default collation.
type Collation struct {
	Database string
	// Recorded is the version of the library that the database's indexes were
	// made with, Actual the one in use: pg_database.datcollversion and
	// pg_database_collation_actual_version.
	Recorded, Actual string
}

// describeImage prints what can be read from an image, as "key=value" lines.
const describeImage = `
server=$(postgres --version)
. /etc/os-release
libc=$(getconf GNU_LIBC_VERSION 2>/dev/null) || libc="musl $(ldd 2>&1 | sed -n 's/^Version //p')"
icu=$(ldd "$(command -v postgres)" 2>/dev/null | sed -n 's/.*libicui18n\.so\.\([0-9]*\).*/\1/p' | head -n 1)
printf 'version=%s\ndistribution=%s\nrelease=%s\nlibc=%s\nicu=%s\n' \
	"$server" "$ID" "${VERSION_ID:-}" "$libc" "$icu"
`

// describeDatabases prints the databases whose collation has a version.
const describeDatabases = `
psql --no-psqlrc --no-password --no-align --tuples-only --quiet --set=ON_ERROR_STOP=1 --command="
	SELECT 'collation=' || coalesce(datcollversion, '') || ' ' ||
		coalesce(pg_database_collation_actual_version(oid), '') || ' ' || datname
	FROM pg_database WHERE datallowconn AND datcollversion IS NOT NULL ORDER BY datname"
`

// collationsSince is the first major version that records the versions of its
// databases' collations.
const collationsSince = 15

// Describe describes the server that runs in a container.
func Describe(ctx context.Context, e engine.Engine, containerID string) (Server, error) {
	s, err := describe(ctx, e, containerID, describeImage)
	if err != nil || s.Major < collationsSince {
		return s, err
	}
	return describe(ctx, e, containerID, describeImage+describeDatabases)
}

// imageLifetime is how long the container of DescribeImage runs where nobody stops it.
const imageLifetime = 2 * time.Minute

// DescribeImage describes the server in an image, in a container of that name that has
// neither volumes nor networks nor rights, so that every policy allows it, and is removed
// again. It first removes one of that name that an earlier call has left behind. tend and
// Compose leave the container alone, as it is labelled as a one-off of the project.
func DescribeImage(ctx context.Context, e engine.Engine, project, name, image string) (Server, error) {
	failed := func(err error) (Server, error) {
		return Server{}, fmt.Errorf("look into image %s: %w", image, err)
	}
	if err := removeLeftover(ctx, e, project, name); err != nil {
		return failed(err)
	}
	id, err := e.Create(ctx, engine.ContainerSpec{
		Name: name, Project: project,
		Service: types.ServiceConfig{
			Name: name, Image: image, NetworkMode: "none",
			User: "65532:65532", CapDrop: []string{"ALL"}, SecurityOpt: []string{"no-new-privileges:true"},
			Entrypoint: types.ShellCommand{"sleep", strconv.Itoa(int(imageLifetime.Seconds()))},
			Command:    types.ShellCommand{},
		},
		Labels: map[string]string{spec.LabelProject: project, spec.LabelOneoff: "True"},
	})
	if id != "" {
		defer func() { _ = remove(context.WithoutCancel(ctx), e, id) }()
	}
	if err != nil {
		return failed(err)
	}
	if err := e.Start(ctx, id); err != nil {
		return failed(err)
	}
	s, err := describe(ctx, e, id, describeImage)
	if err != nil {
		return failed(err)
	}
	return s, nil
}

// removeLeftover removes the container that a killed DescribeImage has left.
func removeLeftover(ctx context.Context, e engine.Engine, project, name string) error {
	containers, err := e.Containers(ctx, project)
	if err != nil {
		return err
	}
	for _, c := range containers {
		if c.Name == name && c.Labels[spec.LabelOneoff] == "True" {
			return remove(ctx, e, c.ID)
		}
	}
	return nil
}

func remove(ctx context.Context, e engine.Engine, id string) error {
	ctx, cancel := context.WithTimeout(ctx, imageLifetime)
	defer cancel()
	if err := e.Stop(ctx, id, 0); err != nil {
		return err
	}
	return e.Remove(ctx, id, true)
}

func describe(ctx context.Context, e engine.Engine, id, script string) (Server, error) {
	var out answer
	if err := run(ctx, e, id, script, nil, &out); err != nil {
		return Server{}, fmt.Errorf("ask for the version of Postgres: %w", err)
	}
	return parse(out.String())
}

// answer is a script's output: a few lines, and one for each database.
type answer struct{ bytes.Buffer }

func (a *answer) Write(p []byte) (int, error) {
	const most = 1 << 20
	if a.Len()+len(p) > most {
		return 0, fmt.Errorf("it printed more than %d bytes, which no Postgres does", most)
	}
	return a.Buffer.Write(p)
}

// parse reads the output of the scripts.
func parse(output string) (Server, error) {
	var s Server
	for line := range strings.Lines(output) {
		key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		switch key {
		case "version": // postgres (PostgreSQL) 15.20 (Debian 15.20-0+deb12u1)
			if fields := strings.Fields(value); len(fields) >= 3 {
				s.Version = fields[2]
			}
		case "distribution":
			s.Distribution = value
		case "release":
			s.Release = value
		case "libc":
			s.Libc = value
		case "icu":
			s.ICU = value
		case "collation":
			// The name comes last, as it may hold spaces.
			if parts := strings.SplitN(value, " ", 3); len(parts) == 3 {
				s.Collations = append(s.Collations, Collation{Recorded: parts[0], Actual: parts[1], Database: parts[2]})
			}
		}
	}
	// "16beta1" is of major 16.
	digits := strings.IndexFunc(s.Version+".", func(r rune) bool { return r < '0' || r > '9' })
	major, err := strconv.Atoi(s.Version[:digits])
	if err != nil {
		return Server{}, fmt.Errorf("no version of Postgres in %q", output)
	}
	s.Major = major
	return s, nil
}
