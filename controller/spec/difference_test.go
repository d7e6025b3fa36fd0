package spec

import (
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestDifferencesNameFieldsAndNoSecret(t *testing.T) {
	const old, new = "hunter2", "hunter3"
	spec := func(image, secret, port string, period time.Duration) *Workload {
		return &Workload{
			Name: "web", Kind: Deployment, Image: image,
			Probes: Probes{Readiness: &Probe{Period: period, HTTPGet: &HTTPGet{Path: "/ready", Port: 80, Headers: map[string]string{"Authorization": secret}}}},
			Template: types.ServiceConfig{
				Name: "web", Image: image,
				Environment: types.MappingWithEquals{"PASSWORD": &secret, "SAME": &image},
				Command:     types.ShellCommand{"serve", "--password", secret},
				Labels:      types.Labels{"password": secret},
				Ports:       []types.ServicePortConfig{{Target: 80, Published: port}, {Target: 90, Published: "90"}},
				HealthCheck: &types.HealthCheckConfig{Test: types.HealthCheckTest{"CMD", secret}},
				CapAdd:      []string{"NET_ADMIN"},
			},
		}
	}
	a, b := spec("web:1", old, "80", time.Second), spec("web:1", new, "81", 2*time.Second)
	b.Template.CapAdd = nil
	got, err := Differences(a, b)
	require.NoError(t, err)
	assert.Equal(t, []Difference{
		{Field: "cap_add", From: "NET_ADMIN"},
		{Field: "command", Concealed: true},
		{Field: "environment.PASSWORD", Concealed: true},
		{Field: "healthcheck.test", Concealed: true},
		{Field: "labels.password", Concealed: true},
		{Field: "ports", From: `{"published":"80","target":80}`, To: `{"published":"81","target":80}`},
		{Field: "probes.readiness.httpGet.headers.Authorization", Concealed: true},
		{Field: "probes.readiness.periodSeconds", From: "1", To: "2"},
	}, got)

	got, err = Differences(a, spec("web:2", old, "80", time.Second))
	require.NoError(t, err)
	assert.Equal(t, []Difference{{Field: "environment.SAME", Concealed: true}, {Field: "image", From: "web:1", To: "web:2"}}, got)

	got, err = Differences(a, a)
	require.NoError(t, err)
	assert.Empty(t, got)
}
