package kubernetes

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/tools/txtar"
	"pgregory.net/rapid"

	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/controller/spec/load"
)

// Docker's image becomes CloudNativePG's of the same major version; another one is kept where
// CloudNativePG can tell its version.
func TestAClustersImageIsOfTheSameMajorVersion(t *testing.T) {
	const digest = "@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	for _, c := range []struct {
		image, want string
		kept        bool
	}{
		{"postgres:15-bookworm", "ghcr.io/cloudnative-pg/postgresql:15-standard-trixie", false},
		{"postgres:17", "ghcr.io/cloudnative-pg/postgresql:17-standard-trixie", false},
		{"docker.io/library/postgres:16.4-alpine3.20" + digest, "ghcr.io/cloudnative-pg/postgresql:16-standard-trixie", false},
		{"postgres", "", false},
		{"postgres:latest", "", false},
		{"postgres:alpine", "", false},
		{"postgres" + digest, "", false},
		{"postgres:18beta1", "", false},
		{"ghcr.io/cloudnative-pg/postgresql:17.6-minimal-trixie", "ghcr.io/cloudnative-pg/postgresql:17.6-minimal-trixie", true},
		{"registry.example:5000/postgres:16_1", "registry.example:5000/postgres:16_1", true},
		{"timescale/timescaledb:latest-pg17", "", false},
		{"sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", "", false},
	} {
		image, kept := clusterImage(c.image)
		assert.Equal(t, c.want, image, c.image)
		assert.Equal(t, c.kept, kept, c.image)
	}
}

// Each parameter of the command is one of the Cluster, in whichever way it is written.
func TestParametersOfTheCommandAreThoseOfTheCluster(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.MapOfN(rapid.StringMatching(`[a-z]{2,8}(_[a-z]{1,8})?|x\.[a-z]{1,5}`), rapid.StringMatching(`[ -~]{0,12}`), 0, 4).Draw(t, "parameters")
		command := rapid.SampledFrom([][]string{{}, {"postgres"}, {"/usr/bin/postgres"}}).Draw(t, "program")
		for name, value := range want {
			if slices.Contains(fixedParameters, name) {
				delete(want, name)
				continue
			}
			switch rapid.IntRange(0, 2).Draw(t, "form of "+name) {
			case 0:
				command = append(command, "-c", name+"="+value)
			case 1:
				command = append(command, "-c"+name+"="+value)
			default:
				command = append(command, "--"+strings.ReplaceAll(name, "_", "-")+"="+value)
			}
		}
		w := &spec.Workload{Name: "db", Kind: spec.Database, Image: "postgres:17"}
		w.Template = types.ServiceConfig{Command: command}
		p := &spec.Project{Name: "shop", Workloads: map[string]*spec.Workload{"db": w}}
		r := Export(p, nil, CloudNativePG)
		got := check(t, r).postgres["db"].Spec.Postgresql.Parameters
		if len(want) == 0 {
			assert.Empty(t, got)
		} else {
			assert.Equal(t, want, got)
		}
		for _, u := range r.Unsupported {
			assert.NotEqual(t, "command", u.Key, u.Reason)
		}
	})
}

// A Cluster has everything that its Database says, or says that it has not: each key is
// listed, or known to be there.
func TestEachKeyOfADatabaseIsInItsClusterOrListed(t *testing.T) {
	e := &exporter{alternatives: []Alternative{CloudNativePG}}
	w := &spec.Workload{Name: "db", Kind: spec.Database, Image: "ghcr.io/cloudnative-pg/postgresql:17", Template: types.ServiceConfig{
		Tty: true, WorkingDir: "/srv", Entrypoint: []string{"/entrypoint"}, Privileged: true, CapAdd: []string{"SYS_NICE"},
		Sysctls: types.Mapping{"kernel.shmmax": "1"}, DNS: types.StringList{"192.0.2.1"}, Tmpfs: types.StringList{"/tmp"}, Hostname: "db",
		PidsLimit: 10, User: "postgres", ReadOnly: true, CapDrop: []string{"ALL"}, ShmSize: 1, NetworkMode: "host",
		SecurityOpt: []string{"no-new-privileges:true", "seccomp:unconfined"},
	}}
	e.unsupportedOfCluster(w)
	var keys []string
	for _, u := range e.result.Unsupported {
		keys = append(keys, u.Key)
	}
	assert.ElementsMatch(t, []string{
		"cap_add", "dns", "entrypoint", "hostname", "network_mode", "pids_limit", "privileged", "security_opt", "sysctls", "tmpfs", "tty", "working_dir",
	}, keys)
}

// With all alternatives whatever project can be loaded is exported, too.
func TestEachProjectThatLoadsIsExportedWithAlternatives(t *testing.T) {
	paths, err := filepath.Glob("../../spec/load/testdata/stories/*.txtar")
	require.NoError(t, err)
	clusters := 0
	for _, path := range paths {
		story, err := txtar.ParseFile(path)
		require.NoError(t, err)
		dir := t.TempDir()
		for _, f := range story.Files {
			write(t, filepath.Join(dir, f.Name), f.Data)
		}
		p, err := load.Project(context.Background(), load.Options{ProjectDirectory: dir, Name: "shop", IngressImage: "tend/ingress"})
		if err != nil {
			continue // it is a story of a mistake
		}
		c := check(t, Export(p, nil, CloudNativePG, GatewayAPI))
		assert.Empty(t, c.statefulSets, path)
		assert.Empty(t, c.ingresses, path)
		for name, w := range p.Workloads {
			if w.Kind == spec.Database {
				clusters++
				assert.Contains(t, c.postgres, label(name), path)
			}
		}
	}
	assert.Positive(t, clusters)
}
