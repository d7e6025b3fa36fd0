// Package postgres cares for a Postgres server in a container: it tells what a
// server is, decides whether another image may take over its data, backs it up
// and restores it.
//
// Everything runs inside the container, with the image's own programs, so that
// their version is the server's. The user, the database and the password are
// those of the official image's environment (POSTGRES_USER, POSTGRES_DB,
// POSTGRES_PASSWORD, and their _FILE forms); they never leave the container.
package postgres

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/tendhq/tend/controller/engine"
)

// environment sets libpq's variables from the official image's.
const environment = `set -eu
value() {
	eval "value=\${$1:-} file=\${$1_FILE:-}"
	if [ -n "$file" ]; then value=$(cat "$file"); fi
	printf %s "${value:-$2}"
}
PGUSER=$(value POSTGRES_USER postgres)
PGDATABASE=$(value POSTGRES_DB "$PGUSER")
PGPASSWORD=$(value POSTGRES_PASSWORD '')
export PGUSER PGDATABASE PGPASSWORD
`

// run runs a shell script in a container. Where the script fails, the error has its
// last output.
func run(ctx context.Context, e engine.Engine, id, script string, stdin io.Reader, stdout io.Writer) error {
	var stderr engine.Tail
	code, err := e.Exec(ctx, id, engine.ExecSpec{
		Command: []string{"sh", "-c", environment + script},
		Stdin:   stdin, Stdout: stdout, Stderr: &stderr,
	})
	if err != nil {
		return err
	}
	if code != 0 {
		return fmt.Errorf("exit code %d: %s", code, inLine(stderr.String()))
	}
	return nil
}

// inLine puts a text in one line.
func inLine(text string) string {
	return strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' }), "; ")
}
