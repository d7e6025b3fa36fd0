package api

import (
	"bytes"
	"encoding/json"
	"sync"

	"github.com/tendhq/tend/state"
)

// encodedList is a list whose items are JSON already.
type encodedList [][]byte

// bytes is the list as List's JSON.
func (l encodedList) bytes() []byte {
	meta, err := json.Marshal(typeMeta(ListKind))
	if err != nil {
		panic("api: " + err.Error()) // a programming error
	}
	size := len(meta) + 16
	for _, item := range l {
		size += len(item) + 1
	}
	out := bytes.NewBuffer(make([]byte, 0, size))
	out.Write(meta[:len(meta)-1])
	out.WriteString(`,"items":[`)
	for i, item := range l {
		if i > 0 {
			out.WriteByte(',')
		}
		out.Write(item)
	}
	out.WriteString("]}\n")
	return out.Bytes()
}

// encodings are the workloads as JSON. As rows are immutable, the same ones make the same
// JSON, which is made once for all who ask.
type encodings struct {
	mu sync.Mutex
	of map[string]encoding
}

type encoding struct {
	row    *state.Workload
	status *state.Status
	scale  *state.Scale
	json   []byte
}

// workload is a workload as JSON.
func (e *encodings) workload(row *state.Workload, status *state.Status, scale *state.Scale) []byte {
	e.mu.Lock()
	defer e.mu.Unlock()
	known, ok := e.of[row.Name]
	if !ok || known.row != row || known.status != status || known.scale != scale {
		known = encoding{row, status, scale, bytes.TrimSpace(encode(toWorkload(row, status, scale)))}
		if e.of == nil {
			e.of = map[string]encoding{}
		}
		e.of[row.Name] = known
	}
	return known.json
}

// keep forgets the workloads that are not listed any more.
func (e *encodings) keep(rows []*state.Workload) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.of) <= len(rows) {
		return
	}
	listed := map[string]bool{}
	for _, row := range rows {
		listed[row.Name] = true
	}
	for name := range e.of {
		if !listed[name] {
			delete(e.of, name)
		}
	}
}
