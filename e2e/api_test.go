package e2e_test

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/api"
)

// raw asks the API for a list.
func raw[T any](p *project, path string) (list api.List[T]) {
	p.t.Helper()
	require.NoError(p.t, json.Unmarshal([]byte(p.mustTend("get", "--raw", path)), &list))
	return list
}

// What goes through an ingress is told, and so is what its replicas write.
func TestTheAPITellsOfTrafficAndLogs(t *testing.T) {
	p, address := publishing(t, published)
	p.run()
	c := ask(t, address)
	p.await(func() error {
		for _, of := range raw[api.Traffic](p, "/api/v1/traffic").Items {
			for _, s := range of.Samples {
				if of.Workload == "web" && s.Requests > 0 && s.P99 > 0 {
					assert.Zero(t, s.Failures)
					return nil
				}
			}
		}
		return errors.New("no requests are told")
	})
	c.end(t)
	replica := p.replica("web").name()
	p.await(func() error {
		for _, line := range raw[api.LogLine](p, "/api/v1/workloads/web/logs").Items {
			if line.Replica == replica && !line.Time.IsZero() {
				return nil
			}
		}
		return errors.New("no line of the replica is told")
	})
}
