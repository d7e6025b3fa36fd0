package model

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/tendhq/tend/controller/engine"
)

// network is a bridge. Its subnet's first address is the gateway's.
type network struct {
	engine.Network
	internal bool
	subnet   netip.Prefix
	last     netip.Addr // handed out
	used     map[string]bool
}

// hostPort is a port held on the host.
type hostPort struct {
	ip, port, protocol string
}

// firstEphemeralPort is the first of the ports that are chosen for those who ask for
// none by number.
const firstEphemeralPort = 49153

// connect gives a container its addresses and host ports, all or an error.
func (e *Engine) connect(c *instance) error {
	publishes := false
	for i, at := range c.networks {
		n := e.networks[at.network]
		if n == nil || at.id != "" && at.id != n.ID {
			return failure(engine.NotFound, "network %s not found", at.network)
		}
		publishes = publishes || !n.internal
		if err := n.join(c, at.address); err != nil {
			return err
		}
		c.networks[i].id = n.ID
	}
	if !publishes {
		return nil
	}
	for _, p := range c.ports {
		h, err := e.holdPort(p)
		if err != nil {
			c.refusedPort = true
			return err
		}
		c.held = append(c.held, h)
		c.PublishedPorts = append(c.PublishedPorts,
			fmt.Sprintf("%s->%d/%s", net.JoinHostPort(h.ip, h.port), p.Target, p.Protocol))
	}
	slices.Sort(c.PublishedPorts)
	return nil
}

// disconnect takes back a container's addresses and host ports.
func (e *Engine) disconnect(c *instance) {
	e.loseAddresses(c)
	for _, h := range c.held {
		delete(e.hostPorts, h)
	}
	c.held, c.PublishedPorts = nil, nil
}

func (e *Engine) loseAddresses(c *instance) {
	for name, address := range c.Networks {
		if n := e.networks[name]; n != nil {
			delete(n.used, address)
		}
		c.Networks[name] = ""
	}
}

// holdPort takes the host port of a service's "ports" entry: the one named, the
// first free one of a range, or any.
func (e *Engine) holdPort(p types.ServicePortConfig) (*hostPort, error) {
	first, last := firstEphemeralPort, 65535
	if p.Published != "" {
		from, to, isRange := strings.Cut(p.Published, "-")
		var err error
		if first, err = strconv.Atoi(from); err != nil {
			return nil, failure(engine.Invalid, "invalid port %q", p.Published)
		}
		last = first
		if isRange {
			if last, err = strconv.Atoi(to); err != nil {
				return nil, failure(engine.Invalid, "invalid port %q", p.Published)
			}
		}
	}
	for port := first; port <= last; port++ {
		h := &hostPort{ip: cmp.Or(p.HostIP, "0.0.0.0"), port: strconv.Itoa(port), protocol: p.Protocol}
		if !e.taken(h) {
			e.hostPorts[h] = true
			return h, nil
		}
	}
	return nil, failure(engine.Exhausted, "bind for %s:%s failed: port is already allocated", p.HostIP, p.Published)
}

func (e *Engine) taken(h *hostPort) bool {
	for other := range e.hostPorts {
		if other.port == h.port && other.protocol == h.protocol &&
			(other.ip == h.ip || other.ip == "0.0.0.0" || h.ip == "0.0.0.0") {
			return true
		}
	}
	return false
}

// join gives a container the address that it asks for, or a free one.
func (n *network) join(c *instance, address string) error {
	if address == "" {
		var free bool
		if address, free = n.next(); !free {
			return failure(engine.Exhausted, "no available IPv4 addresses on network %s", n.Name)
		}
	}
	if n.used[address] {
		return failure(engine.Exhausted, "address already in use: %s", address)
	}
	n.used[address] = true
	c.Networks[n.Name] = address
	return nil
}

// connect has a container join the network, which gives it an address while it runs.
func (n *network) connect(c *instance) error {
	at := endpoint{network: n.Name}
	if c.hasProcess() {
		if err := n.join(c, ""); err != nil {
			return err
		}
		at.id = n.ID
	} else {
		c.Networks[n.Name] = ""
	}
	c.networks = append(c.networks, at)
	return nil
}

// leave takes a container out of a network.
func (e *Engine) leave(c *instance, name string) {
	if n := e.networks[name]; n != nil {
		delete(n.used, c.Networks[name])
	}
	delete(c.Networks, name)
	c.networks = slices.DeleteFunc(c.networks, func(at endpoint) bool { return at.network == name })
}

