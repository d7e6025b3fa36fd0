package spec

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
)

// ComposeVersion is the release of Docker Compose whose labels tend writes and whose
// hashes it computes: the one that has the same compose-go.
const ComposeVersion = "2.40.3"

// Labels of Compose, by which docker compose finds what belongs to a project:
// https://github.com/docker/compose/blob/v2.40.3/pkg/api/labels.go
const (
	LabelProject         = "com.docker.compose.project"
	LabelService         = "com.docker.compose.service"
	LabelVersion         = "com.docker.compose.version"
	LabelWorkingDir      = "com.docker.compose.project.working_dir"
	LabelConfigFiles     = "com.docker.compose.project.config_files"
	LabelEnvironmentFile = "com.docker.compose.project.environment_file"
	LabelOneoff          = "com.docker.compose.oneoff"
	LabelConfigHash      = "com.docker.compose.config-hash"
	LabelContainerNumber = "com.docker.compose.container-number"
	LabelDependsOn       = "com.docker.compose.depends_on"
	LabelImage           = "com.docker.compose.image"
	LabelNetwork         = "com.docker.compose.network"
	LabelVolume          = "com.docker.compose.volume"
)

// Labels of tend's own.
const (
	// LabelRevision holds Workload.Revision at the time of creation.
	LabelRevision = "tend.revision"
	// LabelHook holds the name of the pre-rollout hook that a one-off container runs.
	LabelHook = "tend.hook"
	// LabelKind holds Workload.Kind.
	LabelKind = "tend.kind"
	// LabelIngress holds the name of the workload whose container an ingress is. Its
	// Compose service is the one that the ingress leads to.
	LabelIngress = "tend.ingress"
	// LabelIngressNetwork holds Backend.Network at the time of an ingress's creation.
	LabelIngressNetwork = "tend.ingress.network"
)

// WorkloadOf returns the workload that a container with these labels belongs to; empty
// where Compose's labels are missing.
func WorkloadOf(labels map[string]string) string {
	return cmp.Or(labels[LabelIngress], labels[LabelService])
}

// ContainerLabels are the labels of a workload's replica: the service's own,
// and over them Compose's and tend's. imageID is the local ID of the image it
// is created from, joins are the containers that it joins, by service.
func ContainerLabels(p *Project, w *Workload, number int, imageID string, joins map[string]string) map[string]string {
	labels := maps.Clone(map[string]string(w.Template.Labels))
	if labels == nil {
		labels = map[string]string{}
	}
	maps.Copy(labels, map[string]string{
		LabelProject:         p.Name,
		LabelService:         w.Name,
		LabelVersion:         ComposeVersion,
		LabelWorkingDir:      p.WorkingDir,
		LabelConfigFiles:     strings.Join(p.ConfigFiles, ","),
		LabelOneoff:          "False",
		LabelConfigHash:      w.ConfigHashJoined(joins),
		LabelContainerNumber: strconv.Itoa(number),
		LabelDependsOn:       dependsOn(w.Template, p.Disabled),
		LabelImage:           imageID,
		LabelRevision:        w.Revision,
		LabelKind:            string(w.Kind),
	})
	if w.Kind == Ingress {
		labels[LabelService], labels[LabelIngress], labels[LabelIngressNetwork] = w.Backend.Service, w.Name, w.Backend.Network
		labels[LabelOneoff] = "True" // else docker compose would take it for a replica too many
	}
	if len(p.EnvFiles) > 0 {
		labels[LabelEnvironmentFile] = strings.Join(p.EnvFiles, ",")
	}
	return labels
}

// OtherFolder is the project directory that a container was made from, where it differs
// from dir. It is empty where they are the same, by whatever path, or where either is
// not known.
func OtherFolder(dir string, labels map[string]string) string {
	folder := labels[LabelWorkingDir]
	if folder == "" || dir == "" || filepath.Clean(folder) == filepath.Clean(dir) {
		return ""
	}
	there, err := os.Stat(folder)
	if err != nil {
		return folder
	}
	if here, err := os.Stat(dir); err == nil && os.SameFile(here, there) {
		return ""
	}
	return folder
}

// ConfigFilesOf lists the Compose files that a container was made from, relative to its
// project directory, so that they are the same wherever that is.
func ConfigFilesOf(labels map[string]string) []string {
	if labels[LabelConfigFiles] == "" {
		return nil
	}
	return seenFrom(labels[LabelWorkingDir], strings.Split(labels[LabelConfigFiles], ","))
}

// SharesFiles reports whether a container was made from one of the project's Compose
// files. files are relative to its project directory; a container without any counts as
// made from them.
func (p *Project) SharesFiles(files []string) bool {
	ours := seenFrom(p.WorkingDir, p.ConfigFiles)
	return len(files) == 0 || slices.ContainsFunc(files, func(f string) bool { return slices.Contains(ours, f) })
}

func seenFrom(dir string, files []string) []string {
	seen := make([]string, len(files))
	for i, f := range files {
		seen[i] = f
		if relative, err := filepath.Rel(dir, f); err == nil {
			seen[i] = relative
		}
	}
	return seen
}

// dependsOn is the label that docker compose reads the order of stopping from. It
// leaves out the optional dependencies outside the active profiles, as docker compose
// does.
func dependsOn(s types.ServiceConfig, disabled []string) string {
	var entries []string
	for _, name := range slices.Sorted(maps.Keys(s.DependsOn)) {
		d := s.DependsOn[name]
		if slices.Contains(disabled, name) {
			continue
		}
		entries = append(entries, fmt.Sprintf("%s:%s:%t", name, d.Condition, d.Restart))
	}
	return strings.Join(entries, ",")
}

// ContainerName is the name of a workload's replica.
func ContainerName(project string, w *Workload, number int) string {
	if w.ContainerName != "" {
		return w.ContainerName
	}
	if w.Kind == Ingress {
		port := strings.NewReplacer("[", "", "]", "", ":", "-").Replace(w.Backend.HostPort.String())
		return fmt.Sprintf("%s-%s-%s-ingress", project, w.Backend.Service, port)
	}
	return fmt.Sprintf("%s-%s-%d", project, w.Name, number)
}

// HookLabels are the labels of a one-off container that runs a hook. docker
// compose leaves one-off containers alone.
func HookLabels(p *Project, w *Workload, hook, imageID string, joins map[string]string) map[string]string {
	labels := ContainerLabels(p, w, 1, imageID, joins)
	labels[LabelOneoff] = "True"
	labels[LabelHook] = hook
	return labels
}

// HookName is the name of the container that runs a hook for a revision.
func HookName(project string, w *Workload, hook string) string {
	return fmt.Sprintf("%s-%s-%s-%s", project, w.Name, hook, w.Revision[:min(8, len(w.Revision))])
}

// NetworkLabels are the labels of a network that tend creates.
func NetworkLabels(p *Project, n Network) map[string]string {
	return resourceLabels(p, n.Config.Labels, LabelNetwork, n.Key, n.ConfigHash)
}

// VolumeLabels are the labels of a volume that tend creates.
func VolumeLabels(p *Project, v Volume) map[string]string {
	return resourceLabels(p, v.Config.Labels, LabelVolume, v.Key, v.ConfigHash)
}

func resourceLabels(p *Project, own types.Labels, keyLabel, key, hash string) map[string]string {
	labels := map[string]string{}
	maps.Copy(labels, own)
	maps.Copy(labels, map[string]string{
		LabelProject:    p.Name,
		LabelVersion:    ComposeVersion,
		LabelConfigHash: hash,
		keyLabel:        key,
	})
	return labels
}
