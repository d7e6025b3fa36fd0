package observe

import (
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/plan"
	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/state"
)

// put writes a container down as a replica, if it is one. It writes a row only when
// something changed, as each write has the workload planned anew.
func (o *Observer) put(tx *state.Tx, c engine.Container) {
	if !isKept(c.Labels) {
		return
	}
	folder := o.folders.Foreign(c.Labels)
	switch {
	case folder != "":
		putForeigner(tx, c, folder)
		return
	case c.Labels[spec.LabelHook] != "":
		putHook(tx, c)
		return
	}
	r := &state.Replica{Replica: toReplica(c)}
	o.ends.tell(&r.Replica)
	r.TakenOver = spec.OtherFolder(o.folders.Project, c.Labels) != ""
	before, known := tx.Replica(c.ID)
	r.WasReady = !r.ReadySince.IsZero() || known && sameRun(before.Replica, r.Replica) && before.WasReady
	if known && sameRun(before.Replica, r.Replica) && !before.ReadySince.IsZero() && !r.ReadySince.IsZero() {
		// The engine remembers few health checks, so the earlier instant is right where
		// the replica has been ready ever since.
		r.ReadySince = before.ReadySince
	}
	if known && equal(before.Replica, r.Replica) {
		return
	}
	if known && r.RestartCount > before.RestartCount && o.OnRestart != nil {
		o.OnRestart(r.Workload, r.RestartCount-before.RestartCount)
	}
	tx.PutReplica(r)
}

// isKept reports whether a container with these labels is a replica, an ingress's or a
// hook's. A
// container that neither Compose nor tend made is not, nor is a person's one-off.
func isKept(labels map[string]string) bool {
	ours := labels[spec.LabelHook] != "" || labels[spec.LabelIngress] != ""
	return labels[spec.LabelService] != "" && (ours || labels[spec.LabelOneoff] != "True")
}

// Foreign returns the folder that a container of the project's name was made from,
// where that is another project's; empty where the container is the project's.
func (f Folders) Foreign(labels map[string]string) string {
	folder := spec.OtherFolder(f.Project, labels)
	if slices.ContainsFunc(f.TakeOver, func(taken string) bool { return filepath.Clean(taken) == filepath.Clean(folder) }) {
		return ""
	}
	return folder
}

// putForeigner writes down a container that was made from another folder. A hook's
// container there is in nobody's way.
func putForeigner(tx *state.Tx, c engine.Container, folder string) {
	if c.Labels[spec.LabelHook] != "" {
		return
	}
	_, err := os.Stat(folder)
	f := core.Foreigner{ID: c.ID, Name: c.Name, Workload: spec.WorkloadOf(c.Labels), Folder: folder, Gone: err != nil, Volumes: c.NamedVolumes()}
	if before, known := tx.Foreigner(c.ID); !known || !reflect.DeepEqual(before.Foreigner, f) {
		tx.PutForeigner(&state.Foreigner{Foreigner: f})
	}
}

// putHook writes down a run of a hook. The number on its label counts one-off containers,
// and is no replica's.
func putHook(tx *state.Tx, c engine.Container) {
	h := &state.HookRun{HookRun: core.HookRun{Replica: toReplica(c), Hook: c.Labels[spec.LabelHook], Output: strings.TrimSpace(c.HealthOutput)}}
	h.Number = 0
	if before, known := tx.HookRun(c.ID); !known || !equal(before.Replica, h.Replica) {
		tx.PutHookRun(h)
	}
}

func sameRun(a, b core.Replica) bool { return a.StartedAt.Equal(b.StartedAt) }

