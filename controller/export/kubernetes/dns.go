package kubernetes

import (
	"fmt"
	"maps"
	"net"
	"regexp"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/tendhq/tend/controller/spec"
)

// maxNameservers is how many servers for names a replica may have.
const maxNameservers = 3

// domain is what Kubernetes takes for the name of a host or a domain.
var domain = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`)

// hostAliases are the entries of extra_hosts that are addresses.
func hostAliases(t types.ServiceConfig) (all []object) {
	names := map[string][]string{}
	for _, name := range slices.Sorted(maps.Keys(t.ExtraHosts)) {
		for _, ip := range t.ExtraHosts[name] {
			if net.ParseIP(ip) != nil && domain.MatchString(name) {
				names[ip] = append(names[ip], name)
			}
		}
	}
	for _, ip := range slices.Sorted(maps.Keys(names)) {
		all = append(all, object{"ip": ip, "hostnames": names[ip]})
	}
	return all
}

func dnsConfig(t types.ServiceConfig) object {
	var options []object
	for _, written := range t.DNSOpts {
		name, value, _ := strings.Cut(written, ":")
		options = append(options, object{"name": name}.with("value", value))
	}
	return object{}.with("nameservers", nameservers(t)).with("searches", searches(t)).with("options", options)
}

// nameservers are the first servers of dns that are addresses, as many as there may be.
func nameservers(t types.ServiceConfig) (all []string) {
	for _, ip := range t.DNS {
		if net.ParseIP(ip) != nil && len(all) < maxNameservers {
			all = append(all, ip)
		}
	}
	return all
}

func searches(t types.ServiceConfig) (all []string) {
	for _, name := range t.DNSSearch {
		if domain.MatchString(name) {
			all = append(all, name)
		}
	}
	return all
}

// unsupportedNames notes the resolvers, domains and hosts of a template that Kubernetes refuses.
func (e *exporter) unsupportedNames(w *spec.Workload) {
	no := func(key, reason string, of ...any) { e.unsupported(w.Name, key, fmt.Sprintf(reason, of...)) }
	for name, addresses := range w.Template.ExtraHosts {
		for _, ip := range addresses {
			switch {
			case net.ParseIP(ip) == nil:
				no("extra_hosts", "%s stands for %s, which is no address", name, ip)
			case !domain.MatchString(name):
				no("extra_hosts", "%q is no name of a host to Kubernetes", name)
			}
		}
	}
	used := nameservers(w.Template)
	for _, server := range w.Template.DNS {
		switch {
		case net.ParseIP(server) == nil:
			no("dns", "%s is no address", server)
		case !slices.Contains(used, server):
			no("dns", "a replica asks %d servers at most, and %s is one more", maxNameservers, server)
		}
	}
	for _, name := range w.Template.DNSSearch {
		if !domain.MatchString(name) {
			no("dns_search", "%q is no name of a domain to Kubernetes", name)
		}
	}
}
