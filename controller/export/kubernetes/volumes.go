package kubernetes

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/go-units"

	"github.com/tendhq/tend/controller/spec"
)

// claimSize is what a claim asks for, as Compose has no size: an overlay says another.
const claimSize = "1Gi"

// claim is the spec of a PersistentVolumeClaim.
func claim(accessMode string) object {
	return object{
		"accessModes": []string{accessMode},
		"resources":   object{"requests": object{"storage": claimSize}},
	}
}

// dataClaim is the name that a StatefulSet has for the claim of a Database's data.
const dataClaim = "data"

// dataFolder is the folder of the claim that the data are in: a new file system has one
// called lost+found, and Postgres wants an empty folder.
const dataFolder = "postgres"

// secretFolder is where a container has a secret, unless another folder is written.
const secretFolder = "/run/secrets"

// claims adds a claim for each volume that workloads use, but for Databases' data.
func (e *exporter) claims(workloads []*spec.Workload) {
	writers, shared := map[string]int{}, map[string]bool{}
	for _, w := range workloads {
		for _, m := range w.Template.Volumes {
			if m.Type != types.VolumeTypeVolume || m.Source == "" || e.holdsData(w, m) || e.isCluster(w) {
				continue
			}
			writers[m.Source] += most(w)
			shared[m.Source] = shared[m.Source] || w.Shares(m.Target)
		}
	}
	for _, v := range e.project.Volumes {
		if writers[v.Key] == 0 || v.External || e.databaseOn(v.Key) != "" {
			continue
		}
		mode := "ReadWriteOnce"
		if shared[v.Key] || writers[v.Key] > 1 {
			mode = "ReadWriteMany"
		}
		e.add("PersistentVolumeClaim", e.volumes[v.Key], e.ofProject(), object{"spec": claim(mode)})
	}
}

// most is how many replicas of a workload there may be.
func most(w *spec.Workload) int {
	if w.Autoscaling != nil {
		return max(w.Replicas, w.Autoscaling.MaxReplicas)
	}
	return max(w.Replicas, 1)
}

// holdsData reports whether a mount is the one with a Database's data.
func (e *exporter) holdsData(w *spec.Workload, m types.ServiceVolumeConfig) bool {
	return w.Kind == spec.Database && slices.ContainsFunc(spec.DataMounts(w.Template), func(d types.ServiceVolumeConfig) bool { return d.Target == m.Target })
}

// mounts are the volumes of a workload's replicas, and where a container has them.
func (e *exporter) mounts(w *spec.Workload) (volumes, mounts []object) {
	m := &mounting{known: map[string]bool{}}
	for i, v := range w.Template.Volumes {
		e.mount(m, w, v, i)
	}
	for i, written := range w.Template.Tmpfs {
		target, options, _ := strings.Cut(written, ":")
		memory := object{"medium": "Memory"}
		for option := range strings.SplitSeq(options, ",") {
			if size, ok := strings.CutPrefix(option, "size="); ok {
				if n, err := units.RAMInBytes(size); err == nil {
					memory["sizeLimit"] = quantity(n)
				}
			}
		}
		m.add(fmt.Sprintf("tmpfs-%d", i), object{"emptyDir": memory}, object{"mountPath": target})
	}
	shared := func(mount object) bool { return mount["mountPath"] == "/dev/shm" } // which takes the place of the engine's
	if size := int64(w.Template.ShmSize); size > 0 && !slices.ContainsFunc(m.mounts, shared) {
		m.add("shm", object{"emptyDir": object{"medium": "Memory", "sizeLimit": quantity(size)}}, object{"mountPath": "/dev/shm"})
	}
	for _, c := range w.Template.Configs {
		e.mountFile(m, "config", types.FileReferenceConfig(c), object{"configMap": object{"name": e.configs[c.Source]}}, "/")
	}
	for _, s := range w.Template.Secrets {
		e.mountFile(m, "secret", types.FileReferenceConfig(s), object{"secret": object{"secretName": e.secrets[s.Source]}}, secretFolder)
	}
	return m.volumes, m.mounts
}

// mounting collects volumes, each under a name, and the mounts of them.
type mounting struct {
	known           map[string]bool
	volumes, mounts []object
}

