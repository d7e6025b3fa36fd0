package kubernetes

import (
	"cmp"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/tendhq/tend/controller/spec"
)

// port is a port of a replica.
type port struct {
	number   int
	protocol string // TCP or UDP
}

func (p port) name() string { return strings.ToLower(p.protocol) + "-" + strconv.Itoa(p.number) }

// reachable are the ports of a workload's replicas that are known: TCP's from expose, ports
// and probes, and those of ports with another protocol.
func reachable(w *spec.Workload) (all []port) {
	for _, n := range w.Ports {
		all = append(all, port{n, "TCP"})
	}
	for _, p := range w.Template.Ports {
		if p.Protocol != "tcp" {
			all = append(all, port{int(p.Target), strings.ToUpper(p.Protocol)})
		}
	}
	slices.SortFunc(all, func(a, b port) int {
		return cmp.Or(cmp.Compare(a.protocol, b.protocol), cmp.Compare(a.number, b.number))
	})
	return slices.Compact(all)
}

// reached adds the Services by which workloads reach each other: under the name of the
// service, its aliases and its container_name, as Compose resolves them. Without a known
// port a Service is headless, and every port can be reached.
func (e *exporter) reached(workloads []*spec.Workload) {
	taken := map[string]bool{}
	for _, name := range e.services {
		taken[name] = true
	}
	for _, w := range workloads {
		if w.Kind == spec.Job || w.Template.NetworkMode != "" && w.Template.NetworkMode != "host" {
			continue
		}
		names := []string{e.services[w.Name]}
		for _, alias := range aliases(w) {
			switch {
			case alias == w.Name || alias == e.services[w.Name]: // which it has
			case label(alias) != alias || taken[alias]:
				e.unsupported(w.Name, "networks", fmt.Sprintf("the name %s cannot be that of a Service, or is another's", alias))
			default:
				taken[alias] = true
				names = append(names, alias)
			}
		}
		known := reachable(w)
		if e.isCluster(w) && len(known) == 0 {
			known = []port{{clusterPort, "TCP"}}
		}
		var ports []object
		for _, p := range known {
			ports = append(ports, object{"name": p.name(), "port": p.number, "targetPort": e.target(w, p.number), "protocol": p.protocol})
		}
		for _, name := range names {
			fields := object{"selector": e.backend(w)}.with("ports", ports)
			if len(ports) == 0 {
				fields["clusterIP"] = "None"
			}
			e.add("Service", name, e.ofWorkload(w), object{"spec": fields})
		}
	}
}

// backend is what selects the replicas of a workload that a Service sends to: of a Cluster
// the one that can be written to.
func (e *exporter) backend(w *spec.Workload) map[string]string {
	selector := e.selector(w)
	if e.isCluster(w) {
		selector[labelRole] = "primary"
	}
	return selector
}

// target is the port of a replica for one that is written: a Cluster has one alone.
func (e *exporter) target(w *spec.Workload, written int) int {
	if e.isCluster(w) {
		return clusterPort
	}
	return written
}

