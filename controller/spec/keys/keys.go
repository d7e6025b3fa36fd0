// Package keys is the table of the keys of the Compose specification, and of what tend
// makes of each.
package keys

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"go.yaml.in/yaml/v3"

	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/controller/spec/syntax"
)

//go:generate go test . -run ^TestComposeReferenceIsUpToDate$ -update

// support tells what tend does with a key of the Compose specification.
type support string

const (
	supported support = "supported"
	// ignored keys have no effect here, and none in docker compose up either.
	ignored support = "ignored"
	// refused keys would change what runs, and tend cannot honour them.
	refused support = "refused"
)

// keys are keys of the Compose specification that are treated alike.
type keys struct {
	// under is the path of the mapping that they are in, with * for a name or an item
	// of a list; names are separated by spaces.
	under, names string
	support      support
	// remark says what to know about them; for refused keys, why.
	remark string
	// refuse judges the value of keys that are refused for some values only.
	refuse func(value any) (why, hint string)
}

// table has every key of the Compose specification. It leaves out the keys under one
// that is ignored or refused as a whole.
var table = []keys{
	{"", "name services networks volumes secrets configs", supported, "", nil},
	{"", "include", supported, "local files only", nil},
	{"", "models", ignored, "a service that uses a model is refused", nil},
	{"", "version", ignored, "obsolete", nil},
	{"include.*", "path env_file project_directory", supported, "", nil},

	{"services.*", `annotations blkio_config cap_add cap_drop cgroup cgroup_parent command configs
		cpu_count cpu_percent cpu_period cpu_quota cpu_rt_period cpu_rt_runtime cpu_shares cpus cpuset
		device_cgroup_rules devices dns dns_opt dns_search domainname entrypoint env_file environment
		expose external_links extra_hosts gpus group_add hostname init isolation
		label_file labels links mac_address mem_limit mem_reservation mem_swappiness memswap_limit
		networks oom_kill_disable oom_score_adj pids_limit platform privileged profiles read_only runtime
		secrets security_opt shm_size stdin_open stop_signal storage_opt sysctls tmpfs tty ulimits user
		userns_mode uts working_dir`, supported, "", nil},
	{"services.*", "attach", ignored, "there is no foreground to attach to", nil},
	{"services.*", "build", supported, "built where its image is not here, with docker buildx or else the engine's classic builder (spec.md); without image it is PROJECT-SERVICE, as Compose names it", nil},
	{"services.*", "container_name", supported, "one service and one replica only, not the name of another service's replica (PROJECT-SERVICE-N), and an update stops the old container before the new one starts", nil},
	{"services.*", "credential_spec", refused, "it is for Windows containers", nil},
	{"services.*", "depends_on", supported, "an unmanaged service is not waited for", nil},
	{"services.*", "deploy", supported, "", nil},
	{"services.*", "develop", ignored, "it belongs to docker compose watch", nil},
	{"services.*", "extends", supported, "local files only", nil},
	{"services.*", "healthcheck", supported, "a container that passed it and fails now is replaced or restarted; one that has never passed it is reported and goes on", nil},
	{"services.*", "image", supported, "what it is after it was built or pulled anew under its name is rolled out, as docker compose up recreates", nil},
	{"services.*", "ipc network_mode pid", supported, "service:NAME is replaced and restarted together with what it joins (spec.md)", nil},
	{"services.*", "logging", supported, "where it is missing and the engine's driver is json-file, which would keep everything, five files of 10 MB are kept; driver: json-file alone leaves it to the engine", nil},
	{"services.*", "models", refused, "tend runs no models", nil},
	{"services.*", "ports", supported, "a fixed TCP port is held by an ingress (ports.md); one that a container publishes itself allows one replica, a range (8000-8010:80) as many as it has ports", nil},
	{"services.*", "post_start", supported, "after each start that tend makes; one that fails stops the container (spec.md)", nil},
	{"services.*", "pre_stop", supported, "after the endpoint was withdrawn, before the signal, within the grace; one that fails is told of (spec.md)", nil},
	{"services.*", "provider", refused, "tend runs containers only", nil},
	{"services.*", "pull_policy", supported, "build means missing. With always the image is pulled whenever tend starts; with daily, weekly and every_… the registry is asked that often, and another digest is rolled out (spec.md). What a name stands for here after docker compose build or pull is rolled out in any case", nil},
	{"services.*", "pull_refresh_after", ignored, "", nil},
	{"services.*", "restart", supported, "the engine's own policy, as with docker compose; what it does not start again tend does, unless that is done (spec.md); \"no\", where it is written, makes the service a Job, whose containers always have that policy", nil},
	{"services.*", "scale", supported, "spec.replicas wins", nil},
	{"services.*", "stop_grace_period", supported, "10 s where it is not set, 120 s for a Database", nil},
	{"services.*", "use_api_socket", refused, "it would hand the engine's socket to the container; mount it if you mean to", nil},
	{"services.*", "volumes", supported, "what one replica may write to has one container at a time, unless accessMode or a surge is asked for; an anonymous volume goes to the next container of its number", nil},
	{"services.*", "volumes_from", supported, "a service's is replaced together with it (spec.md); the access mode is left out, as docker compose leaves it out", nil},

	{"services.*.blkio_config", "device_read_bps device_read_iops device_write_bps device_write_iops weight weight_device", supported, "", nil},
	{"services.*.blkio_config.device_read_bps.*", "path rate", supported, "", nil},
	{"services.*.blkio_config.device_read_iops.*", "path rate", supported, "", nil},
	{"services.*.blkio_config.device_write_bps.*", "path rate", supported, "", nil},
	{"services.*.blkio_config.device_write_iops.*", "path rate", supported, "", nil},
	{"services.*.blkio_config.weight_device.*", "path weight", supported, "", nil},
	{"services.*.build", `additional_contexts args cache_from cache_to context dockerfile dockerfile_inline
		entitlements extra_hosts isolation labels network no_cache platforms privileged provenance pull sbom
		secrets shm_size ssh tags target ulimits`, ignored, "for docker compose build", nil},
	{"services.*.configs.*", "source target uid gid mode", supported, "uid, gid and mode as in Compose: not for configs with file", nil},
	{"services.*.depends_on.*", "condition", supported, "service_started holds of a Job that has failed, too", nil},
	{"services.*.depends_on.*", "required", supported, "", nil},
	{"services.*.depends_on.*", "restart", supported, "a new revision of the dependency replaces the replicas", nil},
	{"services.*.deploy", "endpoint_mode labels placement", ignored, "for Swarm only", nil},
	{"services.*.deploy", "mode", supported, "replicated; replicated-job and global-job make the service a Job; global and global-job mean one replica", nil},
	{"services.*.deploy", "replicas", supported, "spec.replicas wins", nil},
	{"services.*.deploy", "resources", supported, "", nil},
	{"services.*.deploy", "restart_policy", supported, "", nil},
	{"services.*.deploy", "rollback_config", ignored, "", nil},
	{"services.*.deploy", "update_config", supported, "spec.strategy wins", nil},
	{"services.*.deploy.resources", "limits reservations", supported, "", nil},
	{"services.*.deploy.resources.limits", "cpus memory pids", supported, "", nil},
	{"services.*.deploy.resources.reservations", "cpus generic_resources", ignored, "one engine cannot reserve them", nil},
	{"services.*.deploy.resources.reservations", "devices memory", supported, "", nil},
	{"services.*.deploy.resources.reservations.devices.*", "capabilities count device_ids driver options", supported, "", nil},
	{"services.*.deploy.restart_policy", "condition", supported, "on-failure, always and unless-stopped as in restart; any means always; none and no make the service a Job", nil},
	{"services.*.deploy.restart_policy", "delay", supported, "the first delay of the starts that tend makes; it doubles up to 300 s", nil},
	{"services.*.deploy.restart_policy", "max_attempts", supported, "", nil},
	{"services.*.deploy.restart_policy", "window", supported, "a run longer than this begins tend's delays anew", nil},
	{"services.*.deploy.update_config", "delay monitor", supported, "the longer of the two is minReadySeconds", nil},
	{"services.*.deploy.update_config", "failure_action", supported, "rollback and pause; spec.onFailure wins; continue is refused: a revision that failed on one replica would be brought to all", nil},
	{"services.*.deploy.update_config", "max_failure_ratio", supported, "0 only: a rollout goes on only when each replica has become available", nil},
	{"services.*.deploy.update_config", "order", supported, "with parallelism: start-first is maxSurge, stop-first is maxUnavailable", nil},
	{"services.*.deploy.update_config", "parallelism", supported, "0 means all replicas", nil},
	{"services.*.devices.*", "source target permissions", supported, "", nil},
	{"services.*.env_file.*", "format", supported, "raw: a value is all that stands after the =, as with docker run --env-file", nil},
	{"services.*.env_file.*", "path required", supported, "", nil},
	{"services.*.extends", "file service", supported, "", nil},
	{"services.*.gpus.*", "capabilities count device_ids driver options", supported, "", nil},
	{"services.*.healthcheck", "disable interval retries start_period test timeout", supported, "", nil},
	{"services.*.healthcheck", "start_interval", supported, "needs Docker Engine 25", nil},
	{"services.*.logging", "driver options", supported, "", nil},
	{"services.*.post_start.*", "command environment privileged user working_dir", supported, "", nil},
	{"services.*.pre_stop.*", "command environment privileged user working_dir", supported, "", nil},
	{"services.*.networks.*", "aliases driver_opts gw_priority link_local_ips priority", supported, "", nil},
	{"services.*.networks.*", "interface_name", supported, "needs Docker Engine 28.1", nil},
	{"services.*.networks.*", "ipv4_address ipv6_address", supported, "one replica only, and an update stops the old container before the new one starts", nil},
	{"services.*.networks.*", "mac_address", supported, "on other networks than the first it needs Docker Engine 25", nil},
	{"services.*.ports.*", "app_protocol", supported, "http and http2 have the ingress pass requests, and not connections (ports.md)", nil},
	{"services.*.ports.*", "mode", supported, "host has the container publish the port itself", nil},
	{"services.*.ports.*", "name", ignored, "", nil},
	{"services.*.ports.*", "host_ip protocol published target", supported, "", nil},
	{"services.*.secrets.*", "source target uid gid mode", supported, "uid, gid and mode as in Compose: not for secrets with file", nil},
	{"services.*.ulimits.*", "soft hard", supported, "", nil},
	{"services.*.volumes.*", "bind consistency read_only source target tmpfs volume", supported, "", nil},
	{"services.*.volumes.*", "image", supported, "", nil},
	{"services.*.volumes.*", "type", supported, "bind, image, tmpfs and volume; cluster and npipe are refused; image needs Docker Engine 28, and another image under its name is mounted with the next container", refuseMount},
	{"services.*.volumes.*.image", "subpath", supported, "", nil},
	{"services.*.volumes.*.bind", "create_host_path propagation recursive selinux", supported, "", nil},
	{"services.*.volumes.*.tmpfs", "mode size", supported, "", nil},
	{"services.*.volumes.*.volume", "labels nocopy", supported, "", nil},
	{"services.*.volumes.*.volume", "subpath", supported, "needs Docker Engine 26", nil},

	{"networks.*", "attachable driver driver_opts enable_ipv4 enable_ipv6 external internal ipam labels name", supported, "a change has effect once the network was removed", nil},
	{"networks.*.external", "name", supported, "deprecated: use name beside external", nil},
	{"networks.*.ipam", "config driver", supported, "", nil},
	{"networks.*.ipam", "options", ignored, "", nil},
	{"networks.*.ipam.config.*", "aux_addresses gateway ip_range subnet", supported, "", nil},

	{"volumes.*", "driver driver_opts external labels name", supported, "a change has effect once the volume was removed", nil},
	{"volumes.*.external", "name", supported, "deprecated: use name beside external", nil},

	{"secrets.*", "environment file", supported, "new content is a new revision", nil},
	{"secrets.*", "labels name", ignored, "", nil},
	{"secrets.*", "external", refused, "only Swarm keeps secrets outside the project", refuseExternal},
	{"secrets.*", "driver driver_opts template_driver", refused, "for Swarm only", nil},

	{"configs.*", "content environment file", supported, "new content is a new revision", nil},
	{"configs.*", "labels name", ignored, "", nil},
	{"configs.*", "external", refused, "only Swarm keeps configs outside the project", refuseExternal},
	{"configs.*", "template_driver", refused, "for Swarm only", nil},
}

