package deploy

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// promtool runs Prometheus' own checker in the folder of its configuration.
func promtool(t *testing.T, args ...string) {
	t.Helper()
	cmd := exec.Command("promtool", args...)
	cmd.Dir = "observability"
	output, err := cmd.CombinedOutput()
	require.NoError(t, err, "promtool %s:\n%s", strings.Join(args, " "), output)
}

func matching(t *testing.T, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("observability", pattern))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for i, file := range files {
		files[i] = strings.TrimPrefix(file, "observability/")
	}
	return files
}

func TestTheConfigurationOfPrometheusIsValid(t *testing.T) {
	promtool(t, append([]string{"check", "rules"}, matching(t, "rules/*.yml")...)...)
	promtool(t, "check", "config", "--syntax-only", "prometheus.yml")
}

func TestAlertsFireWhenTheyShould(t *testing.T) {
	promtool(t, append([]string{"test", "rules"}, matching(t, "tests/*.yml")...)...)
}

// Whoever gets an alert finds in the runbook what to do, and each is tested.
func TestEachAlertIsTestedAndInTheRunbook(t *testing.T) {
	runbook := read(t, "../docs/runbook.md")
	var tests string
	for _, file := range matching(t, "tests/*.yml") {
		tests += read(t, filepath.Join("observability", file))
	}
	alerts := 0
	for _, file := range matching(t, "rules/*.yml") {
		var rules struct {
			Groups []struct {
				Rules []struct {
					Alert       string
					Annotations struct {
						RunbookURL string `yaml:"runbook_url"`
					}
				}
			}
		}
		require.NoError(t, yaml.Unmarshal([]byte(read(t, filepath.Join("observability", file))), &rules))
		for _, g := range rules.Groups {
			for _, r := range g.Rules {
				if r.Alert == "" {
					continue
				}
				alerts++
				assert.Contains(t, tests, "alertname: "+r.Alert+"\n        exp_alerts:\n", "no test has %s fire", r.Alert)
				assert.Equal(t, "docs/runbook.md#"+strings.ToLower(r.Alert), r.Annotations.RunbookURL)
				assert.Contains(t, runbook, "\n### "+r.Alert+"\n")
			}
		}
	}
	assert.Positive(t, alerts)
}

func TestTheConfigurationOfAlertmanagerIsValid(t *testing.T) {
	output, err := exec.Command("amtool", "check-config", "observability/alertmanager.yml").CombinedOutput()
	require.NoError(t, err, "%s", output)
}
