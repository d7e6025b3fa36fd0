package api

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/tendhq/tend/controller"
	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/state"
)

// The parts of the HTTP API of Consul's agent by which what runs outside of tend is
// registered: https://developer.hashicorp.com/consul/api-docs/agent.

const (
	// maxRegistrations and maxChecks bound what is registered, and what is asked for it.
	maxRegistrations = 256
	maxChecks        = 8
	// maxTags bounds the tags and the metadata of a service.
	maxTags = 64
	// maxText bounds a name, a tag, and what a service says of a check, in bytes.
	maxText = 512
	// minCheck and maxCheck bound a TTL and the interval of a check.
	minCheck = time.Second
	maxCheck = 24 * time.Hour
	// checkTimeout is within which time a service has to answer where the check does not
	// say, and at most.
	checkTimeout = 10 * time.Second
	// minDeregister is the least after which Consul deregisters a service.
	minDeregister = time.Minute
)

// ConsulRegistration is a service to register. A field of Consul's that is not here is
// refused, as it would not be heeded.
type ConsulRegistration struct {
	ID      string                  `json:"ID,omitempty"`
	Name    string                  `json:"Name"`
	Tags    []string                `json:"Tags,omitempty"`
	Address string                  `json:"Address"`
	Port    int                     `json:"Port,omitempty"`
	Meta    map[string]string       `json:"Meta,omitempty"`
	Check   *ConsulCheckDefinition  `json:"Check,omitempty"`
	Checks  []ConsulCheckDefinition `json:"Checks,omitempty"`
}

// ConsulCheckDefinition is a check of a service to register: with a TTL, or over HTTP.
type ConsulCheckDefinition struct {
	CheckID string `json:"CheckID,omitempty"`
	Name    string `json:"Name,omitempty"`
	TTL     string `json:"TTL,omitempty"`
	HTTP    string `json:"HTTP,omitempty"`
	// Interval, Timeout and the others are durations as Go writes them.
	Interval                       string `json:"Interval,omitempty"`
	Timeout                        string `json:"Timeout,omitempty"`
	Status                         string `json:"Status,omitempty"`
	DeregisterCriticalServiceAfter string `json:"DeregisterCriticalServiceAfter,omitempty"`
}

// consulUpdate is what a service says of its check.
type consulUpdate struct {
	Status string `json:"Status"`
	Output string `json:"Output"`
}

// addRegistering adds the paths by which services are registered.
func (s *server) addRegistering(r chi.Router) {
	r.Put("/v1/agent/service/register", s.register)
	r.Put("/v1/agent/service/deregister/{id}", s.deregister)
	r.Put("/v1/agent/check/update/{id}", s.updateCheck)
	for path, status := range map[string]core.CheckStatus{"pass": core.CheckPassing, "warn": core.CheckWarning, "fail": core.CheckCritical} {
		r.Put("/v1/agent/check/"+path+"/{id}", func(w http.ResponseWriter, r *http.Request) {
			s.heard(w, r, status, r.URL.Query().Get("note"))
		})
	}
}

func (s *server) register(w http.ResponseWriter, r *http.Request) {
	var written ConsulRegistration
	err := readBody(w, r, maxBody, &written)
	if err != nil {
		fail(w, err)
		return
	}
	registration, err := written.registration()
	if err == nil {
		err = s.room(registration)
	}
	if err == nil {
		at := net.JoinHostPort(registration.Address, strconv.Itoa(registration.Port))
		message := fmt.Sprintf("%s of the service %s is registered, at %s", registration.ID, registration.Service, at)
		err = s.Controller.Register(r.Context(), registered(r, "ServiceRegistered", message), registration)
	}
	answerRegistering(w, err)
}

// registered is the event of a change of what is registered, which is no workload's.
func registered(r *http.Request, reason, message string) core.Event {
	return core.Event{Type: core.Normal, Reason: reason, Message: message, Actor: callerFrom(r).name}
}

// room returns an error where there is no more room for a registration, or where another
// one has a check of the same ID.
func (s *server) room(r core.Registration) error {
	others := slices.DeleteFunc(s.Store.Snapshot().Registrations(""), func(row *state.Registration) bool { return row.ID == r.ID })
	if len(others) >= maxRegistrations {
		return problem(http.StatusTooManyRequests, fmt.Sprintf("%d services are registered already, which is the most: deregister some", len(others)))
	}
	for _, row := range others {
		for _, c := range r.Checks {
			if _, taken := row.Check(c.ID); taken {
				return problem(http.StatusConflict, fmt.Sprintf("%s has a check %s already: give this one another CheckID", row.ID, c.ID))
			}
		}
	}
	return nil
}

func (s *server) deregister(w http.ResponseWriter, r *http.Request) {
	id := chi.URLParam(r, "id")
	answerRegistering(w, s.Controller.Deregister(r.Context(), registered(r, "ServiceDeregistered", id+" is registered no more"), id))
}

func (s *server) updateCheck(w http.ResponseWriter, r *http.Request) {
	var update consulUpdate
	if err := readBody(w, r, maxBody, &update); err != nil {
		fail(w, err)
		return
	}
	status := core.CheckStatus(update.Status)
	if !validStatus(status) {
		fail(w, problem(http.StatusBadRequest, fmt.Sprintf("Status is passing, warning or critical, and not %q", update.Status)))
		return
	}
	s.heard(w, r, status, update.Output)
}

