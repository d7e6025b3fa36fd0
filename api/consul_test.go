package api

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	consul "github.com/hashicorp/consul/api"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/state"
)

// discovered returns a store with two services: web, with one ready replica and one that
// starts, both on two networks; and asker, whose replica is on the second network only.
func discovered() *state.Store {
	s := state.New(func([]state.Change) {})
	keys := map[string]string{"shop_back": "back", "shop_front": "front"}
	s.Update(func(tx *state.Tx) {
		tx.PutWorkload(&state.Workload{Name: "web", Spec: &spec.Workload{Name: "web", Kind: spec.Deployment, Ports: []int{80, 9090}, NetworkKeys: keys}})
		tx.PutWorkload(&state.Workload{Name: "asker", Spec: &spec.Workload{Name: "asker", Kind: spec.Deployment, NetworkKeys: keys}})
		tx.PutStatus(core.Status{Workload: "web", ReplicaStatuses: []core.ReplicaStatus{{ID: "a", Ready: true}, {ID: "b", Blocker: "shop-web-2 is starting"}}})
		tx.PutStatus(core.Status{Workload: "asker"})
		for name, r := range map[string]core.Replica{
			"a": {Workload: "web", Name: "shop-web-1", Revision: "rev1", Addresses: map[string]string{"shop_back": "10.1.0.1", "shop_front": "10.2.0.1"}},
			"b": {Workload: "web", Name: "shop-web-2", Revision: "rev2", Addresses: map[string]string{"shop_back": "10.1.0.2", "shop_front": "10.2.0.2", "other": "10.3.0.2"}},
			"c": {Workload: "web", Name: "shop-web-3", Revision: "rev1", State: core.Exited, Addresses: map[string]string{"shop_back": ""}},
			"d": {Workload: "asker", Name: "shop-asker-1", Addresses: map[string]string{"shop_front": "10.2.0.9"}},
		} {
			r.ID = name
			if r.State == "" {
				r.State = core.Running
			}
			tx.PutReplica(&state.Replica{Replica: r})
		}
		tx.PutEndpoints("web", []core.Endpoint{{Workload: "web", ID: "a", Replica: "shop-web-1", Revision: "rev1", Addresses: map[string]string{"back": "10.1.0.1", "front": "10.2.0.1"}, Ports: []int{80, 9090}}})
	})
	return s
}

// consulClient is Consul's own, of the listener for the project's networks.
func consulClient(t *testing.T, c Config, from, token string, arrived ...func()) *consul.Client {
	return consulClientOf(t, NewReadOnly(c), from, token, arrived...)
}

func consulClientOf(t *testing.T, h http.Handler, from, token string, arrived ...func()) *consul.Client {
	h = conformity.handler(h)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, f := range arrived {
			f()
		}
		r.RemoteAddr = from + ":4711"
		h.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), peerKey{}, peer{name: from})))
	}))
	t.Cleanup(s.Close)
	client, err := consul.NewClient(&consul.Config{Address: s.URL, HttpClient: s.Client(), Token: token})
	require.NoError(t, err)
	return client
}

const outside = "172.20.0.5"

