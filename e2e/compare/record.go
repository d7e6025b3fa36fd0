// Package compare compares what docker compose up and tend make of the same
// Compose project, field by field of the engine's inspect.
package compare

//go:generate go test . -run ^TestThePageIsUpToDate$ -update

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Labels of Compose.
const (
	serviceLabel   = "com.docker.compose.service"
	numberLabel    = "com.docker.compose.container-number"
	dependsOnLabel = "com.docker.compose.depends_on"
)

// These fields stand for what an inspect has in several places, or not at all.
const (
	// State is "running", "created", or how it ended, as "exited 1".
	State = "State"
	// Health is the health check's status, "none" without one.
	Health = "Health"
	// Starts is how often the container was started.
	Starts = "Starts"
	// WasHealthy reports whether its health check has ever passed.
	WasHealthy = "WasHealthy"
	// ports are those that are published now.
	ports         = "NetworkSettings.Ports"
	restartPolicy = "HostConfig.RestartPolicy.Name"
	// unset is the restart policy where nothing is written.
	unset = `""`
)

// Object is a container, a network or a volume: the fields of its inspect as
// JSON, by their paths ("HostConfig.RestartPolicy.Name").
type Object map[string]string

// Record is all that a project is made of, by kind and name ("container web-1",
// by service and number).
type Record map[string]Object

// volatile are the fields that differ from one container, network or volume to
// the next of the same make.
var volatile = regexp.MustCompile(`^(` + strings.Join([]string{
	`Id`, `ID`, `Created`, `CreatedAt`, `GraphDriver\..*`, `ResolvConfPath`, `HostnamePath`, `HostsPath`, `LogPath`, `Mountpoint`,
	`State\..*`, `ExecIDs`, `Containers(\..*)?`,
	`NetworkSettings\.(SandboxID|SandboxKey|EndpointID|Gateway|IPAddress|IPPrefixLen|MacAddress|GlobalIPv6.*|IPv6Gateway)`,
	`NetworkSettings\.Networks\..*\.(NetworkID|EndpointID|Gateway|IPAddress|IPPrefixLen|MacAddress|GlobalIPv6.*|IPv6Gateway)`,
	`Config\.Labels\.tend\..*`, `Labels\.tend\..*`,
}, "|") + `)$`)

// Names replaces the IDs of containers by their names wherever an inspect
// mentions one: in aliases, network modes and host names.
func Names(byID map[string]string) *strings.Replacer {
	var pairs []string
	for _, id := range slices.Sorted(maps.Keys(byID)) {
		name := strings.TrimPrefix(byID[id], "/")
		pairs = append(pairs, id, "ID of "+name, id[:12], "short ID of "+name)
	}
	return strings.NewReplacer(pairs...)
}

// Past is what has happened to a container, which no inspect tells.
type Past struct {
	Starts     int
	WasHealthy bool
}

// Container adds a container to the record, from its inspect.
func (r Record) Container(raw []byte, names *strings.Replacer, past Past) error {
	var c struct {
		Name  string
		State struct {
			Status, Error string
			ExitCode      int
			OOMKilled     bool
			Health        *struct{ Status string }
		}
		Config     struct{ Labels map[string]string }
		HostConfig struct {
			PortBindings map[string][]struct{ HostPort string }
		}
		Mounts []struct{ Name, Source string }
	}
	if err := json.Unmarshal(raw, &c); err != nil {
		return err
	}
	fields, err := decode(names.Replace(string(raw)))
	if err != nil {
		return err
	}
	arrange(fields)
	for port, bindings := range c.HostConfig.PortBindings {
		if slices.ContainsFunc(bindings, func(b struct{ HostPort string }) bool { return !fixed(b.HostPort) }) {
			forgetPort(fields, port)
		}
	}

	o := Object{}
	o.flatten("", fields)
	o[State], o[Health] = c.State.Status, "none"
	if c.State.Health != nil && c.State.Health.Status == "healthy" {
		past.WasHealthy = true // the event that says so may be on its way
	}
	o[Starts], o[WasHealthy] = strconv.Itoa(past.Starts), strconv.FormatBool(past.WasHealthy)
	switch c.State.Status {
	case "exited", "restarting", "dead":
		o[State] += " " + strconv.Itoa(c.State.ExitCode)
	}
	if c.State.Health != nil {
		o[Health] = c.State.Health.Status
	}
	o["Error"] = names.Replace(c.State.Error)
	o["OOMKilled"] = strconv.FormatBool(c.State.OOMKilled)

	key := "container " + c.Config.Labels[serviceLabel] + "-" + c.Config.Labels[numberLabel]
	if _, taken := r[key]; taken {
		key += " again, as " + c.Name
	}
	r[key] = o
	return nil
}

