//go:build linux

package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/engine/docker"
	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/controller/spec/load"
)

// controllerOf is the controller's service that tend up would keep for a project.
func controllerOf(t *testing.T, policy spec.Policy, files map[string]string) (*spec.Workload, error) {
	t.Helper()
	return controllerAmong(t, docker.HostUsers, policy, files)
}

// controllerAmong is the same on an engine whose containers have other users.
func controllerAmong(t *testing.T, users docker.UserNamespace, policy spec.Policy, files map[string]string) (*spec.Workload, error) {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	}
	f := &flags{spec: load.Options{ProjectDirectory: dir, Policy: policy}}
	project, err := f.load(t.Context())
	require.NoError(t, err)
	self, err := controllerProject(t.Context(), f, project, controllerPlace{"tend:1", "unix://" + filepath.Join(dir, "compose.yaml"), users, false})
	if err != nil {
		return nil, err
	}
	return self.Workloads[spec.ControllerService], nil
}

// Whatever users the engine's containers have, the controller is one who may use the
// engine's socket and write to the data directory.
func TestTheControllerIsTheUserWhoMayDoItsWork(t *testing.T) {
	files := map[string]string{"compose.yaml": "services: {web: {image: mine}}\n"}
	uid, gid, err := owner(t.TempDir())
	require.NoError(t, err)
	self := fmt.Sprintf("%d:%d", uid, gid)
	for users, want := range map[docker.UserNamespace]struct{ user, namespace string }{
		docker.HostUsers: {self, ""},
		docker.Remapped:  {self, "host"},
		docker.Rootless:  {"0:0", ""},
	} {
		c, err := controllerAmong(t, users, "", files)
		require.NoError(t, err)
		assert.Equal(t, want.user, c.Template.User)
		assert.Equal(t, want.namespace, c.Template.UserNSMode)
	}
}

const hostile = "services:\n  tend:\n    image: mine\n    privileged: true\n    volumes: [\"/:/host\"]\n    command: [mine]\n"

// Under a policy nobody but the command line writes a container that may do anything.
func TestTheControllerIsTheCommandLinesOwn(t *testing.T) {
	_, err := controllerOf(t, spec.Baseline, map[string]string{"compose.yaml": hostile + "    x-tend: {managed: false}\n"})
	require.ErrorContains(t, err, "privileged gives the container all of its host: the policy baseline refuses that")

	own, err := controllerOf(t, "", map[string]string{"compose.yaml": hostile + "    x-tend: {managed: false}\n"})
	require.NoError(t, err)
	assert.True(t, own.Template.Privileged)

	for _, policy := range []spec.Policy{"", spec.Baseline, spec.Restricted} {
		builtIn, err := controllerOf(t, policy, map[string]string{"compose.yaml": hostile + "    profiles: [other]\n"})
		require.NoError(t, err)
		assert.Equal(t, "tend:1", builtIn.Image)
		assert.False(t, builtIn.Template.Privileged)
		assert.Len(t, builtIn.Template.Volumes, 3+len(authorities()))
		assert.Equal(t, "run", builtIn.Template.Command[0])
	}

	_, err = controllerOf(t, spec.Restricted, map[string]string{
		"compose.yaml":    hostile + "    profiles: [other]\n",
		"specs/tend.yaml": "apiVersion: tend/v1\nkind: Deployment\nmetadata: {name: tend}\nspec:\n  preRollout: [{name: mine, command: [mine]}]\n",
	})
	require.ErrorContains(t, err, "has a spec")
}
