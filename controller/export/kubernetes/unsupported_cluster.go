package kubernetes

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/tendhq/tend/controller/spec"
)

// clusterKeys are the keys of a service that a Cluster says, that CloudNativePG does in any
// case, or that are dealt with by their value.
var clusterKeys = strings.Fields(`
	annotations attach build cap_drop command configs container_name cpus depends_on deploy develop
	env_file environment expose extends healthcheck image label_file labels links mem_limit
	mem_reservation network_mode networks platform ports profiles pull_policy read_only restart
	scale secrets security_opt shm_size stop_grace_period user volumes`)

// unsupportedOfCluster notes the keys of a Database without a counterpart in a Cluster.
func (e *exporter) unsupportedOfCluster(w *spec.Workload) {
	t := w.Template
	no := func(key, reason string, of ...any) { e.unsupported(w.Name, key, fmt.Sprintf(reason, of...)) }
	for _, key := range written(t) {
		if reason := unsupportedServiceKeys[key]; reason != "" && !(key == "links" && plainLinks(t.Links)) {
			no(key, "%s", reason)
		} else if reason == "" && !slices.Contains(clusterKeys, key) {
			no(key, "CloudNativePG makes the pods of a Cluster, which has no such field")
		}
	}
	if image, kept := clusterImage(w.Image); kept && !strings.HasPrefix(image, "ghcr.io/cloudnative-pg/") {
		no("image", "CloudNativePG runs %s only where the image has the user 26, and Postgres in its PATH: build it from one of ghcr.io/cloudnative-pg/postgresql", w.Image)
	} else if !kept && image != "" {
		no("image", "CloudNativePG runs images of its own: %s became %s, of the same major version", w.Image, image)
	} else if !kept {
		no("image", "CloudNativePG takes no image whose tag does not begin with a version, as %s, and runs its newest: write imageName in an overlay", w.Image)
	}
	if t.NetworkMode == "host" {
		no("network_mode", "the pods of a Cluster are not in the network of a node")
	}
	for _, option := range t.SecurityOpt {
		if o := securityOption(option); o != "no-new-privileges:true" && o != "seccomp:builtin" {
			no("security_opt", "CloudNativePG gives its pods what the Pod Security Standard restricted asks for, and not %q", option)
		}
	}
	s := settings(w)
	for _, name := range s.fixed {
		no("command", "CloudNativePG sets the parameter %s itself", name)
	}
	if len(s.rest) > 0 {
		no("command", "it runs Postgres by itself, and takes parameters as -c name=value: %q is left out", strings.Join(s.rest, " "))
	}
	for field, p := range specProbes(w) {
		if p.Postgres == nil {
			no(field, "CloudNativePG asks Postgres itself, as often as it is written")
		}
	}
	if !w.Probes.Any() && asks(t.HealthCheck) {
		no("healthcheck", "CloudNativePG asks Postgres itself")
	}
	e.unsupportedAccounts(w, no)
	e.unsupportedFiles(w, no)
}

// unsupportedAccounts notes what a Cluster does otherwise with the variables of Docker's image.
func (e *exporter) unsupportedAccounts(w *spec.Workload, no func(key, reason string, of ...any)) {
	known := []string{"PGDATA", "POSTGRES_DB", "POSTGRES_PASSWORD", "POSTGRES_PASSWORD_FILE", "POSTGRES_USER"}
	names := slices.DeleteFunc(slices.Sorted(maps.Keys(w.Template.Environment)), func(name string) bool {
		return w.Template.Environment[name] == nil || slices.Contains(known, name)
	})
	if len(names) > 0 {
		no("environment", "CloudNativePG's image reads none of %s: write what they are for as parameters, or in bootstrap.initdb", strings.Join(names, ", "))
	}
	owner, database := databaseOwner(w)
	if owner == clusterSuperuser {
		return
	}
	no("environment.POSTGRES_USER", "%s owns the database %s, and is no superuser: make it one by managed.roles where it has to be", owner, database)
	for _, c := range w.Template.Configs {
		if isInitScript(c) {
			no("configs", "%s is run by the superuser, who then owns what it makes: have it SET ROLE %s first", c.Source, owner)
		}
	}
}

// unsupportedFiles notes the files of a Database that the pods of a Cluster do not have.
func (e *exporter) unsupportedFiles(w *spec.Workload, no func(key, reason string, of ...any)) {
	t := w.Template
	for _, c := range t.Configs {
		if path.Dir(c.Target) == "/docker-entrypoint-initdb.d" && !isInitScript(c) {
			no("configs", "%s is not run, as a Cluster takes SQL alone: write it so, as a config at %s/NAME.sql", c.Source, path.Dir(c.Target))
		} else if !isInitScript(c) {
			no("configs", "%s is not mounted: write what it says as parameters, or name it in projectedVolumeTemplate", c.Source)
		}
	}
	password := t.Environment["POSTGRES_PASSWORD_FILE"]
	for _, s := range t.Secrets {
		if password == nil || *password != mountPath(types.FileReferenceConfig(s), secretFolder) {
			no("secrets", "%s is not mounted: name it in projectedVolumeTemplate where something reads it", s.Source)
		}
	}
	for _, v := range t.Volumes {
		switch {
		case !e.holdsData(w, v):
			no("volumes", "%s is not mounted, as a Cluster has its data alone", v.Target)
		case v.Type == types.VolumeTypeBind:
			no("volumes", "%s is a folder of this machine: its claim begins empty; restore a backup into it", v.Target)
		}
	}
}
