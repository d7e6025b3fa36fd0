package api

import (
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"

	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/state"
)

// TargetGroup is one entry of Prometheus' HTTP service discovery:
// https://prometheus.io/docs/prometheus/latest/http_sd/
type TargetGroup struct {
	Targets []string          `json:"targets"`
	Labels  map[string]string `json:"labels"`
}

// address is where an endpoint is reached: on the network that the query
// names, or on the first by name. ok is false where it has none there.
func address(e Endpoint, r *http.Request) (network, ip string, ok bool) {
	network = r.URL.Query().Get("network")
	if network == "" && len(e.Addresses) > 0 {
		network = slices.Min(slices.Collect(maps.Keys(e.Addresses)))
	}
	ip, ok = e.Addresses[network]
	return network, ip, ok
}

// discoverPrometheus lists one target for each endpoint and port.
func (s *server) discoverPrometheus(snap *state.Snapshot, r *http.Request) (any, error) {
	all, err := endpoints(snap)
	if err != nil {
		return nil, err
	}
	groups := []TargetGroup{}
	for _, workload := range slices.Sorted(maps.Keys(all.Workloads)) {
		for _, e := range all.Workloads[workload] {
			network, ip, ok := address(e, r)
			if !ok {
				continue
			}
			for _, port := range e.Ports {
				port := strconv.Itoa(port)
				groups = append(groups, TargetGroup{
					Targets: []string{net.JoinHostPort(ip, port)},
					Labels: map[string]string{
						"__meta_tend_project":  s.Project,
						"__meta_tend_workload": workload,
						"__meta_tend_replica":  e.Replica,
						"__meta_tend_revision": e.Revision,
						"__meta_tend_network":  network,
						"__meta_tend_port":     port,
					},
				})
			}
		}
	}
	return groups, nil
}

// TraefikConfiguration is a dynamic configuration for Traefik's HTTP provider:
// https://doc.traefik.io/traefik/providers/http/
type TraefikConfiguration struct {
	HTTP TraefikHTTP `json:"http"`
}

// TraefikHTTP holds the services, named WORKLOAD-PORT.
type TraefikHTTP struct {
	Services map[string]TraefikService `json:"services"`
}

// TraefikService is a service of Traefik.
type TraefikService struct {
	LoadBalancer TraefikLoadBalancer `json:"loadBalancer"`
}

// TraefikLoadBalancer spreads requests over servers.
type TraefikLoadBalancer struct {
	Servers []TraefikServer `json:"servers"`
}

// TraefikServer is one replica.
type TraefikServer struct {
	URL string `json:"url"`
}

// discoverTraefik makes a service of each Deployment and port. One without endpoints
// has no servers, so that a router that names it stays valid.
func (s *server) discoverTraefik(snap *state.Snapshot, r *http.Request) (any, error) {
	all, err := endpoints(snap)
	if err != nil {
		return nil, err
	}
	services := map[string]TraefikService{}
	for _, row := range snap.Workloads() {
		if row.Spec.Kind != spec.Deployment {
			continue
		}
		for _, port := range row.Spec.Ports {
			servers := []TraefikServer{}
			for _, e := range all.Workloads[row.Name] {
				if _, ip, ok := address(e, r); ok && slices.Contains(e.Ports, port) {
					servers = append(servers, TraefikServer{URL: "http://" + net.JoinHostPort(ip, strconv.Itoa(port))})
				}
			}
			services[row.Name+"-"+strconv.Itoa(port)] = TraefikService{TraefikLoadBalancer{Servers: servers}}
		}
	}
	return TraefikConfiguration{TraefikHTTP{Services: services}}, nil
}
