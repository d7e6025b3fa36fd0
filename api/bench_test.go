package api

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/state"
)

// A list of 100 workloads, as the command line asks for it.
func BenchmarkListWorkloads(b *testing.B) {
	store := shop()
	store.Update(func(tx *state.Tx) {
		row, _ := tx.Workload("web")
		status, _ := tx.Status("web")
		for i := range 98 {
			name := fmt.Sprintf("web%02d", i)
			w := *row.Spec
			w.Name = name
			s := status.Status
			s.Workload, s.Outcome = name, core.OutcomeConverged
			tx.PutWorkload(&state.Workload{Name: name, Generation: 1, Spec: &w})
			tx.PutStatus(s)
		}
	})
	c := config(store)
	h := New(c)
	r := httptest.NewRequest(http.MethodGet, "/api/v1/workloads", nil)
	r = r.WithContext(context.WithValue(r.Context(), peerKey{}, peer{name: "uid 1000", local: true}))
	b.ResetTimer()
	for b.Loop() {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != http.StatusOK {
			b.Fatal(w.Body)
		}
	}
}
