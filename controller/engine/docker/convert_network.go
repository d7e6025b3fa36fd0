package docker

import (
	"maps"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"

	"github.com/tendhq/tend/controller/engine"
)

// join is a network to connect a container to after its creation.
type join struct {
	network  string
	endpoint *network.EndpointSettings
}

// interfaceNameOption is the driver option that names a network interface.
const interfaceNameOption = "com.docker.network.endpoint.ifname"

// network converts the service's networks, the one of highest priority first:
// the container's default route goes through it. Before API 1.44 a create takes
// one network, and the container joins the others afterwards, in that order.
func (c *converter) network(r *createRequest) error {
	if c.Service.NetworkMode != "" {
		r.host.NetworkMode = container.NetworkMode(c.Service.NetworkMode)
		r.config.MacAddress = c.Service.MacAddress //nolint:staticcheck // engines before API 1.44 read this
		return nil
	}
	keys := c.Service.NetworksByPriority()
	if len(keys) == 0 {
		r.host.NetworkMode = "none"
		return nil
	}
	for _, key := range keys {
		if n := c.Service.Networks[key]; n != nil && n.InterfaceName != "" && !c.atLeast("1.49") {
			return invalid("networks.%s.interface_name needs Docker Engine 28.1 or later", key)
		}
	}

	endpoints := make(map[string]*network.EndpointSettings, len(keys))
	for _, key := range keys {
		endpoints[key] = c.endpoint(key)
	}
	if err := c.setMAC(r, keys, endpoints); err != nil {
		return err
	}

	first := networkName(c.ContainerSpec, keys[0])
	r.host.NetworkMode = container.NetworkMode(first)
	r.networking = &network.NetworkingConfig{
		EndpointsConfig: map[string]*network.EndpointSettings{first: endpoints[keys[0]]},
	}
	for _, key := range keys[1:] {
		if c.atLeast("1.44") {
			r.networking.EndpointsConfig[networkName(c.ContainerSpec, key)] = endpoints[key]
		} else {
			r.joins = append(r.joins, join{network: networkName(c.ContainerSpec, key), endpoint: endpoints[key]})
		}
	}
	return nil
}

// setMAC puts the service's mac_address where the engine reads it: since API 1.44 in
// the first network's endpoint, and before that in the container's configuration, where
// no endpoint can have one of its own.
func (c *converter) setMAC(r *createRequest, keys []string, endpoints map[string]*network.EndpointSettings) error {
	first, mac := endpoints[keys[0]], c.Service.MacAddress
	if mac != "" && first.MacAddress != "" && mac != first.MacAddress {
		return invalid("mac_address differs from that of networks.%s", keys[0])
	}
	if c.atLeast("1.44") {
		if first.MacAddress == "" {
			first.MacAddress = mac
		}
		return nil
	}
	for _, key := range keys[1:] {
		if endpoints[key].MacAddress != "" {
			return invalid("networks.%s.mac_address needs Docker Engine 25 or later", key)
		}
	}
	if first.MacAddress != "" {
		mac, first.MacAddress = first.MacAddress, ""
	}
	r.config.MacAddress = mac //nolint:staticcheck // engines before API 1.44 read this
	return nil
}

func (c *converter) endpoint(key string) *network.EndpointSettings {
	n := c.Service.Networks[key]
	endpoint := &network.EndpointSettings{Aliases: c.aliases(n), Links: c.links}
	if n == nil {
		return endpoint
	}
	endpoint.IPAMConfig = &network.EndpointIPAMConfig{
		IPv4Address:  n.Ipv4Address,
		IPv6Address:  n.Ipv6Address,
		LinkLocalIPs: n.LinkLocalIPs,
	}
	endpoint.IPAddress = n.Ipv4Address
	endpoint.IPv6Gateway = n.Ipv6Address // as in Compose; the engine uses IPAMConfig
	endpoint.MacAddress = n.MacAddress
	endpoint.GwPriority = n.GatewayPriority
	endpoint.DriverOpts = maps.Clone(n.DriverOpts)
	if _, ok := endpoint.DriverOpts[interfaceNameOption]; !ok && n.InterfaceName != "" {
		if endpoint.DriverOpts == nil {
			endpoint.DriverOpts = map[string]string{}
		}
		endpoint.DriverOpts[interfaceNameOption] = n.InterfaceName
	}
	return endpoint
}

// aliases are the names by which other containers find this one. A one-off container
// does not have its service's, as with "docker compose run".
func (c *converter) aliases(n *types.ServiceNetworkConfig) []string {
	aliases := []string{c.Name}
	if c.Labels[oneOffLabel] != "True" {
		aliases = append(aliases, c.Service.Name)
		if n != nil {
			aliases = append(aliases, n.Aliases...)
		}
	}
	return append(aliases, c.Aliases...)
}

// networkName is the engine's name of a network of compose.yaml.
func networkName(spec engine.ContainerSpec, key string) string {
	if name, ok := spec.Networks[key]; ok {
		return name
	}
	return key
}
