package api

import (
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/state"
)

// The parts of Consul's HTTP API by which services are found, so that its clients find
// replicas here: https://developer.hashicorp.com/consul/api-docs. There is one node and one
// datacenter.

// consulDatacenter is the name of the only datacenter.
const consulDatacenter = "tend"

// ConsulNode is what everything runs on.
type ConsulNode struct {
	Node       string `json:"Node"`
	Address    string `json:"Address"`
	Datacenter string `json:"Datacenter"`
}

// ConsulAddress is where a service is reached on one network.
type ConsulAddress struct {
	Address string `json:"Address"`
	Port    int    `json:"Port"`
}

// ConsulService is one port of one replica, or what was registered.
type ConsulService struct {
	ID      string   `json:"ID"`
	Service string   `json:"Service"`
	Tags    []string `json:"Tags"`
	Address string   `json:"Address"`
	Port    int      `json:"Port"`
	// TaggedAddresses are those on each Compose network.
	TaggedAddresses map[string]ConsulAddress `json:"TaggedAddresses"`
	Meta            map[string]string        `json:"Meta"`
}

// ConsulCheck tells whether a replica is ready, and why not, or what a check says of what
// was registered.
type ConsulCheck struct {
	Node        string `json:"Node"`
	CheckID     string `json:"CheckID"`
	Name        string `json:"Name"`
	Status      string `json:"Status"`
	Output      string `json:"Output"`
	ServiceID   string `json:"ServiceID"`
	ServiceName string `json:"ServiceName"`
}

// ConsulEntry is a service with its node and its checks.
type ConsulEntry struct {
	Node    ConsulNode    `json:"Node"`
	Service ConsulService `json:"Service"`
	Checks  []ConsulCheck `json:"Checks"`
}

// ConsulCatalogEntry is a service with its node, in one.
type ConsulCatalogEntry struct {
	ConsulNode
	ServiceID              string                   `json:"ServiceID"`
	ServiceName            string                   `json:"ServiceName"`
	ServiceTags            []string                 `json:"ServiceTags"`
	ServiceAddress         string                   `json:"ServiceAddress"`
	ServicePort            int                      `json:"ServicePort"`
	ServiceTaggedAddresses map[string]ConsulAddress `json:"ServiceTaggedAddresses"`
	ServiceMeta            map[string]string        `json:"ServiceMeta"`
}

// addConsul adds the paths that clients of Consul read.
func (s *server) addConsul(r chi.Router) {
	r.Get("/v1/status/leader", func(w http.ResponseWriter, r *http.Request) { writeJSON(w, r.Host) })
	r.Get("/v1/agent/self", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, map[string]any{"Config": map[string]string{"Datacenter": consulDatacenter, "NodeName": s.Project, "Version": s.Version}})
	})
	r.Get("/v1/catalog/services", s.consul(s.consulServices))
	r.Get("/v1/catalog/service/{name}", s.consul(s.consulCatalog))
	r.Get("/v1/health/service/{name}", s.consul(s.consulHealth))
}

// consul answers as Consul does: at once, or, where the query has an index, when there is
// another one or its wait is over.
func (s *server) consul(read read) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		q, err := parseConsulQuery(r)
		if err != nil {
			fail(w, err)
			return
		}
		if q.blocks {
			release, ok := s.hold(w, r)
			if !ok {
				return
			}
			defer release()
			_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(q.wait + sendTimeout))
			s.block(r.Context(), q)
		}
		if err := s.Ready(); err != nil {
			fail(w, endpointsUnknown())
			return
		}
		snap := s.Store.Snapshot()
		answer, err := read(snap, r)
		if err != nil {
			fail(w, err)
			return
		}
		w.Header().Set("X-Consul-Index", strconv.FormatUint(snap.EndpointsIndex(), 10))
		w.Header().Set("X-Consul-KnownLeader", "true")
		w.Header().Set("X-Consul-LastContact", "0")
		writeJSON(w, answer)
	}
}

// parseConsulQuery reads the index and the wait of a query. Parameters that matter to a
// cluster alone, as dc and stale, are ignored. A wait that is too long is shortened, as
// Consul does.
func parseConsulQuery(r *http.Request) (endpointQuery, error) {
	if r.URL.Query().Has("filter") {
		return endpointQuery{}, problem(http.StatusBadRequest, "filter is not supported here: ask for all, and choose")
	}
	q, err := parseBlockingQuery(r)
	q.wait = min(q.wait, maxWait)
	return q, err
}

// consulServices lists the workloads with ports, which have no tag, and what was registered.
func (s *server) consulServices(snap *state.Snapshot, _ *http.Request) (any, error) {
	if _, err := endpoints(snap); err != nil {
		return nil, err
	}
	names := map[string][]string{}
	for _, row := range snap.Workloads() {
		if len(row.Spec.Ports) > 0 {
			names[row.Name] = []string{}
		}
	}
	for _, row := range snap.Registrations("") {
		tags := append(append([]string{}, names[row.Service]...), row.Tags...)
		slices.Sort(tags)
		names[row.Service] = slices.Compact(tags)
	}
	return names, nil
}

// consulCatalog lists what there is of a service, ready or not.
func (s *server) consulCatalog(snap *state.Snapshot, r *http.Request) (any, error) {
	entries, err := s.consulEntries(snap, r)
	all := []ConsulCatalogEntry{}
	for _, e := range entries {
		all = append(all, ConsulCatalogEntry{
			ConsulNode: e.Node, ServiceID: e.Service.ID, ServiceName: e.Service.Service, ServiceTags: e.Service.Tags, ServiceAddress: e.Service.Address,
			ServicePort: e.Service.Port, ServiceTaggedAddresses: e.Service.TaggedAddresses, ServiceMeta: e.Service.Meta,
		})
	}
	return all, err
}

