package load

import (
	"regexp"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/tendhq/tend/controller/spec"
)

const (
	defaultHookTimeout = 300 * time.Second
	maxBackups         = 1000
)

var defaultBackup = spec.Backup{BeforeUpdate: true, Keep: 5}

// dnsLabel is a name of RFC 1123, as Kubernetes asks of containers; it has at most 63 bytes.
var dnsLabel = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?$`)

func (d *decoder) readOnFailure(name string, n *yaml.Node) {
	if o := spec.OnFailure(d.oneOf(name, n, string(spec.Rollback), string(spec.Pause))); o != "" {
		d.onFailure = &o
	}
}

func (d *decoder) readHooks(name string, n *yaml.Node) {
	named := map[string]bool{}
	d.list(name, n, func(name string, n *yaml.Node) {
		hook := spec.Hook{Timeout: defaultHookTimeout}
		d.mapping(name, n, fields{
			"name": func(name string, n *yaml.Node) {
				const hint = "write lower-case letters, digits and hyphens, at most 63"
				switch hook.Name = d.text(name, n, hint); {
				case hook.Name == "":
				case len(hook.Name) > 63 || !dnsLabel.MatchString(hook.Name):
					d.fail(n, hint, "%s cannot be %q", name, hook.Name)
				case named[hook.Name]:
					d.fail(n, "give each a name of its own", "two hooks have the name %q", hook.Name)
				}
				named[hook.Name] = true
			},
			"command": func(name string, n *yaml.Node) { hook.Command = d.command(name, n) },
			"timeoutSeconds": func(name string, n *yaml.Node) {
				if timeout := d.seconds(name, n, 1); timeout != nil {
					hook.Timeout = *timeout
				}
			},
		}, "name", "command")
		d.preRollout = append(d.preRollout, hook)
	})
}

func (d *decoder) readBackup(name string, n *yaml.Node) {
	backup := defaultBackup
	d.backup = &backup
	d.mapping(name, n, fields{
		"beforeUpdate": func(name string, n *yaml.Node) {
			if before := d.boolean(name, n); before != nil {
				backup.BeforeUpdate = *before
			}
		},
		"keep": func(name string, n *yaml.Node) {
			if keep := d.count(name, n, 1, maxBackups); keep != nil {
				backup.Keep = *keep
			}
		},
	})
}