// Each of these functions returns why a value is refused and what to do, or "".

func refuseMount(v any) (why, hint string) {
	switch v {
	case types.VolumeTypeBind, types.VolumeTypeImage, types.VolumeTypeTmpfs, types.VolumeTypeVolume:
		return "", ""
	}
	return "only bind, image, tmpfs and volume can be mounted", removeKey
}

func refuseExternal(v any) (why, hint string) {
	if v != true {
		return "", ""
	}
	return "only Swarm keeps it outside the project", "write file or environment"
}

const removeKey = "remove it, or leave the service alone with " + spec.ExtensionKey + ": {managed: false}"

// Paths are the paths of all keys of the table, with * for a name or an item of a list.
func Paths() (all []string) {
	for _, row := range table {
		for name := range strings.FieldsSeq(row.names) {
			all = append(all, strings.TrimPrefix(row.under+"."+name, "."))
		}
	}
	return all
}

// key is one key of the table, with the keys that may be under it.
type key struct {
	keys
	children map[string]*key
}

// tree is the table by path.
var tree = func() *key {
	root := &key{}
	child := func(k *key, name string) *key {
		if k.children == nil {
			k.children = map[string]*key{}
		}
		if k.children[name] == nil {
			k.children[name] = &key{}
		}
		return k.children[name]
	}
	for _, row := range table {
		parent := root
		if row.under != "" {
			for step := range strings.SplitSeq(row.under, ".") {
				parent = child(parent, step)
			}
		}
		for name := range strings.FieldsSeq(row.names) {
			child(parent, name).keys = row
		}
	}
	return root
}()

