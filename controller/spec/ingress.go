package spec

import (
	"cmp"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
)

// HostPort is a port of the host, or a row of them, that leads to a service.
type HostPort struct {
	// IP is the address of the host that it is bound to; empty for all.
	IP string
	// First and Last are the ports of the host.
	First, Last int
	// Target is the port of a replica that First leads to, and so on up to Last.
	Target int
	// AppProtocol is app_protocol, as written.
	AppProtocol string
}

// Backend is what an ingress leads to, with the word of Kubernetes networking/v1.
type Backend struct {
	// Service is the workload whose replicas get what comes in at HostPort.
	Service string
	HostPort
	// HTTP has it pass requests, and not connections.
	HTTP bool
	// ProxyProtocol has it tell replicas the client's address by the PROXY protocol.
	ProxyProtocol bool
	// Network is the one, by its name in the engine, that a new ingress publishes its port
	// on. It stays in that for good, as the port would close otherwise.
	Network string
}

// ingressSeparator stands between a service and a port in the name of an ingress. A
// Compose service cannot have it in its name.
const ingressSeparator = ":"

// IngressName is the name of the workload that holds a host port of a service.
func IngressName(service string, h HostPort) string {
	return service + ingressSeparator + h.String()
}

// ServiceOf returns the service that a workload belongs to: an ingress's, or itself.
func ServiceOf(workload string) string {
	service, _, _ := strings.Cut(workload, ingressSeparator)
	return service
}

// String is the port as it is written in a Compose file: 127.0.0.1:8080, or 8000-8010.
func (h HostPort) String() string {
	ports := strconv.Itoa(h.First)
	if h.Last != h.First {
		ports += "-" + strconv.Itoa(h.Last)
	}
	switch {
	case h.IP == "":
		return ports
	case strings.Contains(h.IP, ":"):
		return "[" + h.IP + "]:" + ports
	default:
		return h.IP + ":" + ports
	}
}

// PortsKey is the key of x-tend on a service by which, with DirectPorts, its containers
// publish its ports themselves.
const (
	PortsKey    = "ports"
	DirectPorts = "direct"
)

// directAsked reports whether a service's containers are to publish its ports.
func directAsked(s types.ServiceConfig) bool {
	settings, _ := s.Extensions[ExtensionKey].(map[string]any)
	return settings[PortsKey] == DirectPorts
}

// HostPorts are the ports of the host that an ingress holds for the workload's replicas:
// each TCP port that is written as one number. Ports in a row that lead to ports in a row
// are one, as a written range is.
func (w *Workload) HostPorts() (all []HostPort) {
	if w.Direct || w.Kind == Ingress || w.Kind == Job || w.Template.NetworkMode != "" {
		return nil
	}
	for _, p := range w.Template.Ports {
		if port, ok := heldPort(p); ok {
			all = append(all, HostPort{IP: p.HostIP, First: port, Last: port, Target: int(p.Target), AppProtocol: p.AppProtocol})
		}
	}
	slices.SortFunc(all, func(a, b HostPort) int {
		return cmp.Or(cmp.Compare(a.IP, b.IP), cmp.Compare(a.First, b.First), cmp.Compare(a.Target, b.Target))
	})
	all = slices.CompactFunc(all, func(a, b HostPort) bool { return a.IP == b.IP && a.First == b.First })
	return joined(all)
}

// joined returns sorted ports with those in a row made one.
func joined(all []HostPort) (rows []HostPort) {
	for _, h := range all {
		if n := len(rows); n > 0 {
			row := &rows[n-1]
			size := row.Last - row.First + 1
			if row.IP == h.IP && row.AppProtocol == h.AppProtocol && row.Last+1 == h.First && row.Target+size == h.Target {
				row.Last = h.First
				continue
			}
		}
		rows = append(rows, h)
	}
	return rows
}

// DirectPorts are the entries of ports that the containers publish themselves.
func (w *Workload) DirectPorts() []types.ServicePortConfig {
	held := w.HostPorts()
	return slices.DeleteFunc(slices.Clone(w.Template.Ports), func(p types.ServicePortConfig) bool {
		port, ok := heldPort(p)
		return ok && slices.ContainsFunc(held, func(h HostPort) bool { return h.IP == p.HostIP && h.First <= port && port <= h.Last })
	})
}

// ContainerService is the service as a container is made from it: it publishes what no
// ingress holds, and exposes what one does, as those look for who find out where a
// container can be reached.
func (w *Workload) ContainerService() types.ServiceConfig {
	s := w.Template
	s.Ports, s.Expose = w.DirectPorts(), slices.Clone(s.Expose)
	for _, h := range w.HostPorts() {
		for i := range h.Last - h.First + 1 {
			s.Expose = append(s.Expose, fmt.Sprintf("%d/tcp", h.Target+i))
		}
	}
	return s
}