func (s *server) heard(w http.ResponseWriter, r *http.Request, status core.CheckStatus, output string) {
	answerRegistering(w, s.Controller.Heard(chi.URLParam(r, "id"), status, output[:min(len(output), maxText)]))
}

func answerRegistering(w http.ResponseWriter, err error) {
	if unknown := new(controller.UnknownRegistrationError); errors.As(err, &unknown) {
		err = problem(http.StatusNotFound, unknown.Error())
	}
	if err != nil {
		fail(w, err)
		return
	}
	writeJSON(w, struct{}{})
}

// plainName is what IDs and names are made of: they stand in paths, and in names of hosts.
var plainName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$`)

func validStatus(status core.CheckStatus) bool {
	return status == core.CheckPassing || status == core.CheckWarning || status == core.CheckCritical
}

// registration returns what is to be registered, or what is wrong with it.
func (c ConsulRegistration) registration() (core.Registration, error) {
	r := core.Registration{ID: cmp.Or(c.ID, c.Name), Service: c.Name, Address: c.Address, Port: c.Port, Tags: c.Tags, Meta: c.Meta}
	wrong := func(format string, args ...any) (core.Registration, error) {
		return core.Registration{}, problem(http.StatusBadRequest, fmt.Sprintf(format, args...))
	}
	switch {
	case !plainName.MatchString(r.Service) || !plainName.MatchString(r.ID):
		return wrong("Name and ID have letters, digits, dots, colons, hyphens and underscores, at most 128, and not %q and %q", r.Service, r.ID)
	case !validAddress(r.Address):
		return wrong("Address is an IP address or a host's name, and not %q: there is no agent beside the service whose address could be meant", r.Address)
	case r.Port < 0 || r.Port > 65535:
		return wrong("Port is a number up to 65535, and not %d", r.Port)
	case len(r.Tags) > maxTags || len(r.Meta) > maxTags:
		return wrong("a service has at most %d tags and as many fields of Meta", maxTags)
	}
	definitions := c.Checks
	if c.Check != nil {
		definitions = append([]ConsulCheckDefinition{*c.Check}, definitions...)
	}
	if len(definitions) > maxChecks {
		return wrong("a service has at most %d checks", maxChecks)
	}
	for i, d := range definitions {
		id := "service:" + r.ID // as Consul names them
		if len(definitions) > 1 {
			id = fmt.Sprintf("%s:%d", id, i+1)
		}
		check, err := d.check(id, r.Service)
		if err != nil {
			return wrong("check %d: %v", i+1, err)
		}
		if _, twice := r.Check(check.ID); twice {
			return wrong("check %d: there is another one with the CheckID %s", i+1, check.ID)
		}
		r.Checks = append(r.Checks, check)
	}
	return r, nil
}

// check returns a check, or what is wrong with its definition.
func (d ConsulCheckDefinition) check(id, service string) (c core.Check, err error) {
	c = core.Check{ID: cmp.Or(d.CheckID, id), Name: cmp.Or(d.Name, "Service '"+service+"' check"), HTTP: d.HTTP, Status: core.CheckStatus(d.Status)}
	switch {
	case !plainName.MatchString(c.ID):
		return c, fmt.Errorf("CheckID has letters, digits, dots, colons, hyphens and underscores, and not %q", c.ID)
	case c.Status != "" && !validStatus(c.Status):
		return c, fmt.Errorf("the status is passing, warning or critical, and not %q", d.Status)
	case (d.TTL == "") == (d.HTTP == ""):
		return c, errors.New("it has either a TTL, or HTTP with an Interval; others are not supported here")
	case d.TTL != "":
		c.TTL, err = within("TTL", d.TTL, minCheck, maxCheck)
	default:
		c.Interval, err = within("Interval", d.Interval, minCheck, maxCheck)
		if u, wrong := url.Parse(d.HTTP); err == nil && (wrong != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil) {
			err = errors.New("the URL in HTTP has the form http://HOST:PORT/PATH, without a user")
		}
		if c.Timeout = checkTimeout; err == nil && d.Timeout != "" {
			c.Timeout, err = within("Timeout", d.Timeout, time.Millisecond, checkTimeout)
		}
	}
	if err == nil && d.DeregisterCriticalServiceAfter != "" {
		c.DeregisterAfter, err = within("DeregisterCriticalServiceAfter", d.DeregisterCriticalServiceAfter, 0, 365*maxCheck)
		c.DeregisterAfter = max(c.DeregisterAfter, minDeregister) // as Consul does
	}
	return c, err
}

func within(field, written string, least, most time.Duration) (time.Duration, error) {
	d, err := time.ParseDuration(written)
	if err != nil || d < least || d > most {
		return 0, fmt.Errorf("%s is a duration from %s to %s, and not %q", field, least, most, written)
	}
	return d, nil
}

// validAddress reports whether an address is an IP address or a host's name.
func validAddress(address string) bool {
	return net.ParseIP(address) != nil || plainName.MatchString(address) && !strings.Contains(address, ":")
}
