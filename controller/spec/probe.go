package spec

import (
	"time"
)

// Probe is a way to find out whether a replica does what it should, with the fields and
// meaning of Kubernetes core/v1. Exactly one of HTTPGet, TCPSocket, Exec and Postgres
// is set.
type Probe struct {
	HTTPGet   *HTTPGet
	TCPSocket *TCPSocket
	Exec      *Exec
	Postgres  *Postgres
	// InitialDelay is the time from the start to the first probe, Period the time
	// between two, and Timeout the most that one may take.
	InitialDelay, Period, Timeout time.Duration
	// SuccessThreshold and FailureThreshold are how many results in a row
	// change the verdict.
	SuccessThreshold, FailureThreshold int
}

// HTTPGet passes when the answer's status is from 200 to 399.
type HTTPGet struct {
	Path    string
	Port    int
	Scheme  string // "http" or "https"; the certificate is not checked
	Headers map[string]string
}

// TCPSocket passes when a connection can be opened.
type TCPSocket struct{ Port int }

// Exec passes when a command in the container exits with 0.
type Exec struct{ Command []string }

// Postgres passes when the server answers a query over TCP. While a Postgres image
// initialises, its server listens on the Unix socket only
// (docker-library/postgres#880).
type Postgres struct {
	Port                     int
	User, Database, Password string
}

// Probes are the probes of a workload; nil ones are not made.
type Probes struct {
	Startup, Readiness, Liveness *Probe
}

// Probed reports whether tend itself finds out whether the workload's replicas are ready.
// It hears that of an ingress.
func (w *Workload) Probed() bool { return w.Kind == Ingress || w.Probes.Any() }

// Any reports whether there is a probe.
func (p Probes) Any() bool { return p.Startup != nil || p.Readiness != nil || p.Liveness != nil }
