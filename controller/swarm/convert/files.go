package convert

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/swarm"
	"github.com/docker/go-units"

	"github.com/tendhq/tend/controller/spec"
)

// ObjectName is the name of a secret or config, as kind says, with a content. Another
// content has another name, as Swarm changes none of them.
func ObjectName(kind, project, key string, content []byte) string {
	hash := sha256.Sum256(slices.Concat([]byte(kind+" "), content))
	const most = 64 // what Swarm allows
	tail := "_" + hex.EncodeToString(hash[:])[:12]
	name := project + "_" + key
	return name[:min(len(name), most-len(tail))] + tail
}

// objectLabels are the labels of a secret or config.
func objectLabels(project, key string) map[string]string {
	return map[string]string{spec.LabelProject: project, LabelObject: key}
}

// defaultFileMode is what Compose gives a file.
const defaultFileMode = 0o444

func secrets(all []types.ServiceSecretConfig, o Objects) (refs []*swarm.SecretReference) {
	for _, s := range all {
		name := o.Secrets[s.Source]
		file := file("", types.FileReferenceConfig(s))
		refs = append(refs, &swarm.SecretReference{SecretID: o.IDs[name], SecretName: name,
			File: &swarm.SecretReferenceFileTarget{Name: file.Name, UID: file.UID, GID: file.GID, Mode: file.Mode}})
	}
	slices.SortStableFunc(refs, func(a, b *swarm.SecretReference) int { return cmp.Compare(a.File.Name, b.File.Name) })
	return refs
}

func configs(all []types.ServiceConfigObjConfig, o Objects) (refs []*swarm.ConfigReference) {
	for _, c := range all {
		name := o.Configs[c.Source]
		file := file("/", types.FileReferenceConfig(c))
		refs = append(refs, &swarm.ConfigReference{ConfigID: o.IDs[name], ConfigName: name, File: &file})
	}
	slices.SortStableFunc(refs, func(a, b *swarm.ConfigReference) int { return cmp.Compare(a.File.Name, b.File.Name) })
	return refs
}

// file is where a secret or config is seen in a container. Swarm puts a secret whose name
// is no path into /run/secrets.
func file(folder string, r types.FileReferenceConfig) swarm.ConfigReferenceFileTarget {
	f := swarm.ConfigReferenceFileTarget{Name: cmp.Or(r.Target, folder+r.Source), UID: cmp.Or(r.UID, "0"), GID: cmp.Or(r.GID, "0"), Mode: defaultFileMode}
	if r.Mode != nil {
		f.Mode = os.FileMode(*r.Mode) //nolint:gosec // Compose allows permissions only
	}
	return f
}

// mounts are the volumes, binds and tmpfs of a service, by target.
func mounts(p *spec.Project, w *spec.Workload) (all []mount.Mount) {
	for _, v := range w.Template.Volumes {
		m := mount.Mount{Type: mount.Type(v.Type), Source: v.Source, Target: v.Target, ReadOnly: v.ReadOnly, Consistency: mount.Consistency(v.Consistency)}
		switch v.Type {
		case types.VolumeTypeBind:
			if v.Bind != nil && v.Bind.Propagation != "" {
				m.BindOptions = &mount.BindOptions{Propagation: mount.Propagation(v.Bind.Propagation)}
			}
		case types.VolumeTypeVolume:
			m.Source, m.VolumeOptions = namedVolume(p, v)
		case types.VolumeTypeTmpfs:
			m.Source = ""
			if v.Tmpfs != nil {
				m.TmpfsOptions = &mount.TmpfsOptions{SizeBytes: int64(v.Tmpfs.Size), Mode: os.FileMode(v.Tmpfs.Mode)}
			}
		}
		all = append(all, m)
	}
	for _, t := range w.Template.Tmpfs {
		target, text, _ := strings.Cut(t, ":")
		options, _ := tmpfsOptions(text) // Adapt has refused what cannot be read
		all = append(all, mount.Mount{Type: mount.TypeTmpfs, Target: target, TmpfsOptions: options})
	}
	slices.SortStableFunc(all, func(a, b mount.Mount) int { return cmp.Compare(a.Target, b.Target) })
	return all
}

// namedVolume returns the name of a mount's volume, and how a node makes one that it does
// not have; an anonymous volume has no name.
func namedVolume(p *spec.Project, v types.ServiceVolumeConfig) (string, *mount.VolumeOptions) {
	o, name := &mount.VolumeOptions{}, v.Source
	if v.Volume != nil {
		o.NoCopy = v.Volume.NoCopy
	}
	for _, volume := range p.Volumes {
		if volume.Key != v.Source {
			continue
		}
		name = volume.Name
		if volume.External {
			break
		}
		o.Labels = spec.VolumeLabels(p, volume)
		if c := volume.Config; c.Driver != "" || len(c.DriverOpts) > 0 {
			o.DriverConfig = &mount.Driver{Name: c.Driver, Options: c.DriverOpts}
		}
	}
	return name, o
}

// tmpfsOptions reads the options of a tmpfs, as in "size=64m,mode=1777".
func tmpfsOptions(text string) (*mount.TmpfsOptions, error) {
	if text == "" {
		return nil, nil
	}
	o := &mount.TmpfsOptions{}
	for option := range strings.SplitSeq(text, ",") {
		name, value, _ := strings.Cut(option, "=")
		switch name {
		case "size":
			size, err := units.RAMInBytes(value)
			if err != nil {
				return nil, fmt.Errorf("size cannot be %q", value)
			}
			o.SizeBytes = size
		case "mode":
			mode, err := strconv.ParseUint(value, 8, 32)
			if err != nil {
				return nil, fmt.Errorf("mode cannot be %q", value)
			}
			o.Mode = fs.FileMode(mode)
		default:
			return nil, fmt.Errorf("of a tmpfs Swarm knows size and mode only, and not %q", option)
		}
	}
	return o, nil
}

// LocalVolumes are the volumes of a workload that are on one node, as the driver local has
// them. A volume of another driver may be reached from each.
func LocalVolumes(p *spec.Project, w *spec.Workload) (names []string) {
	for _, name := range w.Volumes {
		if d := p.Volumes[name].Config.Driver; d == "" || d == "local" {
			names = append(names, name)
		}
	}
	return names
}

// Secret is a secret with a content, under the name that ObjectName
// gives it.
func Secret(project, key, name string, content []byte) swarm.SecretSpec {
	return swarm.SecretSpec{Annotations: swarm.Annotations{Name: name, Labels: objectLabels(project, key)}, Data: content}
}

// Config is a config with a content; see Secret.
func Config(project, key, name string, content []byte) swarm.ConfigSpec {
	return swarm.ConfigSpec{Annotations: swarm.Annotations{Name: name, Labels: objectLabels(project, key)}, Data: content}
}