// Consul's own client finds services, those that are ready and those that are not.
func TestAClientOfConsulFindsReplicas(t *testing.T) {
	client := consulClient(t, config(discovered()), outside, tokenOf(t, Reader))
	services, meta, err := client.Catalog().Services(nil)
	require.NoError(t, err)
	assert.Equal(t, map[string][]string{"web": {}}, services)
	assert.NotZero(t, meta.LastIndex)
	assert.True(t, meta.KnownLeader)

	ready, _, err := client.Health().Service("web", "", true, nil)
	require.NoError(t, err)
	var addresses []consul.ServiceAddress
	for _, e := range ready {
		addresses = append(addresses, consul.ServiceAddress{Address: e.Service.Address, Port: e.Service.Port})
		assert.Equal(t, consul.HealthPassing, e.Checks.AggregatedStatus())
		assert.Equal(t, "rev1", e.Service.Meta["revision"])
		assert.Equal(t, "10.2.0.1", e.Service.TaggedAddresses["front"].Address)
	}
	assert.Equal(t, []consul.ServiceAddress{{Address: "10.1.0.1", Port: 80}, {Address: "10.1.0.1", Port: 9090}}, addresses)

	all, _, err := client.Health().Service("web", "", false, nil)
	require.NoError(t, err)
	require.Len(t, all, 4, "one that has ended has no address")
	assert.Equal(t, consul.HealthCritical, all[2].Checks.AggregatedStatus())
	assert.Equal(t, "shop-web-2 is starting", all[2].Checks[0].Output)
	assert.Equal(t, "shop-web-2:80", all[2].Service.ID)
	assert.Len(t, all[2].Service.TaggedAddresses, 2)

	catalog, _, err := client.Catalog().Service("web", "", nil)
	require.NoError(t, err)
	require.Len(t, catalog, 4)
	assert.Equal(t, "10.1.0.1", catalog[0].ServiceAddress)
	assert.Equal(t, "web", catalog[0].ServiceName)

	for _, tag := range []string{"", "v1"} {
		none, _, err := client.Health().Service(map[string]string{"": "nobody", "v1": "web"}[tag], tag, false, nil)
		require.NoError(t, err)
		assert.Empty(t, none)
	}
	leader, err := client.Status().Leader()
	require.NoError(t, err)
	assert.NotEmpty(t, leader)
	self, err := client.Agent().Self()
	require.NoError(t, err)
	assert.Equal(t, "tend", self["Config"]["Datacenter"])
}

// A replica is told the addresses on its own network.
func TestAReplicaIsToldAddressesThatItReaches(t *testing.T) {
	ready, _, err := consulClient(t, config(discovered()), "10.2.0.9", tokenOf(t, Reader)).Health().Service("web", "", true, nil)
	require.NoError(t, err)
	assert.Equal(t, "10.2.0.1", ready[0].Service.Address)
}

func TestAQueryOfConsulIsHeldUntilSomethingChanges(t *testing.T) {
	store, asked := discovered(), make(chan struct{}, 9)
	client := consulClient(t, config(store), outside, tokenOf(t, Reader), func() { asked <- struct{}{} })
	_, meta, err := client.Health().Service("web", "", true, nil)
	require.NoError(t, err)
	<-asked
	go func() {
		<-asked
		store.Update(func(tx *state.Tx) { tx.PutEndpoints("web", nil) })
	}()
	ready, next, err := client.Health().Service("web", "", true, &consul.QueryOptions{WaitIndex: meta.LastIndex, WaitTime: 10 * time.Minute})
	require.NoError(t, err)
	assert.Empty(t, ready)
	assert.Greater(t, next.LastIndex, meta.LastIndex)

	services, same, err := client.Catalog().Services(&consul.QueryOptions{WaitIndex: next.LastIndex, WaitTime: time.Millisecond})
	require.NoError(t, err)
	assert.Len(t, services, 1, "the wait is over")
	assert.Equal(t, next.LastIndex, same.LastIndex)
}

func TestWhatConsulIsAskedForInVain(t *testing.T) {
	client := consulClient(t, config(discovered()), outside, tokenOf(t, Reader))
	_, _, err := client.Health().Service("web", "", true, &consul.QueryOptions{Filter: `Service.Meta.revision == "rev1"`})
	assert.ErrorContains(t, err, "filter is not supported here")
	err = client.Agent().ServiceRegister(&consul.AgentServiceRegistration{Name: "web"})
	assert.ErrorContains(t, err, "403")
	_, _, err = consulClient(t, config(discovered()), outside, "").Catalog().Services(nil)
	assert.ErrorContains(t, err, "401")
	c := config(discovered())
	c.Ready = func() error { return errNotReady }
	_, _, err = consulClient(t, c, outside, tokenOf(t, Reader)).Catalog().Services((&consul.QueryOptions{}).WithContext(context.Background()))
	assert.ErrorContains(t, err, "go on with the last ones")
}