// Network adds a network to the record, from its inspect.
func (r Record) Network(raw []byte, subnetWritten bool) error {
	return r.resource("network", raw, func(fields map[string]any) {
		if ipam, ok := fields["IPAM"].(map[string]any); ok && !subnetWritten {
			delete(ipam, "Config") // the engine chooses it
		}
	})
}

// Volume adds a volume to the record, from its inspect.
func (r Record) Volume(raw []byte) error {
	return r.resource("volume", raw, func(map[string]any) {})
}

func (r Record) resource(kind string, raw []byte, arrange func(fields map[string]any)) error {
	fields, err := decode(string(raw))
	if err != nil {
		return err
	}
	arrange(fields)
	o := Object{}
	o.flatten("", fields)
	r[fmt.Sprintf("%s %v", kind, fields["Name"])] = o
	return nil
}

func decode(text string) (fields map[string]any, err error) {
	return fields, json.Unmarshal([]byte(text), &fields)
}

// flatten takes over all that lies under a path.
func (o Object) flatten(path string, value any) {
	if fields, ok := value.(map[string]any); ok && len(fields) > 0 {
		for name, v := range fields {
			o.flatten(strings.TrimPrefix(path+"."+name, "."), v)
		}
		return
	}
	if volatile.MatchString(path) {
		return
	}
	text, err := json.Marshal(value)
	if err != nil {
		text = []byte(err.Error()) // what was decoded from JSON can be encoded
	}
	o[path] = string(text)
}

// fixed reports whether a published port is one number: the engine chooses from
// a range, or where there is none.
func fixed(hostPort string) bool {
	n, err := strconv.Atoi(hostPort)
	return err == nil && n > 0
}

// forgetPort takes out which port of the host the engine has chosen.
func forgetPort(fields map[string]any, port string) {
	settings, _ := fields["NetworkSettings"].(map[string]any)
	published, _ := settings["Ports"].(map[string]any)
	bindings, _ := published[port].([]any)
	for _, b := range bindings {
		if binding, ok := b.(map[string]any); ok {
			binding["HostPort"] = "chosen by the engine"
		}
	}
}

// anonymous is the name that the engine gives a volume.
var anonymous = regexp.MustCompile(`^[0-9a-f]{64}$`)

// arrange gives lists an order that Compose fills from maps, and takes out the
// names of anonymous volumes.
func arrange(fields map[string]any) {
	config, _ := fields["Config"].(map[string]any)
	host, _ := fields["HostConfig"].(map[string]any)
	if env, ok := config["Env"].([]any); ok {
		byName := map[string]any{}
		for _, v := range env {
			name, value, _ := strings.Cut(fmt.Sprint(v), "=")
			byName[name] = value
		}
		config["Env"] = byName
	}
	if labels, ok := config["Labels"].(map[string]any); ok {
		if needs, ok := labels[dependsOnLabel].(string); ok {
			list := strings.Split(needs, ",")
			slices.Sort(list)
			labels[dependsOnLabel] = strings.Join(list, ",")
		}
	}
	for _, list := range []string{"Binds", "ExtraHosts", "Ulimits", "Links", "Devices", "CapAdd", "CapDrop"} {
		sortByText(host[list])
	}
	settings, _ := fields["NetworkSettings"].(map[string]any)
	networks, _ := settings["Networks"].(map[string]any)
	for _, n := range networks {
		endpoint, _ := n.(map[string]any)
		sortByText(endpoint["Aliases"])
	}

	mounts, _ := fields["Mounts"].([]any)
	for _, m := range mounts {
		mount, _ := m.(map[string]any)
		if name, _ := mount["Name"].(string); anonymous.MatchString(name) {
			mount["Name"], mount["Source"] = "anonymous", ""
		}
	}
	byTarget(fields, "Mounts", "Destination")
	asked, _ := host["Mounts"].([]any)
	for _, m := range asked {
		mount, _ := m.(map[string]any)
		// Without effect: Compose sends empty options with some binds.
		if options, ok := mount["BindOptions"].(map[string]any); ok && len(options) == 0 {
			delete(mount, "BindOptions")
		}
	}
	byTarget(host, "Mounts", "Target")
}

func sortByText(list any) {
	items, _ := list.([]any)
	slices.SortFunc(items, func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
}

// byTarget turns a list of mounts into a map, by where they are mounted.
func byTarget(fields map[string]any, list, target string) {
	items, ok := fields[list].([]any)
	if !ok {
		return
	}
	mounts := map[string]any{}
	for _, m := range items {
		mount, _ := m.(map[string]any)
		mounts[fmt.Sprint(mount[target])] = mount
	}
	fields[list] = mounts
}
