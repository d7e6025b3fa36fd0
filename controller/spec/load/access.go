package load

import (
	"fmt"
	"maps"
	"slices"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/tendhq/tend/controller/spec"
)

// The access modes of a volume or a bind, with the words of Kubernetes
// (core/v1 PersistentVolumeAccessMode).
const (
	// readWriteOnce lets one container of a service write at a time. It is the default,
	// except for a service that is written with several replicas.
	readWriteOnce = "ReadWriteOnce"
	// readWriteMany lets several containers write at a time.
	readWriteMany = "ReadWriteMany"
)

// accessModeKey is the key of x-tend that tells how a volume may be shared.
const accessModeKey = "accessMode"

// readAccessModes notes which volumes of the project may be shared, by their
// Compose keys.
func (l *loading) readAccessModes(volumes types.Volumes) (problems spec.Errors) {
	l.shared = map[string]bool{}
	for _, key := range slices.Sorted(maps.Keys(volumes)) {
		mode, problem := l.accessMode(volumes[key].Extensions, "volumes", key)
		if problem != nil {
			problems = append(problems, problem)
		}
		l.shared[key] = mode == readWriteMany
	}
	return problems
}

// accessMode reads x-tend on a volume or on a service's mount. at is its place in the
// Compose files.
func (l *loading) accessMode(extensions types.Extensions, at ...string) (mode string, problem *spec.Error) {
	problem = l.settings(extensions, []setting{{
		key: accessModeKey, example: readWriteMany, read: oneOf(&mode, readWriteOnce, readWriteMany),
		hint: fmt.Sprintf("write %s for one container at a time, or %s for several", readWriteOnce, readWriteMany),
	}}, at...)
	return mode, problem
}

// sharedMounts lists the container paths that several containers may write to.
func (b *builder) sharedMounts() (targets []string) {
	for i, m := range b.service.Volumes {
		mode, problem := b.accessMode(m.Extensions, "services", b.service.Name, "volumes", fmt.Sprint(i))
		if problem != nil {
			b.problems = append(b.problems, problem)
		}
		if mode == readWriteMany || mode == "" && m.Type == types.VolumeTypeVolume && b.shared[m.Source] {
			targets = append(targets, m.Target)
		}
	}
	slices.Sort(targets)
	return targets
}
