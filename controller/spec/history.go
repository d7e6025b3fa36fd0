package spec

// WithTemplateOf returns the workload as it is written now, with the template
// of an earlier revision of it and what belongs to that.
func (w *Workload) WithTemplateOf(old *Workload) *Workload {
	now := *w
	now.Revision, now.ConfigHash, now.Template = old.Revision, old.ConfigHash, old.Template
	now.Image, now.PullPolicy = old.Image, old.PullPolicy
	now.ContainerName, now.FixedHostPorts = old.ContainerName, old.FixedHostPorts
	now.Networks, now.NetworkKeys, now.Volumes, now.Ports = old.Networks, old.NetworkKeys, old.Volumes, old.Ports
	now.StopGrace, now.Probes, now.PreRollout = old.StopGrace, old.Probes, old.PreRollout
	return &now
}