func equal(a, b core.Replica) bool {
	return a.Name == b.Name && a.State == b.State && a.Health == b.Health && a.ExitCode == b.ExitCode &&
		a.StartedAt.Equal(b.StartedAt) && a.FinishedAt.Equal(b.FinishedAt) && a.ReadySince.Equal(b.ReadySince) &&
		a.Interrupted == b.Interrupted && a.Unwatched == b.Unwatched &&
		a.Broken == b.Broken && a.RestartPolicy == b.RestartPolicy && a.RestartCount == b.RestartCount && maps.Equal(a.Addresses, b.Addresses) && maps.Equal(a.NetworkIDs, b.NetworkIDs)
}

func toReplica(c engine.Container) core.Replica {
	r := core.Replica{
		Workload: spec.WorkloadOf(c.Labels), Number: number(c.Labels[spec.LabelContainerNumber]), Name: c.Name, ID: c.ID,
		Revision: c.Labels[spec.LabelRevision], ConfigHash: c.Labels[spec.LabelConfigHash], Kind: spec.Kind(c.Labels[spec.LabelKind]),
		State: core.State(c.State), Health: core.Health(c.Health), HealthOutput: lastLine(c.HealthOutput), HealthExitCode: c.HealthExitCode,
		ExitCode: c.ExitCode, OOMKilled: c.OOMKilled,
		Created: c.Created, StartedAt: c.StartedAt, FinishedAt: c.FinishedAt,
		StopTimeout:   c.StopTimeout,
		RestartPolicy: c.RestartPolicy, RestartCount: c.RestartCount,
		Addresses: c.Networks, NetworkIDs: c.NetworkIDs, Publishing: c.Labels[spec.LabelIngressNetwork], Ports: c.PublishedPorts, HostPorts: c.HostPorts,
		Image: c.Image, ImageID: c.Labels[spec.LabelImage],
		DependsOn: dependsOn(c.Labels[spec.LabelDependsOn]), ConfigFiles: spec.ConfigFilesOf(c.Labels),
		Mounts: writable(c.Mounts), Joins: joins(c.Joins),
	}
	if c.State == engine.Running {
		r.Broken = broken(c)
	}
	if plan.IsReady(r, nil) {
		r.ReadySince = c.StartedAt
		if !c.HealthySince.IsZero() {
			r.ReadySince = c.HealthySince
		}
	}
	return r
}

// writable returns the mounts that a container may write to.
func writable(mounts []engine.Mount) (all []core.Mount) {
	for _, m := range mounts {
		if !m.ReadOnly {
			all = append(all, core.Mount{Target: m.Target, Source: m.Source, Anonymous: m.Anonymous})
		}
	}
	return all
}

func joins(of []engine.Join) (all []core.Join) {
	for _, j := range of {
		all = append(all, core.Join{Kind: core.JoinKind(j.Kind), ID: j.ID})
	}
	return all
}

// number reads the label, and returns 0 for one that neither Compose nor tend writes.
func number(label string) int {
	n, err := strconv.Atoi(label)
	if err != nil || strconv.Itoa(n) != label {
		return 0
	}
	return n
}

// broken names the networks and ports that a running container was created with and has
// lost; empty where it has lost none.
func broken(c engine.Container) string {
	if c.PortsMissing {
		return "its host ports"
	}
	for _, name := range slices.Sorted(maps.Keys(c.Networks)) {
		if c.Networks[name] == "" && name != "host" && name != "none" {
			return "an address on network " + name
		}
	}
	return ""
}

// dependsOn reads the label that Compose writes: dep:condition:restart, comma-joined.
func dependsOn(label string) []string {
	var names []string
	for entry := range strings.SplitSeq(label, ",") {
		if name, _, _ := strings.Cut(entry, ":"); name != "" {
			names = append(names, name)
		}
	}
	return names
}

// lineLimit is how many bytes of a line are kept.
const lineLimit = 256

func lastLine(s string) string {
	s = strings.TrimSpace(s)
	s = s[strings.LastIndex(s, "\n")+1:]
	if len(s) > lineLimit {
		s = strings.ToValidUTF8(s[:lineLimit], "") + "…"
	}
	return s
}
