package spec

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

const maxPort = 65535

// Probe is how to find out whether a replica does what it should, with the
// fields and meaning of Kubernetes core/v1. Exactly one of HTTPGet, TCPSocket,
// Exec and Postgres is set.
type Probe struct {
	HTTPGet   *HTTPGet
	TCPSocket *TCPSocket
	Exec      *Exec
	Postgres  *Postgres
	// InitialDelay is the time from the start to the first probe, Period that
	// between two, Timeout what one may take.
	InitialDelay, Period, Timeout time.Duration
	// SuccessThreshold and FailureThreshold are how many results in a row
	// change the verdict.
	SuccessThreshold, FailureThreshold int
}

// HTTPGet passes when the answer's status is from 200 to 399.
type HTTPGet struct {
	Path    string
	Port    int
	Scheme  string // "http" or "https"; of https the certificate is not checked
	Headers map[string]string
}

// TCPSocket passes when a connection can be opened.
type TCPSocket struct{ Port int }

// Exec passes when a command in the container exits with 0.
type Exec struct{ Command []string }

// Postgres passes when the server answers a query over TCP: while it
// initialises, a Postgres image's server listens on the Unix socket only
// (docker-library/postgres#880).
type Postgres struct {
	Port                     int
	User, Database, Password string
}

// Probes are those of a workload; nil ones are not made.
type Probes struct {
	Startup, Readiness, Liveness *Probe
}

// Any says whether there is one.
func (p Probes) Any() bool { return p.Startup != nil || p.Readiness != nil || p.Liveness != nil }

// port is the container port that is asked, or 0.
func (p *Probe) port() int {
	switch {
	case p == nil:
		return 0
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

// all yields the probes that are made, by their field of the spec.
func (p Probes) all(yield func(field string, p *Probe) bool) {
	for _, one := range []struct {
		field string
		probe *Probe
	}{{"startupProbe", p.Startup}, {"readinessProbe", p.Readiness}, {"livenessProbe", p.Liveness}} {
		if one.probe != nil && !yield(one.field, one.probe) {
			return
		}
	}
}

// ports are the TCP ports at which a replica can be reached.
func (b *builder) ports(w *Workload) (ports []int) {
	for _, expose := range w.Template.Expose {
		number, protocol, _ := strings.Cut(expose, "/")
		if number == "" || protocol != "" && protocol != "tcp" {
			continue // Compose takes an empty entry, as of an unset variable, for none
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
	for _, p := range w.Probes.all {
		if port := p.port(); port != 0 {
			ports = append(ports, port)
		}
	}
	slices.Sort(ports)
	return slices.Compact(ports)
}

// probes are those of the spec; the account that a postgres probe does not
// name is the one that the image makes.
func (b *builder) probes(p *Project) Probes {
	for field, probe := range b.document.probes.all {
		if probe.Postgres != nil {
			b.completePostgres(p, probe.Postgres, field)
		}
	}
	return b.document.probes
}

func (b *builder) completePostgres(p *Project, asked *Postgres, field string) {
	user := cmp.Or(b.setting(p, "POSTGRES_USER", field), "postgres")
	asked.User = cmp.Or(asked.User, user)
	asked.Database = cmp.Or(asked.Database, b.setting(p, "POSTGRES_DB", field), user)
	asked.Password = b.setting(p, "POSTGRES_PASSWORD", field)
}

// setting is an environment variable of the Postgres image, or the content of
// the file that NAME_FILE names, as the image reads it: it must be a secret of
// the project, because tend sees no other file of the container.
func (b *builder) setting(p *Project, name, field string) string {
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