func (m *mounting) add(name string, volume, mount object) {
	if !m.known[name] && volume != nil {
		volume["name"] = name
		m.volumes = append(m.volumes, volume)
	}
	m.known[name] = true
	mount["name"] = name
	m.mounts = append(m.mounts, mount)
}

// mount adds an entry of volumes. A bind is left out, as no node has this machine's paths,
// but where a Database has its data there: its claim takes the place.
func (e *exporter) mount(m *mounting, w *spec.Workload, v types.ServiceVolumeConfig, i int) {
	mount := object{"mountPath": v.Target}
	if v.ReadOnly {
		mount["readOnly"] = true
	}
	folder := ""
	if v.Volume != nil {
		folder = v.Volume.Subpath
	}
	if e.holdsData(w, v) || v.Type == types.VolumeTypeVolume && e.databaseOn(v.Source) != "" {
		folder = path.Join(dataFolder, folder)
	}
	mount.with("subPath", folder)
	switch {
	case e.onCluster(v) != "":
	case e.holdsData(w, v):
		m.add(dataClaim, nil, mount)
	case v.Type == types.VolumeTypeVolume && v.Source != "":
		m.add("volume-"+e.volumes[v.Source], object{"persistentVolumeClaim": object{"claimName": e.claimName(v.Source)}}, mount)
	case v.Type == types.VolumeTypeVolume:
		m.add(fmt.Sprintf("anonymous-%d", i), object{"emptyDir": object{}}, mount)
	case v.Type == types.VolumeTypeTmpfs:
		memory := object{"medium": "Memory"}
		if v.Tmpfs != nil && v.Tmpfs.Size > 0 {
			memory["sizeLimit"] = quantity(int64(v.Tmpfs.Size))
		}
		m.add(fmt.Sprintf("tmpfs-of-volumes-%d", i), object{"emptyDir": memory}, mount)
	case v.Type == types.VolumeTypeImage:
		mount["readOnly"] = true
		if v.Image != nil {
			mount.with("subPath", v.Image.SubPath)
		}
		m.add(fmt.Sprintf("image-%d", i), object{"image": object{"reference": v.Source}}, mount)
	}
}

// claimName is the name of the claim of a volume: that of an external one is its own, and
// that of a Database's data is the one that its StatefulSet makes.
func (e *exporter) claimName(key string) string {
	if database := e.databaseOn(key); database != "" {
		return dataClaim + "-" + e.services[database] + "-0"
	}
	for _, v := range e.project.Volumes {
		if v.Key == key && v.External {
			return label(v.Name)
		}
	}
	return e.volumes[key]
}

// databaseOn is the Database that has its data on a volume; empty where none has.
func (e *exporter) databaseOn(key string) string {
	for name, w := range e.project.Workloads {
		if v, ok := e.project.Volumes[w.DataVolume]; ok && v.Key == key {
			return name
		}
	}
	return ""
}

// onCluster is the Database that has its data on the volume of a mount, where it is a Cluster:
// then nothing else may have the claim, which may be another one tomorrow.
func (e *exporter) onCluster(v types.ServiceVolumeConfig) string {
	if database := e.databaseOn(v.Source); v.Type == types.VolumeTypeVolume && database != "" && e.isCluster(e.project.Workloads[database]) {
		return database
	}
	return ""
}

// mountFile adds a config or a secret as one file.
func (e *exporter) mountFile(m *mounting, kind string, f types.FileReferenceConfig, volume object, folder string) {
	names := e.configs
	if kind == "secret" {
		names = e.secrets
	}
	name := kind + "-" + names[f.Source]
	if f.Mode != nil {
		name += fmt.Sprintf("-%o", int64(*f.Mode))
		for _, source := range volume {
			source.(object)["defaultMode"] = int64(*f.Mode)
		}
	}
	m.add(name, volume, object{"mountPath": mountPath(f, folder), "subPath": f.Source, "readOnly": true})
}

// mountPath is where a container has a config or a secret; folder is where it is unless an
// absolute path is written.
func mountPath(f types.FileReferenceConfig, folder string) string {
	target := cmp.Or(f.Target, f.Source)
	if path.IsAbs(target) {
		return target
	}
	return path.Join(folder, target)
}

