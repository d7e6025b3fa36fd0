package convert

import (
	"fmt"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
)

//go:generate go test . -run ^TestTheReferenceIsUpToDate$ -update

// support tells what becomes of a key on a Swarm.
type support string

const (
	// kept keys have the effect that they have on one machine.
	kept support = "kept"
	// bySwarm keys are kept by Swarm, in its own way.
	bySwarm support = "kept by Swarm"
	// ignored keys say nothing of what runs, with docker compose up neither.
	ignored support = "no effect"
	// refused keys would change what runs, and cannot be honoured: a project that has one
	// is not applied.
	refused support = "refused"
)

// row is keys, or fields of a spec, that are treated alike.
type row struct {
	// under is the path of the mapping that they are in, with * for a name or an item of a
	// list; names are separated by spaces. A row speaks for all keys under its own.
	under, names string
	support      support
	// remark says what to know about them; for refused keys, why.
	remark string
	// refuse returns why a value is refused, where not all are; empty where it is not.
	refuse func(value any) (why string)
}

// composeKeys has every key of the Compose specification.
var composeKeys = []row{
	{"", "name services networks volumes secrets configs include", kept, "", nil},
	{"", "models version", ignored, "", nil},

	{"services.*", `command dns dns_opt dns_search entrypoint env_file environment extra_hosts group_add hostname image
		init label_file labels mem_limit mem_reservation pids_limit platform read_only scale stdin_open
		stop_grace_period stop_signal tty user working_dir`, kept, "", nil},
	{"services.*", "cap_add cap_drop sysctls ulimits", bySwarm, "", nil},
	{"services.*", "cpus", kept, "a limit; deploy.resources has what is reserved", nil},
	{"services.*", "configs secrets", kept, "Swarm's own, under a name with a hash of the content: new content is a new object and a new revision, and the old object is removed once nothing uses it", nil},
	{"services.*", "deploy", kept, "see below", nil},
	{"services.*", "depends_on", kept, "by tend: a service is made once what it depends on is as the condition says. restart gives a new revision", nil},
	{"services.*", "healthcheck", bySwarm, "a task has started when it passes, and is replaced when it fails; start_interval is refused, as Swarm has it from Docker Engine 25 on", nil},
	{"services.*", "logging", bySwarm, "", nil},
	{"services.*", "networks", kept, "overlays; see below", nil},
	{"services.*", "ports", bySwarm, "through the mesh, at each node; with mode: host at the node of the task. A fixed port that is not TCP, or has mode: host, allows one replica, as on one machine. No ingress of tend's holds them", nil},
	{"services.*", "pull_policy", bySwarm, "a node pulls the image of a task where it has it not; only always, missing, if_not_present and never are taken", refusePullPolicy},
	{"services.*", "restart", bySwarm, "a task that ends is replaced by another one", nil},
	{"services.*", "tmpfs", kept, "a mount; of the options only size and mode", refuseTmpfs},
	{"services.*", "volumes", kept, "see below", nil},
	{"services.*", "links", bySwarm, "a service is found by its name in the networks that it shares; an alias is refused", refuseLink},
	{"services.*", "ipc", ignored, "only private, as it is without", refuseNamespace},
	{"services.*", "attach develop expose extends profiles", ignored, "", nil},
	{"services.*", "pull_refresh_after", ignored, "", nil},
	{"services.*", "annotations", refused, "Swarm gives containers no annotations: write labels", nil},
	{"services.*", "blkio_config cgroup cgroup_parent", refused, "Swarm does not set it", nil},
	{"services.*", "build", refused, "Swarm builds nothing: build the image, push it where each node can pull it, and write its name alone", nil},
	{"services.*", "container_name", refused, "Swarm names the containers of tasks", nil},
	{"services.*", "cpu_count cpu_percent isolation credential_spec", refused, "it is for Windows containers", nil},
	{"services.*", "cpu_period cpu_quota cpu_rt_period cpu_rt_runtime cpu_shares cpuset", refused, "Swarm knows limits and reservations of the CPU alone: write cpus and deploy.resources", nil},
	{"services.*", "device_cgroup_rules devices gpus", refused, "Swarm hands no devices to containers: write deploy.resources.reservations.generic_resources", nil},
	{"services.*", "domainname", refused, "Swarm does not set it", nil},
	{"services.*", "external_links", refused, "a container of another project is reached through a network that both share", nil},
	{"services.*", "mac_address", refused, "Swarm gives each task its address", nil},
	{"services.*", "mem_swappiness memswap_limit oom_kill_disable", refused, "Swarm does not set it", nil},
	{"services.*", "oom_score_adj", refused, "Swarm takes it from Docker Engine 27 on only", nil},
	{"services.*", "models provider use_api_socket", refused, "tend refuses it", nil},
	{"services.*", "network_mode pid userns_mode uts", refused, "a task shares no namespace with its node or another container", nil},
	{"services.*", "post_start pre_stop", refused, "tend reaches no container on another node: have the image do it", nil},
	{"services.*", "privileged", refused, "Swarm runs no privileged containers", nil},
	{"services.*", "runtime", refused, "Swarm does not set it", nil},
	{"services.*", "security_opt", refused, "Swarm takes it from Docker Engine 27 on only, and an older one would drop it silently", nil},
	{"services.*", "shm_size", refused, "Swarm does not set it: mount a tmpfs at /dev/shm", nil},
	{"services.*", "storage_opt", refused, "Swarm does not set it", nil},
	{"services.*", "volumes_from", refused, "tasks are on different nodes: use a named volume", nil},

	{"services.*.deploy", "endpoint_mode", bySwarm, "dnsrr where the nodes' kernels have no IPVS", nil},
	{"services.*.deploy", "labels", kept, "the service's", nil},
	{"services.*.deploy", "placement", bySwarm, "constraints, preferences and max_replicas_per_node, which mode: global does not go with", nil},
	{"services.*.deploy", "mode", kept, "replicated, replicated-job, and global for a Deployment: see above. global-job is refused: tend counts the completions that are written", refuseMode},
	{"services.*.deploy", "replicas", kept, "spec.replicas wins; with mode: global each is refused, and so is autoscaling", nil},
	{"services.*.deploy", "resources", bySwarm, "a limit of the CPU is cpus, too", nil},
	{"services.*.deploy", "restart_policy", bySwarm, "", nil},
	{"services.*.deploy", "rollback_config", refused, "tend rolls back itself, as update_config or the spec's strategy says", nil},
	{"services.*.deploy", "update_config", kept, "spec.strategy wins", nil},
	{"services.*.deploy.resources.reservations", "devices", refused, "Swarm hands no devices to containers: write generic_resources", nil},
	{"services.*.deploy.update_config", "delay order parallelism", bySwarm, "", nil},
	{"services.*.deploy.update_config", "monitor", bySwarm, "the longer of it and delay is both, and minReadySeconds", nil},
	{"services.*.deploy.update_config", "failure_action", kept, "by tend: to Swarm it says pause, so that one decides", nil},
	{"services.*.deploy.update_config", "max_failure_ratio", kept, "0 only", nil},
	{"services.*.healthcheck", "start_interval", refused, "Swarm has it from Docker Engine 25 on only", nil},
	{"services.*.networks.*", "aliases driver_opts", kept, "", nil},
	{"services.*.networks.*", "gw_priority interface_name ipv4_address ipv6_address link_local_ips mac_address priority", refused, "Swarm gives each task its addresses", nil},
	{"services.*.ports.*", "host_ip", refused, "Swarm publishes a port on all addresses of a node", nil},
	{"services.*.ports.*", "mode protocol target", bySwarm, "", nil},
	{"services.*.ports.*", "published", bySwarm, "one number, or none: a range to choose from is refused", refuseRange},
	{"services.*.ports.*", "app_protocol name", ignored, "", nil},
	{"services.*.volumes.*", "type", kept, "bind, tmpfs and volume", refuseMount},
	{"services.*.volumes.*", "source target read_only consistency tmpfs volume", kept, "a volume of the driver local is on one node: tend pins the service to that, also when the node is gone. With mode: global each node has its own", nil},
	{"services.*.volumes.*", "bind", kept, "the path must be on each node where a task may run: Swarm does not make it", nil},
	{"services.*.volumes.*", "image", refused, "Swarm mounts no images", nil},
	{"services.*.volumes.*.bind", "recursive selinux", refused, "Swarm takes it from Docker Engine 25 on only, or never", nil},
	{"services.*.volumes.*.volume", "subpath", refused, "Swarm takes it from Docker Engine 26 on only", nil},

	{"networks.*", "driver_opts external internal ipam labels name", kept, "a change has effect once the network was removed", nil},
	{"networks.*", "attachable", ignored, "each is, so that containers can join it while the project moves", nil},
	{"networks.*", "driver", kept, "overlay, also where nothing is written", refuseDriver},
	{"networks.*", "enable_ipv4 enable_ipv6", refused, "an overlay of Swarm's has IPv4 only", nil},

	{"volumes.*", "driver driver_opts labels name", kept, "given to the node that makes the volume", nil},
	{"volumes.*", "external", kept, "it must be on the node where a task runs, which Swarm does not check: it makes one that is missing", nil},

	{"secrets.*", "environment file", kept, "up to 500 KB", nil},
	{"secrets.*", "labels name", ignored, "", nil},
	{"secrets.*", "external", kept, "by its name: tend neither makes nor removes it, and waits for one that is missing", nil},
	{"secrets.*", "driver driver_opts template_driver", refused, "tend makes a secret of a file or a variable", nil},
	{"configs.*", "content environment file", kept, "up to 1000 KB; 500 KB on Docker Engine 20.10", nil},
	{"configs.*", "labels name", ignored, "", nil},
	{"configs.*", "external", kept, "by its name: tend neither makes nor removes it, and waits for one that is missing", nil},
	{"configs.*", "template_driver", refused, "tend makes a config of its content, a file or a variable", nil},
}

