package state

import (
	"github.com/hashicorp/go-memdb"

	"github.com/tendhq/tend/controller/core"
)

// HookRuns is the table of the one-off containers of pre-rollout hooks.
const HookRuns = "hook_runs"

var hookRunsSchema = &memdb.TableSchema{
	Name: HookRuns,
	Indexes: map[string]*memdb.IndexSchema{
		"id":       index("id", true, func(h *HookRun) []string { return []string{h.ID} }),
		"workload": index("workload", false, func(h *HookRun) []string { return []string{h.Workload} }),
	},
}

// HookRun is a row of HookRuns.
type HookRun struct{ core.HookRun }

func (h *HookRun) changeKey() string { return h.Workload }

// HookRuns lists the hook containers of a workload; of all where workload is empty.
func (s *Snapshot) HookRuns(workload string) []*HookRun {
	if workload == "" {
		return list[*HookRun](s, HookRuns, "id")
	}
	return list[*HookRun](s, HookRuns, "workload", workload)
}

// HookRun returns one hook container.
func (s *Snapshot) HookRun(id string) (*HookRun, bool) {
	return first[*HookRun](s, HookRuns, "id", id)
}

// PutHookRun writes what is known of a hook container.
func (t *Tx) PutHookRun(h *HookRun) { must(t.txn.Insert(HookRuns, h)) }

// DeleteHookRun forgets a hook container.
func (t *Tx) DeleteHookRun(id string) {
	_, err := t.txn.DeleteAll(HookRuns, "id", id)
	must(err)
}
