package plan

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/core"
)

// A container that a lost request made late must not take the place of the data that
// the one before it has written.
func TestAContainerThatNeverRanHasNoData(t *testing.T) {
	now := time.Now()
	replica := func(source string, created time.Duration, ran bool) core.Replica {
		r := core.Replica{ID: source, Number: 1, Created: now.Add(created), Mounts: []core.Mount{{Target: "/data", Source: source, Anonymous: true}}}
		if ran {
			r.StartedAt = r.Created
		}
		return r
	}
	at := func(source string) map[int]map[string]string { return map[int]map[string]string{1: {"/data": source}} }
	old, late := replica("old", 0, true), replica("late", time.Minute, false)
	require.Equal(t, at("old"), anonymous(nil, []core.Replica{old, late}))
	require.Equal(t, at("old"), anonymous(nil, []core.Replica{late, old}))
	require.Equal(t, at("old"), anonymous(at("old"), []core.Replica{late}))
	require.Equal(t, at("late"), anonymous(nil, []core.Replica{late}))
	require.Equal(t, at("new"), anonymous(at("old"), []core.Replica{old, replica("new", time.Minute, true)}))
}
