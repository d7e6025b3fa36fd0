package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

// A run that is interrupted leaves containers that it has paused: killed, and
// still there until they go on.
func TestTheCgroupsOfPausedContainersAreRemoved(t *testing.T) {
	root, file, freeze := "/sys/fs/cgroup/freezer", "freezer.state", "FROZEN"
	if _, err := os.Stat(root); errors.Is(err, os.ErrNotExist) { // one hierarchy for all
		root, file, freeze = "/sys/fs/cgroup", "cgroup.freeze", "1"
	}
	run, err := os.MkdirTemp(root, "tend-chaos-test-")
	require.NoError(t, err)
	container := filepath.Join(run, "container")
	require.NoError(t, os.Mkdir(container, 0o755))
	t.Cleanup(func() { _ = removeTree(run) })

	sleeping := exec.Command("sleep", "infinity")
	require.NoError(t, sleeping.Start())
	require.NoError(t, os.WriteFile(filepath.Join(container, "cgroup.procs"), []byte(strconv.Itoa(sleeping.Process.Pid)), 0))
	require.NoError(t, os.WriteFile(filepath.Join(container, file), []byte(freeze), 0))
	require.NoError(t, sleeping.Process.Kill())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = sleeping.Wait() }()

	require.NoError(t, removeCgroups(filepath.Base(run)))
	<-ended
	require.NoDirExists(t, run)
}