// Unknown finds the keys of a document that the Compose specification does not have,
// with their places in the file. path is the place of the document in the Compose
// model. compose-go refuses them too, but only one at a time.
func Unknown(file string, root *yaml.Node, path ...string) (problems spec.Errors) {
	at := tree
	for _, step := range path {
		if next := at.children[step]; next != nil {
			at = next
		} else {
			at = at.children["*"]
		}
	}
	var walk func(n *yaml.Node, k *key, where string)
	walk = func(n *yaml.Node, k *key, where string) {
		n = syntax.Dereference(n)
		if each := k.children["*"]; each != nil {
			for name, value := range syntax.Pairs(n) {
				walk(value, each, where+" "+name.Value)
			}
			if n.Kind == yaml.SequenceNode {
				for _, value := range n.Content {
					walk(value, each, where)
				}
			}
			return
		}
		if len(k.children) == 0 {
			return
		}
		for name, value := range syntax.Pairs(n) {
			next := k.children[name.Value]
			switch {
			case next != nil:
				walk(value, next, strings.TrimSpace(where+" "+name.Value))
			case !strings.HasPrefix(name.Value, "x-"):
				known := slices.Sorted(maps.Keys(k.children))
				e := &spec.Error{File: file, Line: name.Line, Column: name.Column,
					Message: fmt.Sprintf("%q is not a key of the Compose specification", name.Value),
					Hint:    "known here: " + strings.Join(known, ", ")}
				if where != "" {
					e.Message = fmt.Sprintf("%s: %s", where, e.Message)
				}
				if meant := syntax.Nearest(name.Value, known); meant != "" {
					e.Hint = fmt.Sprintf("did you mean %q?", meant)
				}
				problems = append(problems, e)
			}
		}
	}
	walk(root, at, strings.Join(path, " "))
	return problems
}

