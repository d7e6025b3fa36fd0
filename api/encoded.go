package api

import (
	"bytes"
	"encoding/json"
	"sync"

	"github.com/tendhq/tend/state"
)

// encoded is JSON already.
type encoded []byte

// encodings are the workloads as they are listed. As rows are immutable, the same ones make
// the same JSON, which is made once for all who ask.
type encodings struct {
	mu    sync.Mutex
	items []encoding
	list  encoded
}

// encoding is a workload as JSON, and the rows that it was made from.
type encoding struct {
	row    *state.Workload
	status *state.Status
	scale  *state.Scale
	json   []byte
}

func (e encoding) sameRows(o encoding) bool {
	return e.row == o.row && e.status == o.status && e.scale == o.scale
}

// workloads is the list of workloads.
func (e *encodings) workloads(snap *state.Snapshot) encoded {
	statuses, scales := map[string]*state.Status{}, map[string]*state.Scale{}
	for _, s := range snap.Statuses() {
		statuses[s.Workload] = s
	}
	for _, s := range snap.Scales() {
		scales[s.Workload] = s
	}
	rows := snap.Workloads()
	items := make([]encoding, len(rows))
	for i, row := range rows {
		items[i] = encoding{row: row, status: statuses[row.Name], scale: scales[row.Name]}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	changed := e.list == nil || len(items) != len(e.items)
	for i, item := range items {
		if i < len(e.items) && item.sameRows(e.items[i]) {
			items[i] = e.items[i]
			continue
		}
		items[i].json = bytes.TrimSpace(encode(toWorkload(item.row, item.status, item.scale)))
		changed = true
	}
	if changed {
		e.items, e.list = items, join(items)
	}
	return e.list
}

// join makes List's JSON of its items'.
func join(items []encoding) encoded {
	meta, err := json.Marshal(typeMeta(ListKind))
	if err != nil {
		panic("api: " + err.Error()) // a programming error
	}
	var out bytes.Buffer
	out.Write(meta[:len(meta)-1])
	out.WriteString(`,"items":[`)
	for i, item := range items {
		if i > 0 {
			out.WriteByte(',')
		}
		out.Write(item.json)
	}
	out.WriteString("]}\n")
	return out.Bytes()
}
