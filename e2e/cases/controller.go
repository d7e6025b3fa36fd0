package cases

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/tendhq/tend/api"
	"github.com/tendhq/tend/api/client"
	"github.com/tendhq/tend/e2e/kit"
)

// rollout changes a rollout, again and again until the controller answers, as it
// may be dead for a moment.
func rollout(ctx context.Context, service string, change func(context.Context, string) (api.Workload, error)) error {
	var refused *api.Problem
	err := kit.Await(ctx, func() error {
		_, err := change(ctx, service)
		if errors.As(err, &refused) {
			return nil
		}
		return err
	})
	if refused != nil {
		return refused
	}
	return err
}

// await waits until a condition holds for a workload as the controller reports it.
func (s *Shop) await(ctx context.Context, name, what string, holds func(api.Workload) bool) error {
	return kit.Await(ctx, func() error {
		w, err := s.controller.Workload(ctx, name)
		if err == nil && !holds(w) {
			err = fmt.Errorf("it is %+v", w)
		}
		if err != nil {
			err = fmt.Errorf("%s: wait until %s: %w", name, what, err)
		}
		return err
	})
}

// awaitConverged waits until every workload that has a spec is at rest.
func (s *Shop) awaitConverged(ctx context.Context) error {
	for name := range s.specs {
		if err := s.await(ctx, name, "it has converged", kit.AtRest); err != nil {
			return err
		}
	}
	return nil
}

// awaitRevision waits until a workload is at rest at a revision.
func (s *Shop) awaitRevision(ctx context.Context, name, revision string) error {
	return s.await(ctx, name, "it has converged at "+revision, func(w api.Workload) bool {
		return kit.AtRest(w) && w.Status.CurrentRevision == revision
	})
}

// revisionOf is the revision that the controller reads in a spec.
func (s *Shop) revisionOf(ctx context.Context, name string) (revision string, err error) {
	err = s.await(ctx, name, "its revision is known", func(w api.Workload) bool {
		revision = w.Spec.Revision
		return revision != ""
	})
	return revision, err
}

// awaitEndpoint waits until a replica is an endpoint of its workload, or is none.
func (s *Shop) awaitEndpoint(ctx context.Context, workload, replica string, want bool) error {
	return kit.Await(ctx, func() error {
		endpoints, err := s.controller.Endpoints(ctx, client.EndpointOptions{})
		is := slices.ContainsFunc(endpoints.Workloads[workload], func(e api.Endpoint) bool { return e.Replica == replica })
		if err == nil && is != want {
			err = fmt.Errorf("that %s is an endpoint is still %t", replica, is)
		}
		return err
	})
}
