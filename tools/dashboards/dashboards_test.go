package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

const committed = "../../deploy/observability/dashboards"

// What is committed is what the table says, and Grafana's types read all of it.
func TestTheDashboardsAreMadeFromTheTable(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(committed, "*.json"))
	if err != nil || len(files) != len(boards) {
		t.Fatalf("%d files, want %d: %v", len(files), len(boards), err)
	}
	for _, b := range boards {
		want, err := b.json()
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(filepath.Join(committed, b.uid+".json"))
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != string(want) {
			t.Errorf("%s.json is not what the table says: go -C tools/dashboards run . ../../deploy/observability/dashboards", b.uid)
		}
		var d dashboard.Dashboard //nolint:staticcheck // as in main.go
		// Where nothing is wrong the error is an empty list, which is not nil.
		if err := d.UnmarshalJSONStrict(got); err != nil && err.Error() != "" {
			t.Errorf("%s: %v", b.uid, err)
		}
		if len(d.Panels) == 0 {
			t.Errorf("%s has no panels", b.uid)
		}
	}
}
