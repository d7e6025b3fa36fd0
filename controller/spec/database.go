package spec

import (
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
)

// DataMounts are the volumes and binds that hold the data of a Postgres server.
func DataMounts(service types.ServiceConfig) (mounts []types.ServiceVolumeConfig) {
	data := "/var/lib/postgresql/data" // of the official image
	if v := service.Environment["PGDATA"]; v != nil && *v != "" {
		data = *v
	}
	for _, m := range service.Volumes {
		holds := m.Target == data || strings.HasPrefix(data, strings.TrimSuffix(m.Target, "/")+"/")
		named := m.Type == types.VolumeTypeVolume && m.Source != "" || m.Type == types.VolumeTypeBind
		if holds && named {
			mounts = append(mounts, m)
		}
	}
	return mounts
}