// ConnectNetwork has a container join one more network. Nothing asks for its names.
func (e *Engine) ConnectNetwork(ctx context.Context, id, name string, _ ...string) error {
	return e.do(ctx, OpConnect, id, func() error {
		c, n, err := e.findBoth(id, name)
		if err != nil {
			return err
		}
		if _, joined := c.Networks[name]; joined {
			return failure(engine.Conflict, "endpoint with name %s already exists in network %s", c.Name, name)
		}
		return n.connect(c)
	})
}

// DisconnectNetwork takes a container out of a network.
func (e *Engine) DisconnectNetwork(ctx context.Context, id, name string) error {
	return e.do(ctx, OpDisconnect, id, func() error {
		c, _, err := e.findBoth(id, name)
		if err == nil {
			e.leave(c, name)
		}
		return err
	})
}

// findBoth returns a container and a network.
func (e *Engine) findBoth(id, name string) (*instance, *network, error) {
	c, err := e.find(id)
	if err != nil {
		return nil, nil, err
	}
	n := e.networks[name]
	if n == nil {
		return nil, nil, failure(engine.NotFound, "network %s not found", name)
	}
	return c, n, nil
}

// next is the next free address. It leaves out the first two and the last of a subnet,
// which are the network's, the gateway's and the broadcast address.
func (n *network) next() (address string, free bool) {
	for range len(n.used) + 1 {
		n.last = n.last.Next()
		if !n.subnet.Contains(n.last.Next()) {
			n.last = n.subnet.Addr().Next().Next()
		}
		if address := n.last.String(); !n.used[address] {
			return address, true
		}
	}
	return "", false
}

// Networks lists networks, sorted by name.
func (e *Engine) Networks(ctx context.Context, project string, names ...string) ([]engine.Network, error) {
	return ask(ctx, e, OpNetworks, project, func() ([]engine.Network, error) {
		var found []engine.Network
		for _, name := range slices.Sorted(maps.Keys(e.networks)) {
			n := e.networks[name].Network
			if n.Labels[engine.ProjectLabel] == project || slices.Contains(names, name) {
				n.Labels = maps.Clone(n.Labels)
				found = append(found, n)
			}
		}
		return found, nil
	})
}

// CreateNetwork makes a network.
func (e *Engine) CreateNetwork(ctx context.Context, spec engine.NetworkSpec) error {
	return e.do(ctx, OpCreateNetwork, spec.Name, func() error {
		if e.networks[spec.Name] != nil {
			return failure(engine.Conflict, "network with name %s already exists", spec.Name)
		}
		subnet, err := e.subnet(spec.Config.Ipam)
		if err != nil {
			return err
		}
		e.networks[spec.Name] = &network{
			Network: engine.Network{
				ID: e.newID(), Name: spec.Name,
				Driver: cmp.Or(spec.Config.Driver, "bridge"),
				Labels: maps.Clone(spec.Labels),
			},
			internal: spec.Config.Internal,
			subnet:   subnet,
			last:     subnet.Addr().Next(),
			used:     map[string]bool{},
		}
		e.emitResource("create")
		return nil
	})
}

// subnet is the subnet that was asked for, or a free one of 65,536 addresses.
func (e *Engine) subnet(ipam types.IPAMConfig) (netip.Prefix, error) {
	overlaps := func(subnet netip.Prefix) bool {
		for _, n := range e.networks {
			if n.subnet.Overlaps(subnet) {
				return true
			}
		}
		return false
	}
	if len(ipam.Config) > 0 && ipam.Config[0].Subnet != "" {
		subnet, err := netip.ParsePrefix(ipam.Config[0].Subnet)
		if err != nil {
			return subnet, failure(engine.Invalid, "invalid subnet %s", ipam.Config[0].Subnet)
		}
		if subnet = subnet.Masked(); overlaps(subnet) {
			return subnet, failure(engine.Conflict, "pool overlaps with other one on this address space")
		}
		return subnet, nil
	}
	for range 256 {
		e.madeNetworks++
		subnet := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(e.madeNetworks), 0, 0}), 16)
		if !overlaps(subnet) {
			return subnet, nil
		}
	}
	return netip.Prefix{}, failure(engine.Exhausted, "all predefined address pools have been fully subnetted")
}

// RemoveNetwork removes a network that no running container uses, by ID or name.
func (e *Engine) RemoveNetwork(ctx context.Context, id string) error {
	return e.do(ctx, OpRemoveNetwork, id, func() error {
		for name, n := range e.networks {
			switch {
			case n.ID != id && name != id:
			case len(n.used) > 0:
				return failure(engine.Conflict, "network %s has active endpoints", name)
			default:
				delete(e.networks, name)
				e.emitResource("destroy")
			}
		}
		return nil
	})
}
