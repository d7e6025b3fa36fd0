package cases

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"time"

	"github.com/tendhq/tend/e2e/kit"
)

// workload is what the controller says of one, as far as it matters here.
type workload struct {
	Metadata struct{ Generation int64 }
	Spec     struct{ Revision string }
	Status   struct {
		ObservedGeneration          int64
		Replicas, AvailableReplicas int
		CurrentRevision             string
		Converged                   bool
		Conditions                  []struct{ Type, Status, Reason, Message string }
	}
}

// atRest says whether what runs is what is written.
func (w workload) atRest() bool {
	return w.Status.ObservedGeneration == w.Metadata.Generation && w.Status.Converged
}

// rolledBack says whether the revision that is written was given up.
func (w workload) rolledBack() bool {
	for _, c := range w.Status.Conditions {
		if c.Reason == "RolledBack" {
			return true
		}
	}
	return false
}

// refusal is an answer of the controller other than 200.
type refusal struct{ status, body string }

func (r *refusal) Error() string { return "the controller answered " + r.status + ": " + r.body }

// newController returns a client that speaks to the controller over its socket.
func newController(dir string) *http.Client {
	socket := filepath.Join(dir, ".tend", "tend.sock")
	return &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		},
		DisableKeepAlives: true,
	}}
}

// ask sends the controller a request until it answers, as it may be dead for a
// moment, and decodes the answer. An answer other than 200 is a *refusal.
func (s *Shop) ask(ctx context.Context, method, path string, answer any) error {
	for {
		err := s.askOnce(ctx, method, path, answer)
		var refused *refusal
		if err == nil || errors.As(err, &refused) {
			return err
		}
		if ended := kit.Pause(ctx, 100*time.Millisecond); ended != nil {
			return fmt.Errorf("%w: %w", ended, err)
		}
	}
}

func (s *Shop) askOnce(ctx context.Context, method, path string, answer any) error {
	request, err := http.NewRequestWithContext(ctx, method, "http://localhost/api/v1/"+path, nil)
	if err != nil {
		return err
	}
	response, err := s.controller.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		var body bytes.Buffer
		_, _ = body.ReadFrom(response.Body) // what there is of it
		return &refusal{response.Status, body.String()}
	}
	return json.NewDecoder(response.Body).Decode(answer)
}

// await waits until the controller says of a workload what a condition wants.
func (s *Shop) await(ctx context.Context, name, what string, holds func(workload) bool) error {
	for {
		var w workload
		err := s.ask(ctx, http.MethodGet, "workloads/"+name, &w)
		var refused *refusal
		if err != nil && !errors.As(err, &refused) {
			return fmt.Errorf("%s: wait until %s: %w", name, what, err)
		}
		if err == nil && holds(w) {
			return nil
		}
		if ended := kit.Pause(ctx, 100*time.Millisecond); ended != nil {
			return fmt.Errorf("%s: wait until %s: %w; it is %+v", name, what, ended, w)
		}
	}
}

// awaitConverged waits until every workload that has a spec is at rest.
func (s *Shop) awaitConverged(ctx context.Context) error {
	for name := range s.specs {
		if err := s.await(ctx, name, "it has converged", workload.atRest); err != nil {
			return err
		}
	}
	return nil
}

// awaitRevision waits until a workload is at rest at a revision.
func (s *Shop) awaitRevision(ctx context.Context, name, revision string) error {
	return s.await(ctx, name, "it has converged at "+revision, func(w workload) bool {
		return w.atRest() && w.Status.CurrentRevision == revision
	})
}

// revisionOf is the revision that the controller reads in a spec.
func (s *Shop) revisionOf(ctx context.Context, name string) (revision string, err error) {
	err = s.await(ctx, name, "its revision is known", func(w workload) bool {
		revision = w.Spec.Revision
		return revision != ""
	})
	return revision, err
}

// awaitEndpoint waits until a replica is an endpoint of its workload, or is none.
func (s *Shop) awaitEndpoint(ctx context.Context, workload, replica string, want bool) error {
	for {
		var endpoints struct {
			Workloads map[string][]struct{ Replica string }
		}
		err := s.ask(ctx, http.MethodGet, "endpoints", &endpoints)
		var refused *refusal
		if err != nil && !errors.As(err, &refused) {
			return err
		}
		is := slices.Contains(endpoints.Workloads[workload], struct{ Replica string }{replica})
		if err == nil && is == want {
			return nil
		}
		if err := kit.Pause(ctx, 100*time.Millisecond); err != nil {
			return fmt.Errorf("%s: wait until being an endpoint is %t: %w", replica, want, err)
		}
	}
}

// rollout asks the controller to pause, resume or undo a workload's rollout.
func (s *Shop) rollout(ctx context.Context, name, verb string) error {
	return s.ask(ctx, http.MethodPost, "workloads/"+name+"/rollout/"+verb, new(workload))
}
