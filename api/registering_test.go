package api

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	consul "github.com/hashicorp/consul/api"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// registrar returns a client of Consul's own, with the admin token, whose checks are kept.
func registrar(t *testing.T) (*consul.Client, Config) {
	t.Helper()
	c := config(discovered())
	go c.Controller.(*intents).registrations.Run(t.Context())
	return consulClientOf(t, New(c), outside, tokenOf(t, Admin)), c
}

// found returns the addresses of what is ready of a service.
func found(t *testing.T, client *consul.Client, service, tag string) (all []string) {
	t.Helper()
	entries, _, err := client.Health().Service(service, tag, true, nil)
	require.NoError(t, err)
	for _, e := range entries {
		all = append(all, e.Service.Address)
	}
	return all
}

// Consul's own client registers a service, says how it is, and finds it; other clients see
// each change at once.
func TestAServiceOutsideOfTendIsRegisteredAndFound(t *testing.T) {
	client, c := registrar(t)
	reader := consulClient(t, c, outside, tokenOf(t, Reader))
	agent := client.Agent()
	require.NoError(t, agent.ServiceRegister(&consul.AgentServiceRegistration{
		ID: "billing-1", Name: "billing", Address: "192.0.2.7", Port: 8443, Tags: []string{"v2"}, Meta: map[string]string{"zone": "a"},
		Check: &consul.AgentServiceCheck{TTL: "10s", DeregisterCriticalServiceAfter: "90m"},
	}))
	assert.Empty(t, found(t, reader, "billing", ""), "it has not said that it is ready")
	all, meta, err := reader.Health().Service("billing", "", false, nil)
	require.NoError(t, err)
	require.Len(t, all, 1)
	assert.Equal(t, consul.HealthCritical, all[0].Checks.AggregatedStatus())
	assert.Equal(t, "service:billing-1", all[0].Checks[0].CheckID)

	changed := make(chan []*consul.ServiceEntry, 1)
	go func() {
		entries, _, err := reader.Health().Service("billing", "", true, &consul.QueryOptions{WaitIndex: meta.LastIndex, WaitTime: time.Minute})
		assert.NoError(t, err)
		changed <- entries
	}()
	require.NoError(t, agent.PassTTL("service:billing-1", "all is well")) //nolint:staticcheck // clients use it
	require.Len(t, <-changed, 1)
	assert.Equal(t, []string{"192.0.2.7"}, found(t, reader, "billing", ""))
	assert.Equal(t, []string{"192.0.2.7"}, found(t, reader, "billing", "v2"))
	assert.Empty(t, found(t, reader, "billing", "v1"))
	services, _, err := reader.Catalog().Services(nil)
	require.NoError(t, err)
	assert.Equal(t, map[string][]string{"web": {}, "billing": {"v2"}}, services)
	catalog, _, err := reader.Catalog().Service("billing", "v2", nil)
	require.NoError(t, err)
	require.Len(t, catalog, 1)
	assert.Equal(t, 8443, catalog[0].ServicePort)
	assert.Equal(t, "a", catalog[0].ServiceMeta["zone"])

	for status, want := range map[string]string{"warn": consul.HealthWarning, "fail": consul.HealthCritical} {
		require.NoError(t, agent.UpdateTTL("service:billing-1", "so it is", status))
		checks, _, err := reader.Health().Service("billing", "", false, nil)
		require.NoError(t, err)
		assert.Equal(t, want, checks[0].Checks[0].Status)
		assert.Equal(t, "so it is", checks[0].Checks[0].Output)
		assert.Empty(t, found(t, reader, "billing", ""))
	}
	for _, path := range []string{"pass", "warn", "fail"} {
		_, err := client.Raw().Write("/v1/agent/check/"+path+"/service:billing-1", nil, nil, nil)
		require.NoError(t, err)
	}

	require.NoError(t, agent.ServiceDeregister("billing-1"))
	assert.ErrorContains(t, agent.ServiceDeregister("billing-1"), `no service is registered as`)
	assert.ErrorContains(t, agent.UpdateTTL("service:billing-1", "", "pass"), "404")
	var told []string
	for _, e := range c.Store.Snapshot().Events(0) {
		told = append(told, e.Reason+": "+e.Message+" by "+e.Actor)
	}
	assert.Equal(t, []string{
		"ServiceRegistered: billing-1 of the service billing is registered, at 192.0.2.7:8443 by admin token",
		"ServiceDeregistered: billing-1 is registered no more by admin token",
	}, told)
}

// A service is asked by tend, and found beside the replicas of a workload of its name.
func TestAServiceIsAskedOverHTTP(t *testing.T) {
	client, _ := registrar(t)
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer s.Close()
	require.NoError(t, client.Agent().ServiceRegister(&consul.AgentServiceRegistration{
		Name: "web", Address: "192.0.2.8", Port: 80, Checks: consul.AgentServiceChecks{{HTTP: s.URL, Interval: "1s"}, {CheckID: "alive", TTL: "1m", Status: "passing"}},
	}))
	require.Eventually(t, func() bool { return len(found(t, client, "web", "")) == 3 }, 10*time.Second, 10*time.Millisecond)
	assert.Equal(t, []string{"10.1.0.1", "10.1.0.1", "192.0.2.8"}, found(t, client, "web", ""))
	all, _, err := client.Health().Service("web", "", false, nil)
	require.NoError(t, err)
	assert.Equal(t, "service:web:1", all[4].Checks[0].CheckID)
	assert.ErrorContains(t, client.Agent().UpdateTTL("service:web:1", "", "pass"), "no check with a TTL")
}