// specFields has every field of a spec; under is empty for all. Those that are refused
// are refused where they are written, or as refusedFields says.
var specFields = []row{
	{"", "replicas strategy.type paused revisionHistoryLimit progressDeadlineSeconds template", kept, "", nil},
	{"", "strategy.rollingUpdate.maxSurge strategy.rollingUpdate.maxUnavailable", bySwarm, "with a surge an update is start-first and maxSurge is its parallelism; without one it is stop-first and maxUnavailable is. Recreate stops all at once, and with mode: global it is refused, as is a percentage", nil},
	{"", "minReadySeconds", bySwarm, "monitor and delay of the update", nil},
	{"", "onFailure", kept, "by tend: when progressDeadlineSeconds are over, or Swarm pauses the update as a new task has failed", nil},
	{"", "preRollout name command timeoutSeconds", kept, "a replicated job that runs before the update", nil},
	{"", "engine", kept, "", nil},
	{"", "backoffLimit", bySwarm, "of each replica, as Swarm counts", nil},
	{"", "backup.beforeUpdate", kept, "by a job on the node of the data, into the volume PROJECT_backups of that node; before it, the new image is checked against the data", nil},
	{"", "backup.keep", kept, "", nil},
	{"", "activeDeadlineSeconds", refused, "Swarm's jobs have no deadline", nil},
	{"", "autoscaling", kept, "by the metrics Cron and Prometheus; Resource and Ingress are refused, as tend reaches no container on another node, and no ingress of its own has the ports", nil},
	{"", "drainSeconds", refused, "Swarm sends the stop signal at once: have the service close its listeners, and finish what it was asked, within stop_grace_period", nil},
	{"", `readinessProbe livenessProbe startupProbe httpGet httpGet.path httpGet.port httpGet.scheme httpGet.httpHeaders tcpSocket
		tcpSocket.port exec exec.command postgres postgres.port postgres.user postgres.database initialDelaySeconds periodSeconds
		timeoutSeconds successThreshold failureThreshold`, refused, "tend reaches no container on another node: write a healthcheck, by which Swarm tells whether a task is ready and live", nil},
}

