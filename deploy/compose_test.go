package deploy

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/tendhq/tend/controller/spec/load"
)

// Without tend, docker compose must start what tend would.
func TestComposeFileAndSpecsAgreeOnReplicas(t *testing.T) {
	withSpecs, err := load.Project(t.Context(), load.Options{ProjectDirectory: ".."})
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile("../compose.yaml")
	if err != nil {
		t.Fatal(err)
	}
	alone := filepath.Join(t.TempDir(), "compose.yaml")
	if err := os.WriteFile(alone, content, 0o644); err != nil {
		t.Fatal(err)
	}
	withoutSpecs, err := load.Project(t.Context(), load.Options{Files: []string{alone}})
	if err != nil {
		t.Fatal(err)
	}

	if len(withSpecs.Workloads) == 0 {
		t.Fatal("the shop has no workloads")
	}
	for name, workload := range withSpecs.Workloads {
		if got, want := withoutSpecs.Workloads[name].Replicas, workload.Replicas; got != want {
			t.Errorf("%s: %d replicas in compose.yaml, %d in specs/", name, got, want)
		}
	}
}