// Refused finds the keys that tend cannot honour in a service, network, volume, secret
// or config, as compose-go has merged it. locate returns an Error at a path of the
// Compose model.
func Refused(section, name string, merged any, locate func(path ...string) *spec.Error) (problems spec.Errors, err error) {
	content, err := json.Marshal(merged)
	if err != nil {
		return nil, err
	}
	var value any
	if err := json.Unmarshal(content, &value); err != nil {
		return nil, err
	}
	var walk func(v any, k *key, path []string)
	walk = func(v any, k *key, path []string) {
		why, hint := "", removeKey
		if k.refuse != nil {
			why, hint = k.refuse(v)
		} else if k.support == refused {
			why = k.remark
		}
		if why != "" {
			e := locate(path...)
			key := strings.Join(path[2:], ".")
			if s, ok := v.(string); ok {
				key += ": " + s
			}
			e.Message = fmt.Sprintf("%s is not supported: %s", key, why)
			e.Hint = hint
			problems = append(problems, e)
			return
		}
		each := k.children["*"]
		switch v := v.(type) {
		case map[string]any:
			for _, name := range slices.Sorted(maps.Keys(v)) {
				if next := cmp.Or(each, k.children[name]); next != nil {
					walk(v[name], next, slices.Concat(path, []string{name}))
				}
			}
		case []any:
			for i, item := range v {
				if each != nil {
					walk(item, each, slices.Concat(path, []string{fmt.Sprint(i)}))
				}
			}
		}
	}
	walk(value, tree.children[section].children["*"], []string{section, name})
	return problems, nil
}
