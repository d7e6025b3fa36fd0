package spec

import (
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
)

// Joins are the services whose namespaces or volumes the workload's containers share, by
// network_mode, ipc, pid and volumes_from; sorted.
func (w *Workload) Joins() (services []string) {
	for _, mode := range []string{w.Template.NetworkMode, w.Template.Ipc, w.Template.Pid} {
		if service := JoinedService(mode); service != "" {
			services = append(services, service)
		}
	}
	for _, from := range w.Template.VolumesFrom {
		if service := VolumesService(from); service != "" {
			services = append(services, service)
		}
	}
	slices.Sort(services)
	return slices.Compact(services)
}

// waitsFor reports whether the workload depends on a service of the project that tend
// keeps. Compose has each service depend on those that it joins.
func (w *Workload) waitsFor(service string) bool {
	return service != "" && slices.ContainsFunc(w.DependsOn, func(d Dependency) bool { return d.Name == service })
}

// NetworkJoined is the service in whose network the workload's containers are; empty where
// they are in networks of their own.
func (w *Workload) NetworkJoined() string { return JoinedService(w.Template.NetworkMode) }

// JoinedService is the service that a value of network_mode, ipc or pid names; empty where
// it names none.
func JoinedService(mode string) string {
	if service, ok := strings.CutPrefix(mode, types.ServicePrefix); ok {
		return service
	}
	return ""
}

// VolumesService is the service that an entry of volumes_from names; empty where it names a
// container.
func VolumesService(from string) string {
	if strings.HasPrefix(from, types.ContainerPrefix) {
		return ""
	}
	service, _, _ := strings.Cut(from, ":")
	return service
}

// Joined is a service with containers in the place of the services that it joins, by
// service, as Compose has it when it creates one, and when it judges whether one is as it
// is written. The access mode of volumes_from is lost, as there.
func Joined(s types.ServiceConfig, containers map[string]string) types.ServiceConfig {
	for _, mode := range []*string{&s.NetworkMode, &s.Ipc, &s.Pid} {
		if service := JoinedService(*mode); service != "" {
			*mode = types.ContainerPrefix + containers[service]
		}
	}
	s.VolumesFrom = slices.Clone(s.VolumesFrom)
	for i, from := range s.VolumesFrom {
		if service := VolumesService(from); service != "" {
			s.VolumesFrom[i] = containers[service]
			continue
		}
		s.VolumesFrom[i], _, _ = strings.Cut(strings.TrimPrefix(from, types.ContainerPrefix), ":")
	}
	return s
}

// ConfigHashJoined is what Compose writes as the config-hash label of a container of the
// workload that has joined these containers, by service.
func (w *Workload) ConfigHashJoined(containers map[string]string) string {
	if len(w.Template.VolumesFrom) == 0 && len(w.Joins()) == 0 {
		return w.ConfigHash
	}
	hash, err := serviceHash(Joined(w.Template, containers))
	if err != nil {
		return w.ConfigHash // which was made of the same values
	}
	return hash
}
