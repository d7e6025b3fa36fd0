package deploy

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// systemd knows every setting of the unit, and finds nothing wrong with it. The program
// that it starts is not installed here.
func TestSystemdTakesTheUnit(t *testing.T) {
	unit := filepath.Join(t.TempDir(), "tend@srv-shop.service")
	text := strings.ReplaceAll(read(t, "release/tend@.service"), "/usr/bin/tend", "/bin/true")
	if err := os.WriteFile(unit, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("systemd-analyze", "verify", "--man=no", unit).CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
}
