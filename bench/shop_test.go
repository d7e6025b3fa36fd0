package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The copies of the specs are made by editing lines that must be there.
func TestTheServicesSpecHasTheLinesThatItsCopyChanges(t *testing.T) {
	content, err := os.ReadFile(filepath.Join(repository, "specs", updatedService+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if !replicasLine.Match(content) {
		t.Errorf("%s matches nothing", replicasLine)
	}
	if text := fit(updatedService, string(content)); !strings.Contains(text, fmt.Sprintf("\n  progressDeadlineSeconds: %d\n", patience)) {
		t.Errorf("it has no deadline:\n%s", text)
	}
}

func TestOneFileSaysWhatIsWantedOfBothShops(t *testing.T) {
	good := desired{replicas: 5, revision: 1, workMem: 4}
	text := good.override("  gateway: {}\n")
	for _, want := range []string{"  gateway: {}\n", "deploy: {replicas: 5}", `REVISION: "1"`, "work_mem=4MB"} {
		if !strings.Contains(text, want) {
			t.Errorf("it does not say %s:\n%s", want, text)
		}
	}
	good.broken = "image: nowhere"
	if text = good.override(""); !strings.Contains(text, "\n    image: nowhere\n") {
		t.Errorf("it does not say what is broken:\n%s", text)
	}
}
