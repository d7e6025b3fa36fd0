package e2e_test

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// specOf is a spec of web with the given lines under spec:.
func specOf(lines string) string {
	return "apiVersion: tend/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  " + lines + "\n"
}

// bomb is a YAML document whose aliases expand to a billion values.
func bomb() string {
	var b strings.Builder
	b.WriteString("x0: &x0 [a, a, a, a, a, a, a, a, a, a]\n")
	for i := range 9 {
		before, name := string(rune('0'+i)), string(rune('1'+i))
		b.WriteString("x" + name + ": &x" + name + " [" + strings.Repeat("*x"+before+", ", 9) + "*x" + before + "]\n")
	}
	return b.String()
}

// TestWhatIsWrittenWronglyChangesNothingThatRuns makes one mistake after the
// other while the controller runs. Each is told with its place, nothing that
// runs changes, and the correction is taken up.
func TestWhatIsWrittenWronglyChangesNothingThatRuns(t *testing.T) {
	good := files{
		"compose.yaml":   "services:\n  web:\n    image: ${PROBE}\n  db:\n    image: ${PROBE}\n    depends_on: [web]\n",
		"specs/web.yaml": specOf("replicas: 2"),
	}
	mistakes := []struct {
		name, file, content string
		// told are parts of the event.
		told []string
	}{
		{"half-written YAML", "specs/web.yaml", "apiVersion: tend/v1\nkind: Deployment\nmetadata: {name: we", []string{"specs/web.yaml:3:", "not valid YAML"}},
		{"an unknown field", "specs/web.yaml", specOf("replicsa: 2"), []string{"specs/web.yaml:5:3: ", "replicsa"}},
		{"a wrong type", "specs/web.yaml", specOf("replicas: two"), []string{"specs/web.yaml:5:13: ", "two"}},
		{"negative replicas", "specs/web.yaml", specOf("replicas: -1"), []string{"specs/web.yaml:5:13: ", "-1"}},
		{"huge replicas", "specs/web.yaml", specOf("replicas: 1000000"), []string{"specs/web.yaml:5:13: ", "1000"}},
		{"more replicas than an integer holds", "specs/web.yaml", specOf("replicas: 99999999999999999999"), []string{"specs/web.yaml:5:13: "}},
		{"maxSurge and maxUnavailable both 0", "specs/web.yaml", specOf("replicas: 2\n  strategy: {rollingUpdate: {maxSurge: 0, maxUnavailable: 0}}"), []string{"specs/web.yaml:6:", "maxSurge", "maxUnavailable"}},
		{"a percentage over 100", "specs/web.yaml", specOf("replicas: 2\n  strategy: {rollingUpdate: {maxUnavailable: 150%}}"), []string{"specs/web.yaml:6:46: ", "150%", "0% to 100%"}},
		{"a drain longer than the grace", "specs/web.yaml", specOf("replicas: 2\n  drainSeconds: 60"), []string{"specs/web.yaml:6:3: ", "drainSeconds (1m0s)", "stop_grace_period"}},
		{"two specs for one service", "specs/zweb.yaml", specOf("replicas: 3"), []string{"specs/zweb.yaml:3:", "specs/web.yaml:3"}},
		{"a spec for a service that does not exist", "specs/wbe.yaml", strings.Replace(specOf("replicas: 3"), "web", "wbe", 1), []string{"specs/wbe.yaml:3:", `did you mean "web"`}},
		{"a dependency cycle", "compose.yaml", good["compose.yaml"] + "  one: {image: \"${PROBE}\", depends_on: [two]}\n  two: {image: \"${PROBE}\", depends_on: [one]}\n", []string{"compose.yaml:", "one", "two", "cycle"}},
		{"an alias bomb", "specs/web.yaml", bomb() + specOf("replicas: 2"), []string{"specs/web.yaml:"}},
		{"an alias bomb in compose.yaml", "compose.yaml", good["compose.yaml"] + strings.ReplaceAll(bomb(), "\nx", "\nx-"), []string{"compose.yaml:"}},
		{"an unknown key in compose.yaml", "compose.yaml", strings.Replace(good["compose.yaml"], "image:", "imgae:", 1), []string{"compose.yaml:3:5: ", "imgae"}},
		{"a key that tend does not support", "compose.yaml", good["compose.yaml"] + "    provider: {type: x}\n", []string{"compose.yaml:7:"}},
		{"half-written compose.yaml", "compose.yaml", "services:\n  web:\n    image: [", []string{"compose.yaml:3:"}},
		{"an empty compose.yaml", "compose.yaml", "", []string{"compose.yaml"}},
		{"container_name with two replicas", "compose.yaml", strings.Replace(good["compose.yaml"], "image:", "container_name: one\n    image:", 1), []string{"compose.yaml:3:", "container_name", "remove container_name"}},
		{"a fixed host port with two replicas", "compose.yaml", strings.Replace(good["compose.yaml"], "image:", "ports: [\"8080:80/udp\"]\n    image:", 1), []string{"compose.yaml:3:", "publish a range"}},
	}
	p := newProject(t, good)
	tend := p.run()
	p.awaitReady("web", 2)
	p.awaitReady("db", 1)
	before := p.identities()
	step := func(name, file string, harm func() error, told ...string) {
		p.step(name, func() {
			tend.forget()
			require.NoError(p.t, harm())
			tend.awaitEvent("", "InvalidSpec", told...)
			p.assertSame(before, "while it is wrong")

			tend.forget()
			if content, ok := good[file]; ok {
				p.write(file, content)
			} else {
				require.NoError(p.t, os.Remove(p.path(file)))
			}
			tend.awaitEvent("", "SpecInForce")
			p.assertSame(before, "after it was corrected")
		})
	}
	for _, m := range mistakes {
		step(m.name, m.file, func() error { return os.WriteFile(p.path(m.file), []byte(m.content), 0o644) }, m.told...)
	}
	step("specs emptied", "specs/web.yaml", func() error { return os.Truncate(p.path("specs/web.yaml"), 0) }, "specs")
	step("specs deleted", "specs/web.yaml", func() error { return os.RemoveAll(p.path("specs")) }, "specs")
	step("compose.yaml gone", "compose.yaml", func() error { return os.Remove(p.path("compose.yaml")) }, "compose.yaml")

	p.write("specs/web.yaml", specOf("replicas: 1"))
	p.awaitReady("web", 1)
	assert.Equal(t, before[p.name+"-db-1"].ID, p.replica("db").ID)
}