// aliases are the further names of a workload on its networks.
func aliases(w *spec.Workload) (all []string) {
	for _, n := range w.Template.Networks {
		if n != nil {
			all = append(all, n.Aliases...)
		}
	}
	if w.ContainerName != "" {
		all = append(all, w.ContainerName)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// publication is a port that is published under one number for others than this machine.
type publication struct {
	types.ServicePortConfig
	number int // of the host
}

// publications are the published ports of a workload that HTTP does, or does not, go through.
func publications(w *spec.Workload, http bool) (all []publication) {
	if w.Template.NetworkMode != "" || w.Kind == spec.Job {
		return nil
	}
	for _, p := range w.Template.Ports {
		number, err := strconv.Atoi(p.Published)
		if err != nil || number == 0 || loopback(p.HostIP) {
			continue
		}
		h := spec.HostPort{First: number, Last: number, Target: int(p.Target), AppProtocol: p.AppProtocol}
		if http == (p.Protocol == "tcp" && w.SpeaksHTTP(h)) {
			all = append(all, publication{p, number})
		}
	}
	slices.SortFunc(all, func(a, b publication) int {
		return cmp.Or(cmp.Compare(a.number, b.number), cmp.Compare(a.Protocol, b.Protocol))
	})
	return slices.CompactFunc(all, func(a, b publication) bool { return a.number == b.number && a.Protocol == b.Protocol })
}

func loopback(ip string) bool { return net.ParseIP(ip).IsLoopback() }

// published adds what others than workloads come in by: what ports that speak HTTP have, and
// a Service of type LoadBalancer with the published numbers for the others.
func (e *exporter) published(workloads []*spec.Workload) {
	e.http(workloads)
	for _, w := range workloads {
		var ports []object
		for _, p := range publications(w, false) {
			protocol := strings.ToUpper(p.Protocol)
			ports = append(ports, object{
				"name": port{p.number, protocol}.name(), "port": p.number, "targetPort": e.target(w, int(p.Target)), "protocol": protocol,
			})
		}
		if len(ports) > 0 {
			e.add("Service", distinct(e.services[w.Name]+"-published", w.Name), e.ofWorkload(w), object{"spec": object{
				"type": "LoadBalancer", "selector": e.backend(w), "ports": ports,
			}})
		}
	}
}

// networkLabels are the labels of a workload's replicas by which its networks' policies
// select them.
func (e *exporter) networkLabels(w *spec.Workload) map[string]string {
	all := map[string]string{}
	for key := range w.Template.Networks {
		all[labelNetwork+e.networks[key]] = "true"
	}
	return all
}

// policies adds a NetworkPolicy for each network: those in it reach each other, and unless
// it is internal, everything outside. One more for each workload with published ports lets
// everyone in at them. What no policy allows is refused, as between networks of Compose.
func (e *exporter) policies() {
	for _, n := range e.project.Networks {
		if !e.used(n.Key) {
			continue
		}
		members := object{"podSelector": object{"matchLabels": map[string]string{labelNetwork + e.networks[n.Key]: "true"}}}
		egress := []object{{}}
		if n.Config.Internal {
			dns := []object{{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}}
			egress = []object{{"to": []object{members}}, {"ports": dns}}
		}
		e.add("NetworkPolicy", "network."+e.networks[n.Key], e.ofProject(), object{"spec": object{
			"podSelector": members["podSelector"],
			"policyTypes": []string{"Ingress", "Egress"},
			"ingress":     []object{{"from": []object{members}}},
			"egress":      egress,
		}})
	}
	for _, w := range e.workloads() {
		var ports []object
		for _, p := range append(publications(w, true), publications(w, false)...) {
			ports = append(ports, object{"port": e.target(w, int(p.Target)), "protocol": strings.ToUpper(p.Protocol)})
		}
		if len(ports) > 0 {
			e.add("NetworkPolicy", "published."+e.services[w.Name], e.ofWorkload(w), object{"spec": object{
				"podSelector": object{"matchLabels": e.selector(w)},
				"policyTypes": []string{"Ingress"},
				"ingress":     []object{{"ports": ports}},
			}})
		}
		if w.Template.NetworkMode == "none" {
			e.add("NetworkPolicy", "none."+e.services[w.Name], e.ofWorkload(w), object{"spec": object{
				"podSelector": object{"matchLabels": e.selector(w)},
				"policyTypes": []string{"Ingress", "Egress"},
			}})
		}
	}
}

// used reports whether a workload is in a network.
func (e *exporter) used(network string) bool {
	return slices.ContainsFunc(e.workloads(), func(w *spec.Workload) bool {
		_, in := w.Template.Networks[network]
		return in
	})
}

// unsupportedPorts notes what of a workload's ports and networks has no counterpart.
func (e *exporter) unsupportedPorts(w *spec.Workload) {
	t := w.Template
	if w.Kind == spec.Job && len(t.Ports) > 0 {
		e.unsupported(w.Name, "ports", "a Job has no Service, so that its port can be reached at the address of its replica alone")
	}
	for _, p := range t.Ports {
		switch _, err := strconv.Atoi(p.Published); {
		case t.NetworkMode != "":
		case loopback(p.HostIP):
			e.unsupported(w.Name, "ports", fmt.Sprintf("%s:%s is for this machine alone, and a cluster has no such port: reach it by kubectl port-forward", p.HostIP, p.Published))
		case err != nil || p.Published == "0":
			e.unsupported(w.Name, "ports", fmt.Sprintf("port %d has no host port of one number: write one to publish it", p.Target))
		case p.HostIP != "" && !net.ParseIP(p.HostIP).IsUnspecified():
			e.unsupported(w.Name, "ports", fmt.Sprintf("the address %s is one of this machine: port %s is published at the cluster's", p.HostIP, p.Published))
		}
	}
	for _, other := range e.project.Workloads {
		if other.Kind == spec.Ingress && other.Backend.Service == w.Name && other.Backend.ProxyProtocol {
			e.unsupported(w.Name, "x-tend.proxyProtocol", "it is a setting of the cluster's load balancer: the service expects a header that is not sent")
			break
		}
	}
	switch mode := t.NetworkMode; {
	case mode == "" || mode == "host" || mode == "none":
	case spec.JoinedService(mode) != "":
		e.unsupported(w.Name, "network_mode", "containers that share a network are one replica in Kubernetes: make it a second container of "+spec.JoinedService(mode))
	default:
		e.unsupported(w.Name, "network_mode", "Kubernetes has no such network: "+mode)
	}
	for _, key := range slices.Sorted(maps.Keys(t.Networks)) {
		if n := t.Networks[key]; n != nil {
			for name, set := range map[string]bool{
				"ipv4_address": n.Ipv4Address != "", "ipv6_address": n.Ipv6Address != "", "mac_address": n.MacAddress != "",
				"link_local_ips": len(n.LinkLocalIPs) > 0, "driver_opts": len(n.DriverOpts) > 0, "interface_name": n.InterfaceName != "",
			} {
				if set {
					e.unsupported(w.Name, "networks."+key+"."+name, "the cluster gives each replica its address and its interface: use names")
				}
			}
		}
	}
}
