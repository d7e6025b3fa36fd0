package doctor

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/spec"
)

// Port is a port of the host that a workload publishes.
type Port struct {
	Workload, IP, Number, Protocol string
}

func (p Port) String() string { return net.JoinHostPort(p.IP, p.Number) + "/" + p.Protocol }

// overlaps reports whether two ports cannot be held side by side.
func (p Port) overlaps(other Port) bool {
	return p.Number == other.Number && p.Protocol == other.Protocol && (p.IP == other.IP || anyAddress(p.IP) || anyAddress(other.IP))
}

func anyAddress(ip string) bool {
	a, err := netip.ParseAddr(ip)
	return err != nil || a.IsUnspecified()
}

// PortsOf lists the host ports that a project asks for by their number.
func PortsOf(p *spec.Project) (all []Port) {
	for _, w := range services(p.Workloads) {
		for _, port := range w.Template.Ports {
			if _, err := strconv.Atoi(port.Published); err == nil && w.Replicas > 0 {
				all = append(all, Port{Workload: w.Name, IP: port.HostIP, Number: port.Published, Protocol: port.Protocol})
			}
		}
	}
	return all
}

// Ports tells whether each port is held by the project's own containers or free. listen
// tries a port that none of them holds.
func Ports(ports []Port, containers []engine.Container, listen func(Port) error) (all []Finding) {
	const check = "port"
	for _, p := range ports {
		object := p.Workload + " " + p.String()
		if holder := holderOf(p, containers); holder != "" {
			all = append(all, find(OK, check, object, "held by "+holder, ""))
			continue
		}
		switch err := listen(p); {
		case err == nil:
			all = append(all, find(OK, check, object, "free", ""))
		case errors.Is(err, syscall.EADDRINUSE):
			all = append(all, find(Failure, check, object, "held by something else than this project's containers",
				"`ss -lntup` and `docker ps` show what holds it: end that, or publish another port"))
		case errors.Is(err, syscall.EADDRNOTAVAIL):
			all = append(all, find(Failure, check, object, "this machine has no address "+p.IP, "publish it at an address that the machine has"))
		default:
			all = append(all, find(NotTried, check, object, cannotBeAsked("it is held by no container of this project, and", err), ""))
		}
	}
	return all
}

// holderOf is the name of the running container that holds a port; empty where none does.
func holderOf(p Port, containers []engine.Container) string {
	at := slices.IndexFunc(containers, func(c engine.Container) bool {
		return slices.ContainsFunc(published(c), p.overlaps)
	})
	if at < 0 {
		return ""
	}
	return nameOf(containers[at])
}

// published are the host ports that a container has in force.
func published(c engine.Container) (all []Port) {
	for _, text := range c.PublishedPorts { // as 127.0.0.1:8080->80/tcp
		address, target, _ := strings.Cut(text, "->")
		ip, number, err := net.SplitHostPort(address)
		if _, protocol, ok := strings.Cut(target, "/"); ok && err == nil {
			all = append(all, Port{IP: ip, Number: number, Protocol: protocol})
		}
	}
	return all
}

// listen holds a port for a moment, as the engine would.
func listen(ctx context.Context, p Port) error {
	var config net.ListenConfig
	address := net.JoinHostPort(p.IP, p.Number)
	if p.Protocol == "udp" {
		l, err := config.ListenPacket(ctx, p.Protocol, address)
		if err != nil {
			return err
		}
		return l.Close()
	}
	l, err := config.Listen(ctx, "tcp", address)
	if err != nil {
		return err
	}
	return l.Close()
}