// files adds a ConfigMap for each config that workloads use, and a Secret without a value
// for each secret: applied again, it leaves the values alone that somebody has filled in.
func (e *exporter) files(workloads []*spec.Workload) {
	configs, secrets := map[string]bool{}, map[string]bool{}
	for _, w := range workloads {
		for _, c := range w.Template.Configs {
			configs[c.Source] = configs[c.Source] || !e.isCluster(w) || isInitScript(c)
		}
		if e.isCluster(w) {
			e.addOwnerSecret(w)
			continue
		}
		for _, s := range w.Template.Secrets {
			secrets[s.Source] = true
		}
		var keys []string
		for _, name := range variables(w) {
			if secretVariable(name, *w.Template.Environment[name]) {
				keys = append(keys, name)
			}
		}
		if len(keys) > 0 {
			e.secret(e.environmentSecret(w), keys)
		}
	}
	maps.DeleteFunc(configs, func(_ string, used bool) bool { return !used })
	for key := range configs {
		content := e.contents[key]
		data := object{"data": map[string]string{key: string(content)}}
		if !utf8.Valid(content) {
			data = object{"binaryData": map[string]string{key: base64.StdEncoding.EncodeToString(content)}}
		}
		e.add("ConfigMap", e.configs[key], e.ofProject(), data)
	}
	for key := range secrets {
		e.secret(e.secrets[key], []string{key})
	}
}

// annotationKeys names the keys that a Secret is to be filled in with.
const annotationKeys = "tend.keys"

// secret adds a Secret whose keys are to be filled in.
func (e *exporter) secret(name string, keys []string) {
	e.typedSecret(name, keys, object{"type": "Opaque"})
}

func (e *exporter) typedSecret(name string, keys []string, fields object) {
	meta := e.ofProject()
	meta["annotations"] = map[string]string{annotationKeys: strings.Join(keys, " ")}
	e.add("Secret", name, meta, fields)
	e.result.Empty = append(e.result.Empty, name)
}

// unsupportedMounts notes what of a workload's volumes has no counterpart.
func (e *exporter) unsupportedMounts(w *spec.Workload) {
	for _, v := range w.Template.Volumes {
		switch database := e.onCluster(v); {
		case database != "" && database != w.Name:
			e.unsupported(w.Name, "volumes", fmt.Sprintf("%s has the data of %s, and nothing but CloudNativePG may have the claim: ask the database", v.Target, database))
		case v.Type == types.VolumeTypeBind && e.holdsData(w, v):
			e.unsupported(w.Name, "volumes", fmt.Sprintf("%s is a folder of this machine: its claim begins empty; restore a backup into it", v.Target))
		case v.Type == types.VolumeTypeBind:
			e.unsupported(w.Name, "volumes", fmt.Sprintf("%s is a path of this machine, which no node has: make it a config or a named volume", v.Target))
		case v.Type == types.VolumeTypeVolume && v.Source == "":
			e.unsupported(w.Name, "volumes", fmt.Sprintf("the anonymous volume at %s is gone with its replica: name it to keep it", v.Target))
		}
	}
	for _, written := range w.Template.Tmpfs {
		_, options, _ := strings.Cut(written, ":")
		for option := range strings.SplitSeq(options, ",") {
			size, ok := strings.CutPrefix(option, "size=")
			if _, err := units.RAMInBytes(size); option != "" && (!ok || err != nil) {
				e.unsupported(w.Name, "tmpfs", fmt.Sprintf("a volume in memory has no option %s", option))
			}
		}
	}
	files := map[string][]types.FileReferenceConfig{}
	for _, c := range w.Template.Configs {
		files["configs"] = append(files["configs"], types.FileReferenceConfig(c))
	}
	for _, s := range w.Template.Secrets {
		files["secrets"] = append(files["secrets"], types.FileReferenceConfig(s))
	}
	for key, all := range files {
		for _, f := range all {
			if f.UID != "" && f.UID != "0" || f.GID != "" && f.GID != "0" {
				e.unsupported(w.Name, key, fmt.Sprintf("%s belongs to root in Kubernetes, and everyone may read it unless mode says otherwise", f.Source))
			}
		}
	}
}
