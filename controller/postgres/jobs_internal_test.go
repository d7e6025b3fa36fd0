package postgres

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The job's script refuses the images that Check refuses.
func TestTheJobChecksAsCheckDoes(t *testing.T) {
	running := Server{Version: "15.10", Major: 15, Distribution: "debian", Libc: "glibc 2.36", ICU: "72"}
	for name, change := range map[string]func(*Server){
		"the same":             func(*Server) {},
		"a newer minor":        func(s *Server) { s.Version = "15.20" },
		"a newer major":        func(s *Server) { s.Version, s.Major = "16.4", 16 },
		"another glibc":        func(s *Server) { s.Libc = "glibc 2.41" },
		"no ICU":               func(s *Server) { s.ICU = "" },
		"another distribution": func(s *Server) { s.Distribution = "alpine" },
	} {
		t.Run(name, func(t *testing.T) {
			next := running
			change(&next)
			describe := func(s Server) string {
				return fmt.Sprintf("printf 'version=postgres (PostgreSQL) %s\\ndistribution=%s\\nlibc=%s\\nicu=%s\\n'", s.Version, s.Distribution, s.Libc, s.ICU)
			}
			dir := t.TempDir()
			script := strings.Replace(CheckJob("db"), describeImage, "\n"+describe(next)+"\n", 1)
			script = strings.ReplaceAll(script, JobFolder+"/db", dir)
			require.NotContains(t, script, "postgres --version")
			require.NoError(t, exec.Command("sh", "-c", describe(running)+" >"+filepath.Join(dir, ".server")).Run())
			output, err := exec.Command("sh", "-c", script).CombinedOutput()
			assert.Equal(t, Check("db", running, next) == nil, err == nil, "%s", output)
		})
	}
}
