package e2e_test

import (
	"cmp"
	"fmt"
	"syscall"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// restartPolicies are those of a project's containers, by service; none is "no".
func (p *project) restartPolicies() map[string]container.RestartPolicy {
	p.t.Helper()
	all := map[string]container.RestartPolicy{}
	for _, r := range p.replicas("") {
		policy := r.HostConfig.RestartPolicy
		policy.Name = cmp.Or(policy.Name, "no")
		all[r.service()] = policy
	}
	return all
}

func TestTheRestartPolicyIsTheOneThatDockerComposeSets(t *testing.T) {
	written := ""
	for name, keys := range map[string]string{
		"nothing": "", "no": `restart: "no"`, "always": "restart: always", "unless-stopped": "restart: unless-stopped",
		"on-failure": "restart: on-failure", "on-failure-3": "restart: on-failure:3",
		"deploy-any": "deploy: {restart_policy: {condition: any}}", "deploy-none": "deploy: {restart_policy: {condition: none}}",
		"deploy-on-failure":   "deploy: {restart_policy: {condition: on-failure}}",
		"deploy-on-failure-2": "deploy: {restart_policy: {condition: on-failure, max_attempts: 2}}",
		"deploy-silent":       "deploy: {restart_policy: {delay: 1s}}",
		"both":                "restart: always\n    deploy: {restart_policy: {condition: on-failure}}",
	} {
		written += fmt.Sprintf("  %s:\n    image: ${PROBE}\n    %s\n", name, keys)
	}
	p := newProject(t, files{"compose.yaml": "services:\n" + written})
	p.compose("create")
	want := p.restartPolicies()
	p.compose("down")
	tend := p.run()
	for name := range want {
		p.await(func() error {
			if _, ok := p.restartPolicies()[name]; !ok {
				return fmt.Errorf("%s has no container", name)
			}
			return nil
		})
	}
	tend.stop()
	assert.Equal(t, want, p.restartPolicies())
}

// crash ends a container's process behind the engine's back.
func (p *project) crash(service string) (before replica) {
	p.t.Helper()
	before = p.replica(service)
	require.NoError(p.t, syscall.Kill(before.State.Pid, syscall.SIGKILL))
	return before
}

func TestWhatTendLeavesBehindIsSupervised(t *testing.T) {
	p := newProject(t, files{"compose.yaml": plain + "    restart: always\n"})
	tend := p.run()
	p.awaitReady("web", 1)

	t.Log("the engine is the one that restarts, and tend counts")
	before := p.crash("web")
	p.awaitOtherThan(before, "web", 1)
	assert.Equal(t, 1, p.replica("web").RestartCount)

	t.Log("tend is killed")
	tend.end(syscall.SIGKILL)
	before = p.crash("web")
	p.awaitOtherThan(before, "web", 1)

	t.Log("after apply nobody keeps it but the engine")
	p.edit("compose.yaml", `VERSION: "1"`, `VERSION: "2"`)
	p.mustTend("apply")
	before = p.crash("web")
	assert.Equal(t, "2", before.env("VERSION"))
	p.awaitOtherThan(before, "web", 1)
}

func TestALoopOfTheEnginesIsToldAndCostsTrustInARollout(t *testing.T) {
	p := newProject(t, files{"compose.yaml": plain + "    restart: always\n"})
	tend := p.run()
	tend.awaitEvent("web", "RolloutComplete")
	p.edit("compose.yaml", `VERSION: "1"`, `EXIT: "3"`)
	tend.awaitEvent("web", "CrashLoopBackOff", "exited with code 3", "the engine starts it again")
	p.await(func() error {
		loops, serves := false, false
		for _, r := range p.replicas("web") {
			loops = loops || r.RestartCount >= 5
			serves = serves || r.ready() && r.env("VERSION") == "1"
		}
		if !loops || !serves {
			return fmt.Errorf("the engine has restarted it five times: %t; the old revision serves: %t", loops, serves)
		}
		return nil
	})
}

func TestAProjectIsGivenBackToDockerCompose(t *testing.T) {
	p := newProject(t, rich)
	p.compose("up", "-d")
	p.awaitRich()
	before, resources, policies := p.identities(), p.resources(), p.restartPolicies()
	switchOff := func() {
		for _, r := range p.replicas("") {
			_, err := docker.ContainerUpdate(t.Context(), r.ID, container.UpdateConfig{RestartPolicy: container.RestartPolicy{Name: "no"}})
			require.NoError(t, err)
		}
	}

	t.Log("an earlier tend has switched the restarts off")
	switchOff()
	tend := p.run()
	p.await(func() error {
		if now := p.restartPolicies(); fmt.Sprint(now) != fmt.Sprint(policies) {
			return fmt.Errorf("want %v, have %v", policies, now)
		}
		return nil
	})
	r := p.tend("release")
	assert.NotZero(t, r.code)
	assert.Contains(t, r.errOut, "stop that one first")
	tend.stop()

	switchOff()
	assert.Contains(t, p.tend("release").errOut, "is docker compose's")
	assert.Equal(t, policies, p.restartPolicies())
	p.compose("up", "-d")
	p.assertSame(before, "containers after docker compose up -d")
	assert.Equal(t, resources, p.resources())
}
