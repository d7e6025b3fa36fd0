package docker

import (
	"testing"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/stretchr/testify/assert"

	"github.com/tendhq/tend/controller/engine"
)

// What the classic builder cannot do is refused by its key, and the rest is not.
func TestWhatTheClassicBuilderCannotDoIsRefused(t *testing.T) {
	one := "1"
	assert.Empty(t, needsBuildKit(types.BuildConfig{
		Context: "/src", Dockerfile: "Dockerfile", DockerfileInline: "FROM scratch", Tags: []string{"shop/web:2"}, Args: types.MappingWithEquals{"A": &one},
		Labels: types.Labels{"l": "v"}, ExtraHosts: types.HostsList{"h": {"1.2.3.4"}}, CacheFrom: []string{"shop/web:1"}, Target: "run",
		Network: "host", Platforms: []string{"linux/arm64"}, ShmSize: 64, NoCache: true, Pull: true,
	}))
	for key, c := range map[string]types.BuildConfig{
		"secrets": {Secrets: []types.ServiceSecretConfig{{Source: "s"}}}, "ssh": {SSH: types.SSHConfig{{ID: "default"}}},
		"additional_contexts": {AdditionalContexts: types.Mapping{"lib": "/lib"}}, "cache_to": {CacheTo: []string{"type=gha"}},
		"entitlements": {Entitlements: []string{"network.host"}}, "privileged": {Privileged: true}, "provenance": {Provenance: "true"},
		"sbom": {SBOM: "true"}, "platforms": {Platforms: []string{"linux/amd64", "linux/arm64"}},
	} {
		assert.Equal(t, key, needsBuildKit(c))
	}
}

// All keys of a build section reach BuildKit.
func TestABuildSectionInTheWordsOfBuildx(t *testing.T) {
	one := "1"
	assert.Equal(t, []string{
		"--progress", "plain", "--load", "--tag", "shop-web", "--tag", "shop/web:2", "--file", "/src/Dockerfile",
		"--build-arg", "A=1", "--build-arg", "FROM_ENV", "--label", "l=v", "--label", "project=shop", "--build-context", "lib=/lib",
		"--secret", "id=s,src=/s.txt", "--secret", "id=token,env=TOKEN", "--ssh", "default", "--ssh", "key=/id",
		"--ulimit", "nofile=1:2", "--ulimit", "nproc=3", "--add-host", "h:1.2.3.4", "--cache-from", "type=gha", "--cache-to", "type=gha",
		"--allow", "network.host", "--target", "run", "--network", "host", "--provenance", "true", "--sbom", "true",
		"--platform", "linux/arm64", "--shm-size", "64", "--no-cache", "--pull", "--allow", "security.insecure", "/src",
	}, buildxArguments(engine.BuildSpec{
		Ref: "shop-web", Labels: map[string]string{"project": "shop"},
		Secrets: types.Secrets{"s": {File: "/s.txt"}, "t": {Environment: "TOKEN"}},
		Config: types.BuildConfig{
			Context: "/src", Dockerfile: "Dockerfile", Tags: []string{"shop/web:2"}, Args: types.MappingWithEquals{"A": &one, "FROM_ENV": nil},
			Labels: types.Labels{"l": "v"}, AdditionalContexts: types.Mapping{"lib": "/lib"},
			Secrets:    []types.ServiceSecretConfig{{Source: "s"}, {Source: "t", Target: "token"}},
			SSH:        types.SSHConfig{{ID: "default"}, {ID: "key", Path: "/id"}},
			Ulimits:    map[string]*types.UlimitsConfig{"nproc": {Single: 3}, "nofile": {Soft: 1, Hard: 2}},
			ExtraHosts: types.HostsList{"h": {"1.2.3.4"}}, CacheFrom: []string{"type=gha"}, CacheTo: []string{"type=gha"},
			Entitlements: []string{"network.host"}, Target: "run", Network: "host", Provenance: "true", SBOM: "true",
			Platforms: []string{"linux/arm64"}, ShmSize: 64, NoCache: true, Pull: true, Privileged: true,
		},
	}))
}