func TestOnlyControlRegisters(t *testing.T) {
	c := config(discovered())
	billing := &consul.AgentServiceRegistration{Name: "billing", Address: "192.0.2.7"}
	assert.ErrorContains(t, consulClientOf(t, New(c), outside, tokenOf(t, Reader)).Agent().ServiceRegister(billing), "403")
	assert.ErrorContains(t, consulClientOf(t, New(c), outside, "").Agent().ServiceRegister(billing), "401")
	assert.ErrorContains(t, consulClient(t, c, outside, tokenOf(t, Admin)).Agent().ServiceRegister(billing), "404", "the listener for the project's networks")
	assert.Empty(t, c.Store.Snapshot().Registrations(""))
}

func TestWhatCannotBeRegistered(t *testing.T) {
	client, c := registrar(t)
	require.NoError(t, client.Agent().ServiceRegister(&consul.AgentServiceRegistration{
		ID: "first", Name: "billing", Address: "192.0.2.7", Check: &consul.AgentServiceCheck{CheckID: "taken", TTL: "1m"},
	}))
	good := func() *consul.AgentServiceRegistration {
		return &consul.AgentServiceRegistration{Name: "billing", Address: "host.example", Check: &consul.AgentServiceCheck{HTTP: "http://192.0.2.7/", Interval: "1s"}}
	}
	for want, spoil := range map[string]func(*consul.AgentServiceRegistration){
		`Name and ID have letters`:     func(r *consul.AgentServiceRegistration) { r.Name = "" },
		`and \"a/b\"`:                  func(r *consul.AgentServiceRegistration) { r.ID = "a/b" },
		"there is no agent beside":     func(r *consul.AgentServiceRegistration) { r.Address = "" },
		"a number up to 65535":         func(r *consul.AgentServiceRegistration) { r.Port = 65536 },
		"there is no agent":            func(r *consul.AgentServiceRegistration) { r.Address = "host:80" },
		"at most 64 tags":              func(r *consul.AgentServiceRegistration) { r.Tags = make([]string, 65) },
		`unknown field \"Connect\"`:    func(r *consul.AgentServiceRegistration) { r.Connect = &consul.AgentServiceConnect{Native: true} },
		`unknown field \"ScriptArgs\"`: func(r *consul.AgentServiceRegistration) { r.Check.Args = []string{"rm"} },
		"either a TTL, or HTTP":        func(r *consul.AgentServiceRegistration) { r.Check.TTL = "1s" },
		`Interval is a duration`:       func(r *consul.AgentServiceRegistration) { r.Check.Interval = "1ms" },
		`Timeout is a duration`:        func(r *consul.AgentServiceRegistration) { r.Check.Timeout = "11s" },
		"without a user":               func(r *consul.AgentServiceRegistration) { r.Check.HTTP = "http://me:secret@192.0.2.7/" },
		"the form http://HOST":         func(r *consul.AgentServiceRegistration) { r.Check.HTTP = "file:///etc/passwd" },
		`critical, and not \"fine\"`:   func(r *consul.AgentServiceRegistration) { r.Check.Status = "fine" },
		"CheckID has letters":          func(r *consul.AgentServiceRegistration) { r.Check.CheckID = "a b" },
		"give this one another":        func(r *consul.AgentServiceRegistration) { r.Check.CheckID = "taken" },
		"there is another one": func(r *consul.AgentServiceRegistration) {
			again := *r.Check
			again.CheckID = "service:billing:1"
			r.Checks = append(r.Checks, &again)
		},
		"at most 8 checks":          func(r *consul.AgentServiceRegistration) { r.Checks = make(consul.AgentServiceChecks, 9) },
		"the body has at most":      func(r *consul.AgentServiceRegistration) { r.Meta = map[string]string{"a": strings.Repeat("a", 5000)} },
		"DeregisterCriticalService": func(r *consul.AgentServiceRegistration) { r.Check.DeregisterCriticalServiceAfter = "soon" },
	} {
		r := good()
		spoil(r)
		assert.ErrorContains(t, client.Agent().ServiceRegister(r), want)
	}
	_, err := client.Raw().Write("/v1/agent/check/update/taken", map[string]string{"Status": "fine"}, nil, nil)
	assert.ErrorContains(t, err, "Status is passing, warning or critical")
	assert.Len(t, c.Store.Snapshot().Registrations(""), 1)
	require.NoError(t, client.Agent().ServiceRegister(good()))

	for i := range maxRegistrations - 2 {
		r := good()
		r.ID = "billing-" + string(rune('a'+i/26)) + string(rune('a'+i%26))
		require.NoError(t, client.Agent().ServiceRegister(r))
	}
	full := good()
	full.ID = "one-too-many"
	assert.ErrorContains(t, client.Agent().ServiceRegister(full), "256 services are registered already")
	require.NoError(t, client.Agent().ServiceRegister(good()), "one that is there is registered again")
}