func refusePullPolicy(v any) string {
	if slices.Contains([]any{types.PullPolicyAlways, types.PullPolicyMissing, types.PullPolicyIfNotPresent, types.PullPolicyNever}, v) {
		return ""
	}
	return "Swarm does not ask the registry again: write the digest, or another tag"
}

func refuseTmpfs(v any) string {
	for _, entry := range v.([]any) {
		_, options, _ := strings.Cut(fmt.Sprint(entry), ":")
		if _, err := tmpfsOptions(options); err != nil {
			return err.Error()
		}
	}
	return ""
}

func refuseLink(v any) string {
	for _, entry := range v.([]any) {
		if service, alias, renamed := strings.Cut(fmt.Sprint(entry), ":"); renamed && service != alias {
			return fmt.Sprintf("%q gives a service another name for one service alone: give it an alias on a network", entry)
		}
	}
	return ""
}

func refuseNamespace(v any) string {
	if v == "private" {
		return ""
	}
	return "a task shares no namespace with its node or another container"
}

func refuseMode(v any) string {
	if v == "global-job" {
		return "tend counts the completions that are written, and not the nodes: write replicated-job"
	}
	return ""
}

func refuseRange(v any) string {
	if strings.Contains(fmt.Sprint(v), "-") {
		return "Swarm chooses no port from a range: write one number, or none"
	}
	return ""
}

func refuseMount(v any) string {
	switch v {
	case types.VolumeTypeBind, types.VolumeTypeTmpfs, types.VolumeTypeVolume:
		return ""
	}
	return "Swarm mounts bind, tmpfs and volume only"
}

func refuseDriver(v any) string {
	if v == "overlay" {
		return ""
	}
	return "the nodes of a Swarm share overlays only: write overlay, or nothing"
}
