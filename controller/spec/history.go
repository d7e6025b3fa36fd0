package spec

// WithTemplateOf returns the workload as it is written now, with the template of an
// earlier revision and the settings that belong to it. It wants fewer containers where
// fewer of that template can exist side by side.
func (w *Workload) WithTemplateOf(old *Workload) *Workload {
	now := *w
	now.Revision, now.ConfigHash, now.Template = old.Revision, old.ConfigHash, old.Template
	now.Image, now.PullPolicy, now.PullInterval = old.Image, old.PullPolicy, old.PullInterval
	now.ContainerName, now.FixedHostPorts = old.ContainerName, old.FixedHostPorts
	now.Networks, now.NetworkKeys, now.Volumes, now.Ports = old.Networks, old.NetworkKeys, old.Volumes, old.Ports
	now.SharedMounts, now.DataVolume = old.SharedMounts, old.DataVolume
	now.StopGrace, now.Probes, now.PreRollout = old.StopGrace, old.Probes, old.PreRollout
	if now.Room = old.Room; now.Room > 0 {
		now.Replicas = min(now.Replicas, now.Room)
		if now.Strategy.Type == RollingUpdate {
			now.Strategy = now.Strategy.WithSurge(min(now.Strategy.MaxSurge, now.Room-now.Replicas))
		}
	}
	return &now
}