// heldPort returns the host port of an entry of ports that an ingress can hold.
func heldPort(p types.ServicePortConfig) (port int, ok bool) {
	if p.Protocol != "tcp" || p.Mode == "host" {
		return 0, false
	}
	port, err := strconv.Atoi(p.Published)
	return port, err == nil && port > 0
}

// Overlaps reports whether a published port, as "127.0.0.1:8080/tcp", is one of these.
func (h HostPort) Overlaps(published string) bool {
	address, protocol, _ := strings.Cut(published, "/")
	host, text, err := net.SplitHostPort(address)
	port, failed := strconv.Atoi(text)
	if err != nil || failed != nil || protocol != "tcp" || port < h.First || port > h.Last {
		return false
	}
	return h.IP == host || anyAddress(h.IP) || anyAddress(host)
}

func anyAddress(ip string) bool { return ip == "" || ip == "0.0.0.0" || ip == "::" }

// NewIngresses are the workloads that hold the host ports of another one of a project.
// image is what they are made from. proxyProtocol is asked for by the service.
func NewIngresses(p *Project, w *Workload, image string, proxyProtocol bool) (all []*Workload) {
	network := publishingNetwork(p, w)
	for _, h := range w.HostPorts() {
		all = append(all, newIngress(w, h, network, image, proxyProtocol))
	}
	return all
}

// publishingNetwork is the network of a workload on which an ingress publishes: the one that
// an engine which knows no priorities takes, the first by name that is not internal.
func publishingNetwork(p *Project, w *Workload) (first string) {
	for _, name := range slices.Sorted(maps.Keys(w.NetworkKeys)) {
		if first == "" || p.Networks[first].Config.Internal && !p.Networks[name].Config.Internal {
			first = name
		}
	}
	return first
}

const (
	ingressDeadline = 10 * time.Minute // as a Deployment's
	ingressGrace    = 10 * time.Second // as the engine's
)

func newIngress(w *Workload, h HostPort, network, image string, proxyProtocol bool) *Workload {
	template := types.ServiceConfig{
		Name: IngressName(w.Name, h), Image: image,
		// It is spoken to over its standard input, and says all it has to say there.
		StdinOpen: true, Logging: &types.LoggingConfig{Driver: "none"},
		CapDrop: []string{"ALL"}, SecurityOpt: []string{"no-new-privileges"},
		Networks: map[string]*types.ServiceNetworkConfig{},
	}
	for i := range h.Last - h.First + 1 {
		template.Command = append(template.Command, "--listen", fmt.Sprintf(":%d", h.Target+i))
		template.Ports = append(template.Ports, types.ServicePortConfig{
			HostIP: h.IP, Published: strconv.Itoa(h.First + i), Target: uint32(h.Target + i), Protocol: "tcp",
		})
	}
	for key := range w.Template.Networks {
		template.Networks[key] = nil
		if key == w.NetworkKeys[network] {
			template.Networks[key] = &types.ServiceNetworkConfig{Priority: 1, GatewayPriority: 1}
		}
	}
	restart := KubeletRestart
	restart.Reason = fmt.Sprintf("it holds host port %s for %s, which gets at %d what comes in", h, w.Name, h.Target)
	return &Workload{
		Name: template.Name, Kind: Ingress,
		Backend:  &Backend{Service: w.Name, HostPort: h, HTTP: w.SpeaksHTTP(h), ProxyProtocol: proxyProtocol, Network: network},
		Replicas: 1, Strategy: Strategy{Type: Recreate, Reason: "only one container can hold a host port"},
		ProgressDeadline: ingressDeadline, StopGrace: ingressGrace, OnFailure: Pause,
		Restart: restart, RestartPolicy: types.RestartPolicyUnlessStopped,
		Image: image, PullPolicy: types.PullPolicyMissing, Room: 1,
		Template: template,
	}
}

// SpeaksHTTP reports whether clients of a port speak HTTP without TLS: it says so, or
// the service is asked for its health there by HTTP.
func (w *Workload) SpeaksHTTP(h HostPort) bool {
	if h.AppProtocol != "" {
		return h.AppProtocol == "http" || h.AppProtocol == "http2"
	}
	for _, p := range []*Probe{w.Probes.Startup, w.Probes.Readiness, w.Probes.Liveness} {
		if p != nil && p.HTTPGet != nil && p.HTTPGet.Scheme != "https" && h.Target <= p.HTTPGet.Port && p.HTTPGet.Port <= h.Target+h.Last-h.First {
			return true
		}
	}
	return false
}

// container is the part of an ingress's template that only another container can change:
// the ports of the host. The rest reaches a running one: to what a port leads it is told,
// other networks it joins, and another program is given to it.
func (b *Backend) container(template types.ServiceConfig) types.ServiceConfig {
	only := types.ServiceConfig{}
	for _, p := range template.Ports {
		if b.First == b.Last {
			p.Target = 0
		}
		only.Ports = append(only.Ports, p)
	}
	return only
}