// consulHealth lists what there is of a service, or with ?passing what is ready.
func (s *server) consulHealth(snap *state.Snapshot, r *http.Request) (any, error) {
	entries, err := s.consulEntries(snap, r)
	if r.URL.Query().Has("passing") {
		entries = slices.DeleteFunc(entries, func(e ConsulEntry) bool {
			return slices.ContainsFunc(e.Checks, func(c ConsulCheck) bool { return c.Status != string(core.CheckPassing) })
		})
	}
	return entries, err
}

// consulEntries lists a service that has the tags that are asked for: a workload by replica
// and port, and what was registered under the name.
func (s *server) consulEntries(snap *state.Snapshot, r *http.Request) ([]ConsulEntry, error) {
	name, tags := chi.URLParam(r, "name"), r.URL.Query()["tag"]
	all, err := endpoints(snap)
	if err != nil {
		return nil, err
	}
	list := []ConsulEntry{} // as Consul answers where there is none
	if row, ok := snap.Workload(name); ok && len(tags) == 0 {
		list = s.consulReplicas(snap, row, all, networkOf(snap, r))
	}
	for _, row := range snap.Registrations(name) {
		if !slices.ContainsFunc(tags, func(tag string) bool { return !slices.Contains(row.Tags, tag) }) {
			list = append(list, s.consulRegistered(row))
		}
	}
	return list, nil
}

// consulReplicas lists a workload by replica and port: those that are published are passing,
// and the others that have an address critical.
func (s *server) consulReplicas(snap *state.Snapshot, row *state.Workload, all Endpoints, network string) []ConsulEntry {
	name, list := row.Name, []ConsulEntry{}
	published := map[string]bool{}
	for _, e := range all.Workloads[name] {
		published[e.Replica] = true
		list = append(list, s.consulPorts(name, network, e, string(core.CheckPassing), "")...)
	}
	blockers := map[string]string{}
	if status, ok := snap.Status(name); ok {
		for _, of := range status.ReplicaStatuses {
			blockers[of.ID] = of.Blocker
		}
	}
	for _, replica := range snap.Replicas(name) {
		if published[replica.Name] || replica.State != core.Running {
			continue
		}
		e := Endpoint{Replica: replica.Name, Revision: replica.Revision, Ports: row.Spec.Ports, Addresses: map[string]string{}}
		for engineName, ip := range replica.Addresses {
			if key, ok := row.Spec.NetworkKeys[engineName]; ok && ip != "" {
				e.Addresses[key] = ip
			}
		}
		list = append(list, s.consulPorts(name, network, e, string(core.CheckCritical), blockers[replica.ID])...)
	}
	return list
}

// consulRegistered makes an entry of what was registered.
func (s *server) consulRegistered(row *state.Registration) ConsulEntry {
	e := ConsulEntry{
		Node: ConsulNode{Node: s.Project, Address: row.Address, Datacenter: consulDatacenter},
		Service: ConsulService{
			ID: row.ID, Service: row.Service, Tags: append([]string{}, row.Tags...), Address: row.Address, Port: row.Port,
			TaggedAddresses: map[string]ConsulAddress{}, Meta: map[string]string{},
		},
		Checks: []ConsulCheck{},
	}
	maps.Copy(e.Service.Meta, row.Meta)
	for _, c := range row.Checks {
		e.Checks = append(e.Checks, ConsulCheck{
			Node: s.Project, CheckID: c.ID, Name: c.Name, Status: string(c.Status), Output: c.Output, ServiceID: row.ID, ServiceName: row.Service,
		})
	}
	return e
}

// consulPorts makes an entry of each port of a replica, at its address on a network, or on
// the first by name where it has none there.
func (s *server) consulPorts(service, network string, e Endpoint, status, why string) (all []ConsulEntry) {
	if len(e.Addresses) == 0 {
		return nil
	}
	if _, ok := e.Addresses[network]; !ok {
		network = slices.Min(slices.Collect(maps.Keys(e.Addresses)))
	}
	for _, port := range e.Ports {
		id := net.JoinHostPort(e.Replica, strconv.Itoa(port))
		tagged := map[string]ConsulAddress{}
		for key, ip := range e.Addresses {
			tagged[key] = ConsulAddress{Address: ip, Port: port}
		}
		all = append(all, ConsulEntry{
			Node: ConsulNode{Node: s.Project, Address: e.Addresses[network], Datacenter: consulDatacenter},
			Service: ConsulService{
				ID: id, Service: service, Tags: []string{}, Address: e.Addresses[network], Port: port, TaggedAddresses: tagged,
				Meta: map[string]string{"replica": e.Replica, "revision": e.Revision, "network": network},
			},
			Checks: []ConsulCheck{{Node: s.Project, CheckID: "service:" + id, Name: "readiness", Status: status, Output: why, ServiceID: id, ServiceName: service}},
		})
	}
	return all
}

// networkOf is the Compose network on which a caller is who is a replica itself; empty where
// it is none.
func networkOf(snap *state.Snapshot, r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return ""
	}
	for _, replica := range snap.Replicas("") {
		row, ok := snap.Workload(replica.Workload)
		for name, ip := range replica.Addresses {
			if ok && ip == host {
				return row.Spec.NetworkKeys[name]
			}
		}
	}
	return ""
}
