package docker

import (
	"cmp"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/docker/api/types/mount"

	"github.com/tendhq/tend/controller/engine"
)

// mounts converts volumes, and the secrets and configs that are files. Where two have
// one target, a volume wins over a secret and a secret over a config, as in Compose;
// the order is by target.
func (c *converter) mounts(r *createRequest) error {
	volumes := map[string]types.ServiceVolumeConfig{}
	for _, v := range c.Service.Volumes {
		volumes[v.Target] = v
	}
	isFile := map[string]bool{}
	for _, f := range append(c.secretFiles(), c.configFiles()...) {
		if _, taken := volumes[f.target()]; taken || f.object.File == "" {
			continue
		}
		isFile[f.target()] = true
		volumes[f.target()] = types.ServiceVolumeConfig{
			Type: types.VolumeTypeBind, Source: f.object.File, Target: f.target(), ReadOnly: true,
		}
	}

	sorted := slices.SortedFunc(maps.Values(volumes), func(a, b types.ServiceVolumeConfig) int {
		return cmp.Compare(a.Target, b.Target)
	})
	for _, v := range sorted {
		source := v.Source
		switch v.Type {
		case types.VolumeTypeBind:
			// Only the older form of a bind makes a path that is missing on the host,
			// and makes it a folder.
			if !isFile[v.Target] && !bindNeedsMount(v.Bind) {
				r.host.Binds = append(r.host.Binds, bindString(source, v))
				continue
			}
		case types.VolumeTypeVolume:
			if source != "" {
				source = volumeName(c.ContainerSpec, source)
				if !volumeNeedsMount(v.Volume) {
					r.host.Binds = append(r.host.Binds, bindString(source, v))
					continue
				}
			}
		case types.VolumeTypeTmpfs:
		case types.VolumeTypeImage:
			if !c.atLeast("1.48") {
				return invalid("the volume of type image at %s needs Docker Engine 28 or later", v.Target)
			}
		default:
			return invalid("volume of type %s is not supported", v.Type)
		}
		r.host.Mounts = append(r.host.Mounts, mount.Mount{
			Type:          mount.Type(v.Type),
			Source:        source,
			Target:        v.Target,
			ReadOnly:      v.ReadOnly,
			Consistency:   mount.Consistency(v.Consistency),
			BindOptions:   bindOptions(v.Bind),
			VolumeOptions: volumeOptions(v.Volume),
			TmpfsOptions:  tmpfsOptions(v.Tmpfs),
			ImageOptions:  imageOptions(v.Image),
		})
	}
	return nil
}

// volumeName is the engine's name of a volume of compose.yaml.
func volumeName(spec engine.ContainerSpec, key string) string {
	if name, ok := spec.Volumes[key]; ok {
		return name
	}
	return key
}

func imageOptions(i *types.ServiceVolumeImage) *mount.ImageOptions {
	if i == nil {
		return nil
	}
	return &mount.ImageOptions{Subpath: i.SubPath}
}

func bindNeedsMount(b *types.ServiceVolumeBind) bool {
	return b != nil && (!b.CreateHostPath || b.Propagation != "" || b.Recursive != "")
}

func volumeNeedsMount(v *types.ServiceVolumeVolume) bool {
	return v != nil && (len(v.Labels) > 0 || v.Subpath != "" || v.NoCopy)
}

func bindString(source string, v types.ServiceVolumeConfig) string {
	options := []string{"rw"}
	if v.ReadOnly {
		options[0] = "ro"
	}
	if v.Bind != nil && v.Bind.SELinux != "" {
		options = append(options, v.Bind.SELinux)
	}
	return source + ":" + v.Target + ":" + strings.Join(options, ",")
}

func bindOptions(b *types.ServiceVolumeBind) *mount.BindOptions {
	if b == nil {
		return nil
	}
	return &mount.BindOptions{
		Propagation:            mount.Propagation(b.Propagation),
		CreateMountpoint:       b.CreateHostPath,
		NonRecursive:           b.Recursive == "disabled",
		ReadOnlyNonRecursive:   b.Recursive == "writable",
		ReadOnlyForceRecursive: b.Recursive == "readonly",
	}
}

func volumeOptions(v *types.ServiceVolumeVolume) *mount.VolumeOptions {
	if v == nil {
		return nil
	}
	return &mount.VolumeOptions{NoCopy: v.NoCopy, Subpath: v.Subpath, Labels: v.Labels}
}

func tmpfsOptions(t *types.ServiceVolumeTmpfs) *mount.TmpfsOptions {
	if t == nil {
		return nil
	}
	return &mount.TmpfsOptions{SizeBytes: int64(t.Size), Mode: os.FileMode(t.Mode)}
}
