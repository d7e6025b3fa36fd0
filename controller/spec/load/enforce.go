package load

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/tendhq/tend/controller/spec"
)

// enforce refuses what the policy does not allow.
func (b *builder) enforce(p spec.Policy) {
	for _, v := range p.Violations(b.service) {
		b.fail(v.Hint, fmt.Sprintf("%s: the policy %s refuses that", v.Message, p), v.Key)
	}
}

// enforceVolumes refuses volumes that are host folders by another name.
func (l *loading) enforceVolumes(p spec.Policy, volumes types.Volumes) spec.Errors {
	if p != spec.Baseline && p != spec.Restricted {
		return nil
	}
	var problems spec.Errors
	for _, name := range slices.Sorted(maps.Keys(volumes)) {
		v := volumes[name]
		if v.DriverOpts["device"] == "" || v.DriverOpts["type"] == "tmpfs" || strings.HasPrefix(v.DriverOpts["type"], "nfs") {
			continue
		}
		e := l.sources.locate("volumes", name, "driver_opts", "device")
		e.Message = fmt.Sprintf("volume %s is %s of the host: the policy %s refuses that", name, v.DriverOpts["device"], p)
		e.Hint = "remove driver_opts, so that the engine keeps the volume"
		problems = append(problems, e)
	}
	return problems
}
