package core

import (
	"slices"
	"time"
)

// Registration is a service that runs outside of tend and was registered, as one registers
// a service with Consul's agent.
type Registration struct {
	// ID is unique among all registrations; several of one Service are its instances.
	ID, Service string
	Address     string
	Port        int
	Tags        []string
	Meta        map[string]string
	Checks      []Check
}

// Check tells whether what was registered can be used. It has either a TTL or HTTP.
type Check struct {
	// ID is unique among the checks of all registrations.
	ID, Name string
	// TTL is how long what the service says of itself holds.
	TTL time.Duration
	// HTTP is a URL that is asked each Interval, and has to answer within Timeout.
	HTTP              string
	Interval, Timeout time.Duration
	// DeregisterAfter is after how long the service is deregistered while the check is
	// critical; 0 for never.
	DeregisterAfter time.Duration

	Status CheckStatus
	Output string
	// Since is when Status has changed last.
	Since time.Time
}

// CheckStatus is what a check says, in Consul's words.
type CheckStatus string

// The statuses, from good to bad.
const (
	CheckPassing  CheckStatus = "passing"
	CheckWarning  CheckStatus = "warning"
	CheckCritical CheckStatus = "critical"
)

// Definition returns the check without what it has said.
func (c Check) Definition() Check {
	c.Status, c.Output, c.Since = "", "", time.Time{}
	return c
}

// Check returns the check with an ID.
func (r Registration) Check(id string) (Check, bool) {
	i := slices.IndexFunc(r.Checks, func(c Check) bool { return c.ID == id })
	if i < 0 {
		return Check{}, false
	}
	return r.Checks[i], true
}

// WithChecks returns the registration with each check as change returns it.
func (r Registration) WithChecks(change func(Check) Check) Registration {
	r.Checks = slices.Clone(r.Checks)
	for i, c := range r.Checks {
		r.Checks[i] = change(c)
	}
	return r
}
