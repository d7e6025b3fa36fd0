package kubernetes

import (
	"fmt"
	"slices"

	"github.com/tendhq/tend/controller/spec"
)

// gatewayClass is a placeholder for the class of the cluster's gateways: an overlay says it.
const gatewayClass = "example"

// http adds an Ingress, or an HTTPRoute of one Gateway, for each published port that speaks
// HTTP. Several share the HTTP port of the cluster, and are told apart by a host.
func (e *exporter) http(workloads []*spec.Workload) {
	count := 0
	for _, w := range workloads {
		count += len(publications(w, true))
	}
	routes := slices.Contains(e.alternatives, GatewayAPI)
	if routes && count > 0 {
		e.gateway()
	}
	for _, w := range workloads {
		for _, p := range publications(w, true) {
			// A dot keeps the name apart from those of services.
			name, host := fmt.Sprintf("%s.%d", e.services[w.Name], p.number), ""
			if count > 1 {
				host = fmt.Sprintf("%s-%d.%s.example", e.services[w.Name], p.number, label(e.project.Name))
				e.unsupported(w.Name, "ports", fmt.Sprintf("port %d shares the cluster's HTTP port with others, and is told apart by a host: write a real one in place of %s", p.number, host))
			}
			if routes {
				e.route(w, name, host, int(p.Target))
			} else {
				e.ingress(w, name, host, int(p.Target))
			}
		}
	}
}

// ingress adds the Ingress of one port.
func (e *exporter) ingress(w *spec.Workload, name, host string, port int) {
	backend := object{"service": object{"name": e.services[w.Name], "port": object{"number": port}}}
	paths := []object{{"path": "/", "pathType": "Prefix", "backend": backend}}
	rule := object{"http": object{"paths": paths}}.with("host", host)
	e.add("Ingress", name, e.ofWorkload(w), object{"spec": object{"rules": []object{rule}}})
}

// gateway adds the Gateway that the project's HTTPRoutes belong to.
func (e *exporter) gateway() {
	e.add("Gateway", label(e.project.Name), e.ofProject(), object{"spec": object{
		"gatewayClassName": gatewayClass,
		"listeners":        []object{{"name": "http", "port": 80, "protocol": "HTTP"}},
	}})
}

// route adds the HTTPRoute of one port, which takes every path.
func (e *exporter) route(w *spec.Workload, name, host string, port int) {
	fields := object{
		"parentRefs": []object{{"name": label(e.project.Name)}},
		"rules":      []object{{"backendRefs": []object{{"name": e.services[w.Name], "port": port}}}},
	}
	if host != "" {
		fields["hostnames"] = []string{host}
	}
	e.add("HTTPRoute", name, e.ofWorkload(w), object{"spec": fields})
}
