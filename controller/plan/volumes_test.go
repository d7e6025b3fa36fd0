package plan

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A container that a lost request made late must not take the place of the data that
// the one before it has written.
func TestAContainerThatNeverRanHasNoData(t *testing.T) {
	now := time.Now()
	replica := func(source string, created time.Duration, ran bool) Replica {
		r := Replica{ID: source, Number: 1, Created: now.Add(created), Mounts: []Mount{{Target: "/data", Source: source, Anonymous: true}}}
		if ran {
			r.StartedAt = r.Created
		}
		return r
	}
	at := func(source string) map[int]map[string]string { return map[int]map[string]string{1: {"/data": source}} }
	old, late := replica("old", 0, true), replica("late", time.Minute, false)
	require.Equal(t, at("old"), anonymous(nil, []Replica{old, late}))
	require.Equal(t, at("old"), anonymous(nil, []Replica{late, old}))
	require.Equal(t, at("old"), anonymous(at("old"), []Replica{late}))
	require.Equal(t, at("late"), anonymous(nil, []Replica{late}))
	require.Equal(t, at("new"), anonymous(at("old"), []Replica{old, replica("new", time.Minute, true)}))
}
