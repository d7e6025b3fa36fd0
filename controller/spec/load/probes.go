package load

import (
	"cmp"
	"fmt"
	"iter"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/tendhq/tend/controller/spec"
)

const maxPort = 65535

// port is the container port that a probe asks, or 0.
func port(p *spec.Probe) int {
	switch {
	case p.HTTPGet != nil:
		return p.HTTPGet.Port
	case p.TCPSocket != nil:
		return p.TCPSocket.Port
	case p.Postgres != nil:
		return p.Postgres.Port
	default:
		return 0
	}
}

// eachProbe yields the probes that are written, by their field of the spec.
func eachProbe(p spec.Probes) iter.Seq2[string, *spec.Probe] {
	return func(yield func(field string, p *spec.Probe) bool) {
		for _, one := range []struct {
			field string
			probe *spec.Probe
		}{{"startupProbe", p.Startup}, {"readinessProbe", p.Readiness}, {"livenessProbe", p.Liveness}} {
			if one.probe != nil && !yield(one.field, one.probe) {
				return
			}
		}
	}
}

// ports are the TCP ports at which a replica can be reached.
func (b *builder) ports(w *spec.Workload) (ports []int) {
	for _, expose := range w.Template.Expose {
		number, protocol, _ := strings.Cut(expose, "/")
		if number == "" || protocol != "" && protocol != "tcp" {
			continue // Compose ignores an empty entry, as of an unset variable
		}
		from, to, isRange := strings.Cut(number, "-")
		if !isRange {
			to = from
		}
		first, err := strconv.Atoi(from)
		last, err2 := strconv.Atoi(to)
		if err != nil || err2 != nil || first < 1 || last < first || last > maxPort {
			b.fail(fmt.Sprintf("write a port from 1 to %d, or a range as 8000-8010", maxPort), fmt.Sprintf("expose cannot be %q", expose), "expose")
			continue
		}
		for port := first; port <= last; port++ {
			ports = append(ports, port)
		}
	}
	for _, p := range w.Template.Ports {
		if p.Protocol == "tcp" {
			ports = append(ports, int(p.Target))
		}
	}
	for _, p := range eachProbe(w.Probes) {
		if port := port(p); port != 0 {
			ports = append(ports, port)
		}
	}
	slices.Sort(ports)
	return slices.Compact(ports)
}

// probes are the probes of the spec. Where a postgres probe names no account, it gets
// the one that the image makes.
func (b *builder) probes(p *spec.Project) spec.Probes {
	for field, probe := range eachProbe(b.document.probes) {
		if probe.Postgres != nil {
			b.completePostgres(p, probe.Postgres, field)
		}
	}
	return b.document.probes
}

func (b *builder) completePostgres(p *spec.Project, asked *spec.Postgres, field string) {
	user := cmp.Or(b.setting(p, "POSTGRES_USER", field), "postgres")
	asked.User = cmp.Or(asked.User, user)
	asked.Database = cmp.Or(asked.Database, b.setting(p, "POSTGRES_DB", field), user)
	asked.Password = b.setting(p, "POSTGRES_PASSWORD", field)
}

// setting is an environment variable of the Postgres image, or the content of the file
// that NAME_FILE names, as the image reads it. That file must be a secret of the
// project, because tend sees no other file of the container.
func (b *builder) setting(p *spec.Project, name, field string) string {
	if v := b.service.Environment[name]; v != nil && *v != "" {
		return *v
	}
	file := b.service.Environment[name+"_FILE"]
	if file == nil || *file == "" {
		return ""
	}
	for _, s := range b.service.Secrets {
		target := cmp.Or(s.Target, s.Source)
		if !path.IsAbs(target) {
			target = path.Join("/run/secrets", target)
		}
		if target != *file {
			continue
		}
		secret := p.Secrets[s.Source]
		content, err := []byte(secret.Content), error(nil)
		if secret.File != "" {
			content, err = readRegular(anywhere{}, secret.File)
		}
		if err != nil {
			b.failSpec("let tend read it, or ask with exec: {command: [pg_isready, ...]}",
				fmt.Sprintf("a postgres probe needs %s, but: %v", name, fileError(secret.File, err)), field, "postgres")
		}
		return strings.TrimRight(string(content), "\n") // as the shell's $(<file)
	}
	b.failSpec("make it a secret of the project, or ask with exec: {command: [pg_isready, ...]}",
		fmt.Sprintf("a postgres probe needs %s, but %s_FILE is %s, which is no secret of the service", name, name, *file),
		field, "postgres")
	return ""
}
