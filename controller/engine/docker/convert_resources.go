package docker

import (
	"maps"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/docker/api/types/blkiodev"
	"github.com/docker/docker/api/types/container"
)

// resources converts the service's limits. Where deploy.resources and an old key
// differ, deploy wins.
func resources(s types.ServiceConfig) container.Resources {
	r := container.Resources{
		CgroupParent:       s.CgroupParent,
		Memory:             int64(s.MemLimit),
		MemoryReservation:  int64(s.MemReservation),
		MemorySwap:         int64(s.MemSwapLimit),
		OomKillDisable:     &s.OomKillDisable,
		CPUCount:           s.CPUCount,
		CPUPercent:         int64(s.CPUPercent * 100),
		CPUPeriod:          s.CPUPeriod,
		CPUQuota:           s.CPUQuota,
		CPURealtimePeriod:  s.CPURTPeriod,
		CPURealtimeRuntime: s.CPURTRuntime,
		CPUShares:          s.CPUShares,
		CpusetCpus:         s.CPUSet,
		NanoCPUs:           int64(s.CPUS * 1e9),
		DeviceCgroupRules:  s.DeviceCgroupRules,
		Ulimits:            ulimits(s.Ulimits),
	}
	if s.MemSwappiness != 0 {
		swappiness := int64(s.MemSwappiness)
		r.MemorySwappiness = &swappiness
	}
	if s.PidsLimit != 0 {
		r.PidsLimit = &s.PidsLimit
	}
	if s.BlkioConfig != nil {
		setBlkio(&r, s.BlkioConfig)
	}
	if s.Deploy != nil {
		setDeploy(&r, s.Deploy.Resources)
	}
	setDevices(&r, s)
	return r
}

func setDeploy(r *container.Resources, deploy types.Resources) {
	if limits := deploy.Limits; limits != nil {
		if limits.MemoryBytes != 0 {
			r.Memory = int64(limits.MemoryBytes)
		}
		if limits.NanoCPUs != 0 {
			r.NanoCPUs = int64(limits.NanoCPUs * 1e9)
		}
		if limits.Pids > 0 {
			r.PidsLimit = &limits.Pids
		}
	}
	// A reservation of processors has no meaning on a single engine.
	if reservations := deploy.Reservations; reservations != nil {
		if reservations.MemoryBytes != 0 {
			r.MemoryReservation = int64(reservations.MemoryBytes)
		}
		for _, d := range reservations.Devices {
			r.DeviceRequests = append(r.DeviceRequests, container.DeviceRequest{
				Driver:       d.Driver,
				Count:        int(d.Count),
				DeviceIDs:    d.IDs,
				Capabilities: [][]string{d.Capabilities},
				Options:      d.Options,
			})
		}
	}
}

func setDevices(r *container.Resources, s types.ServiceConfig) {
	var cdi []string
	for _, d := range s.Devices {
		if isCDI(d) {
			cdi = append(cdi, d.Source)
			continue
		}
		r.Devices = append(r.Devices, container.DeviceMapping{
			PathOnHost:        d.Source,
			PathInContainer:   d.Target,
			CgroupPermissions: d.Permissions,
		})
	}
	if len(cdi) > 0 {
		r.DeviceRequests = append(r.DeviceRequests, container.DeviceRequest{Driver: "cdi", DeviceIDs: cdi})
	}
	for _, gpu := range s.Gpus {
		r.DeviceRequests = append(r.DeviceRequests, container.DeviceRequest{
			Driver:       gpu.Driver,
			Count:        int(gpu.Count),
			DeviceIDs:    gpu.IDs,
			Capabilities: [][]string{append(slices.Clone(gpu.Capabilities), "gpu")},
			Options:      gpu.Options,
		})
	}
}

// isCDI reports whether a device has a name of the Container Device Interface
// ("vendor.com/class=name") and not a path.
func isCDI(d types.DeviceMapping) bool {
	return d.Source == d.Target && !strings.HasPrefix(d.Source, "/") && strings.Contains(d.Source, "=")
}

func ulimits(limits map[string]*types.UlimitsConfig) []*container.Ulimit {
	var ulimits []*container.Ulimit
	for _, name := range slices.Sorted(maps.Keys(limits)) {
		soft, hard := limits[name].Single, limits[name].Single
		if limits[name].Soft != 0 {
			soft = limits[name].Soft
		}
		if limits[name].Hard != 0 {
			hard = limits[name].Hard
		}
		ulimits = append(ulimits, &container.Ulimit{Name: name, Soft: int64(soft), Hard: int64(hard)})
	}
	return ulimits
}

func setBlkio(r *container.Resources, blkio *types.BlkioConfig) {
	r.BlkioWeight = blkio.Weight
	for _, d := range blkio.WeightDevice {
		r.BlkioWeightDevice = append(r.BlkioWeightDevice, &blkiodev.WeightDevice{Path: d.Path, Weight: d.Weight})
	}
	r.BlkioDeviceReadBps = throttles(blkio.DeviceReadBps)
	r.BlkioDeviceReadIOps = throttles(blkio.DeviceReadIOps)
	r.BlkioDeviceWriteBps = throttles(blkio.DeviceWriteBps)
	r.BlkioDeviceWriteIOps = throttles(blkio.DeviceWriteIOps)
}

func throttles(devices []types.ThrottleDevice) []*blkiodev.ThrottleDevice {
	var throttles []*blkiodev.ThrottleDevice
	for _, d := range devices {
		throttles = append(throttles, &blkiodev.ThrottleDevice{Path: d.Path, Rate: uint64(d.Rate)})
	}
	return throttles
}
