package kubernetes

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"

	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/controller/spec/load"
)

// restrictedProject is a project that tend's policy restricted allows.
func restrictedProject(t *testing.T) *spec.Project {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "compose.yaml"), []byte(`
x-restricted: &restricted
  image: registry.example/app:1
  restart: always
  user: "1000:1000"
  cap_drop: [ALL]
  cap_add: [NET_BIND_SERVICE]
  security_opt: ["no-new-privileges:true", "seccomp:builtin"]
services:
  web:
    <<: *restricted
    ports: ["8080:80"]
    volumes: ["data:/data", "/cache", {type: tmpfs, target: /scratch}]
    tmpfs: [/tmp]
    configs: [motd]
    sysctls: {net.ipv4.tcp_syncookies: 1}
    shm_size: 64m
  once: {<<: *restricted, restart: "no"}
volumes: {data: }
configs: {motd: {content: welcome}}
`))
	write(t, filepath.Join(dir, "specs/web.yaml"), []byte(`{apiVersion: tend/v1, kind: Deployment, metadata: {name: web}, spec: {
  onFailure: pause, livenessProbe: {tcpSocket: {port: 80}}, preRollout: [{name: one, command: [one]}, {name: two, command: [two]}]}}`))
	p, err := loaded(dir, load.Options{Policy: spec.Restricted})
	require.NoError(t, err)
	return p
}

// What tend's policy restricted allows passes Kubernetes' Pod Security Standard of that name.
func TestARestrictedProjectIsRestrictedInKubernetes(t *testing.T) {
	r := exported(t, restrictedProject(t))
	c := check(t, r)
	standard, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	require.NoError(t, err)
	passes := func(name string, template corev1.PodTemplateSpec) {
		result := policy.AggregateCheckResults(standard.EvaluatePod(api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}, &template.ObjectMeta, &template.Spec))
		assert.True(t, result.Allowed, "%s: %s", name, result.ForbiddenDetail())
	}
	require.Len(t, c.jobs, 2, "once, and the hooks of web")
	for name, j := range c.jobs {
		passes(name, j.Spec.Template)
	}
	require.Len(t, c.deployments, 1)
	passes("web", c.deployments["web"].Spec.Template)
	assert.Equal(t, []Unsupported{{Service: "web", Key: "volumes", Reason: "the anonymous volume at /cache is gone with its replica: name it to keep it"}}, r.Unsupported)
}
