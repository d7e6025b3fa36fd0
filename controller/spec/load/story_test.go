package load

import (
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/tools/txtar"

	"github.com/tendhq/tend/controller/spec"
)

var update = flag.Bool("update", false, "write the golden files anew")

// Each story in testdata/stories is a project folder and what is made of
// it. Its text is what it shows; the file "want" is written by -update; the
// file "profiles" activates profiles, and "ingress" names the image of ingresses, without
// which there are none.
func TestStories(t *testing.T) {
	stories, err := filepath.Glob("testdata/stories/*.txtar")
	require.NoError(t, err)
	require.NotEmpty(t, stories)
	for _, path := range stories {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			story, err := txtar.ParseFile(path)
			require.NoError(t, err)
			dir := filepath.Join(t.TempDir(), "demo")
			o := Options{ProjectDirectory: dir}
			want := -1
			for i, f := range story.Files {
				switch f.Name {
				case "want":
					want = i
				case "profiles":
					o.Profiles = strings.Fields(string(f.Data))
				case "ingress":
					o.IngressImage = strings.TrimSpace(string(f.Data))
				default:
					write(t, filepath.Join(dir, f.Name), string(f.Data))
				}
			}
			project, err := Project(t.Context(), o)
			got := strings.ReplaceAll(describe(t, project, err), dir+"/", "")
			got = strings.ReplaceAll(got, dir, ".")
			if *update {
				if want < 0 {
					story.Files = append(story.Files, txtar.File{Name: "want"})
					want = len(story.Files) - 1
				}
				story.Files[want].Data = []byte(got)
				require.NoError(t, os.WriteFile(path, txtar.Format(story), 0o644))
			}
			require.NotEqual(t, -1, want, "the story has no file \"want\"")
			assert.Equal(t, string(story.Files[want].Data), got)
		})
	}
}

// describe writes what Project returned for a person to read: all but the
// templates and the hashes.
func describe(t *testing.T, p *spec.Project, err error) string {
	if err != nil {
		assert.Nil(t, p, "an error came with a project")
		var problems spec.Errors
		require.ErrorAs(t, err, &problems, "not the user's to correct")
		var lines strings.Builder
		for _, e := range problems {
			fmt.Fprintln(&lines, e)
		}
		return lines.String()
	}
	var b strings.Builder
	fmt.Fprintf(&b, "project %s of %s\n", p.Name, strings.Join(slices.Concat(p.ConfigFiles, p.SpecFiles), " "))
	for _, name := range slices.Sorted(maps.Keys(p.Workloads)) {
		w := p.Workloads[name]
		fmt.Fprintf(&b, "\n%s %s: %d x %s, pull %s\n", w.Kind, w.Name, w.Replicas, w.Image, w.PullPolicy)
		fmt.Fprintf(&b, "  strategy: %s surge %d unavailable %d, ready %v, deadline %v, history %d, paused %t\n", w.Strategy.Type,
			w.Strategy.MaxSurge, w.Strategy.MaxUnavailable, w.MinReady, w.ProgressDeadline, w.RevisionHistoryLimit, w.Paused)
		fmt.Fprintf(&b, "  restart: %s (%s) after %v to %v, window %v, attempts %d, backoff limit %d, active deadline %v, grace %v\n", w.Restart.Condition, w.Restart.Reason,
			w.Restart.Delay, w.Restart.MaxDelay, w.Restart.Window, w.Restart.MaxAttempts, w.BackoffLimit, w.ActiveDeadline, w.StopGrace)
		if w.RestartPolicy != "" {
			fmt.Fprintf(&b, "  restart policy: %s\n", w.RestartPolicy)
		}
		if a := w.Autoscaling; a != nil {
			fmt.Fprintf(&b, "  autoscaling: %d to %d by %+v\n    up %+v\n    down %+v\n    surge %+v unavailable %+v\n",
				a.MinReplicas, a.MaxReplicas, a.Metrics, a.ScaleUp, a.ScaleDown, a.MaxSurge, a.MaxUnavailable)
		}
		for _, d := range w.DependsOn {
			fmt.Fprintf(&b, "  depends on %s: %s, required %t, restart %t\n", d.Name, d.Condition, d.Required, d.Restart)
		}
		fmt.Fprintf(&b, "  on failure: %s, drain %v\n", w.OnFailure, w.Drain)
		if w.Kind == spec.Database {
			fmt.Fprintf(&b, "  backup: before update %t, keep %d\n", w.Backup.BeforeUpdate, w.Backup.Keep)
		}
		for field, p := range eachProbe(w.Probes) {
			fmt.Fprintf(&b, "  %s: %s after %v every %v within %v, success %d, failure %d\n",
				field, action(p), p.InitialDelay, p.Period, p.Timeout, p.SuccessThreshold, p.FailureThreshold)
		}
		for _, h := range w.PreRollout {
			fmt.Fprintf(&b, "  hook %s: %q within %v\n", h.Name, h.Command, h.Timeout)
		}
		if to := w.Backend; to != nil {
			fmt.Fprintf(&b, "  holds %s for %s at %d; http %t, PROXY protocol %t; %s\n", to.HostPort, to.Service, to.Target, to.HTTP, to.ProxyProtocol,
				strings.Join(w.Template.Command, " "))
		}
		list(&b, "ports", w.Ports)
		list(&b, "networks", w.Networks)
		list(&b, "volumes", w.Volumes)
		if w.DataVolume != "" {
			fmt.Fprintf(&b, "  data volume: %s\n", w.DataVolume)
		}
		list(&b, "host ports", w.FixedHostPorts)
	}
	list(&b, "unmanaged", p.Unmanaged)
	list(&b, "disabled", p.Disabled)
	return b.String()
}

func action(p *spec.Probe) string {
	switch {
	case p.HTTPGet != nil:
		return fmt.Sprintf("httpGet %+v", *p.HTTPGet)
	case p.TCPSocket != nil:
		return fmt.Sprintf("tcpSocket %+v", *p.TCPSocket)
	case p.Exec != nil:
		return fmt.Sprintf("exec %q", p.Exec.Command)
	case p.Postgres != nil:
		return fmt.Sprintf("postgres %+v", *p.Postgres)
	}
	return "nothing"
}

func list[T any](b *strings.Builder, what string, values []T) {
	if len(values) > 0 {
		fmt.Fprintf(b, "  %s: %s\n", what, strings.Trim(fmt.Sprint(values), "[]"))
	}
}

func write(t testing.TB, path, content string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(t, os.WriteFile(path, []byte(content), 0o644))
}

func TestErrorsAreFoundByAs(t *testing.T) {
	_, err := Project(t.Context(), Options{ProjectDirectory: t.TempDir()})
	var one *spec.Error
	require.ErrorAs(t, fmt.Errorf("load: %w", err), &one)
	var all spec.Errors
	require.True(t, errors.As(err, &all))
	assert.Len(t, all, 1)
}
