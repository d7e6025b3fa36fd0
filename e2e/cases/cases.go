package cases

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tendhq/tend/api"
	"github.com/tendhq/tend/e2e/kit"
)

// Case is one kind of disturbance, which is repeated while the load lasts.
type Case struct {
	// Name is how the case is asked for; Title says what happens.
	Name, Title string
	// disturb makes one round of it and ends when the shop has dealt with it.
	disturb func(ctx context.Context, s *Shop, round int) error
	// Profile is the profile that the copy must have on, if any.
	Profile string
	// Shopping is set where the load is one of customers who search, register, order, pay
	// and cancel.
	Shopping bool
}

// All returns every case.
func All() (all []Case) {
	for _, service := range services {
		all = append(all, Case{Name: "update-" + service, Title: "rolling update of " + service, disturb: rollingUpdate(service)})
	}
	all = append(all,
		Case{Name: "migrate", Title: "user-service from 1.0.0 to 1.1.0, whose migration adds a column, and back", disturb: migrate},
		Case{Name: "update-gateway", Title: "rolling update of the gateway itself", disturb: rollingUpdate("gateway")},
		Case{Name: "scale", Title: "scaling 5 → 2 and 2 → 5", disturb: scale},
		Case{Name: "kill", Title: "SIGKILL of a replica", disturb: killReplica},
		Case{Name: "hang", Title: "a replica that hangs (`docker pause`)", disturb: hangReplica},
		Case{Name: "readiness", Title: "a replica whose readiness fails and returns", disturb: loseReadiness},
		Case{Name: "bad-never-ready", Title: "update to an image that never becomes ready", disturb: badUpdate("never")},
		Case{Name: "bad-crash", Title: "update to an image that crashes", disturb: badUpdate("crash")},
		Case{Name: "bad-dies", Title: "update to an image that is ready and dies after 5 s", disturb: badUpdate("dies")},
		Case{Name: "bad-missing", Title: "update to an image that does not exist", disturb: badUpdate("missing")},
		Case{Name: "mind-third", Title: "a third revision in the middle of a rollout", disturb: thirdRevision},
		Case{Name: "mind-rescale", Title: "a rescale in the middle of a rollout", disturb: rescale},
		Case{Name: "mind-pause", Title: "a pause in the middle of a rollout", disturb: pauseRollout},
		Case{Name: "mind-undo", Title: "an undo in the middle of a rollout", disturb: undoRollout},
	)
	for _, database := range databases {
		all = append(all, Case{Name: "update-" + database, Title: "update of " + database + ": a setting, a new image", disturb: databaseUpdate(database)})
	}
	for _, part := range parts {
		c := Case{Name: "shop-" + part, Title: part + ": an update, a SIGKILL, in turns", disturb: updateAndKill(part), Shopping: true}
		if part == rabbitMQ {
			c.Profile = rabbitMQ
		}
		all = append(all, c)
	}
	return all
}

// Named returns the cases of the given names, or all that need no profile. Names joined by
// a plus sign are one case, in which all of them happen at the same time.
func Named(names ...string) (chosen []Case, err error) {
	if len(names) == 0 {
		return slices.DeleteFunc(All(), func(c Case) bool { return c.Profile != "" }), nil
	}
	for _, name := range names {
		var joined []Case
		for part := range strings.SplitSeq(name, "+") {
			i := slices.IndexFunc(All(), func(c Case) bool { return c.Name == part })
			if i < 0 {
				return nil, fmt.Errorf("there is no case %q", part)
			}
			joined = append(joined, All()[i])
		}
		chosen = append(chosen, together(joined))
	}
	return chosen, nil
}

// together is a case that makes several disturbances at the same time. Those
// that take the services in turns are at another one each.
func together(several []Case) Case {
	if len(several) == 1 {
		return several[0]
	}
	var names, titles []string
	for _, c := range several {
		names, titles = append(names, c.Name), append(titles, c.Title)
	}
	disturb := func(ctx context.Context, s *Shop, round int) error {
		errs := make([]error, len(several))
		var group sync.WaitGroup
		for i, c := range several {
			group.Go(func() { errs[i] = c.disturb(ctx, s, round+2*i) })
		}
		group.Wait()
		return errors.Join(errs...)
	}
	joined := Case{Name: strings.Join(names, "+"), Title: strings.Join(titles, "; "), disturb: disturb}
	for _, c := range several {
		joined.Profile, joined.Shopping = cmp.Or(joined.Profile, c.Profile), joined.Shopping || c.Shopping
	}
	return joined
}

// turn is what a case that concerns every service disturbs in a round. Rounds
// with and without the death of tend alternate: each service sees both.
func turn(round int) string { return services[round/2%len(services)] }

// update writes a revision and waits until the controller has read it.
func (s *Shop) update(ctx context.Context, service string, replicas int, template string) (revision string, err error) {
	before, err := s.revisionOf(ctx, service)
	if err != nil {
		return "", err
	}
	if err := s.write(service, replicas, template); err != nil {
		return "", err
	}
	return revision, s.await(ctx, service, "the new revision is read", func(w api.Workload) bool {
		revision = w.Spec.Revision
		return revision != before
	})
}

// beginUpdate writes a revision and waits until its first replica is made.
func (s *Shop) beginUpdate(ctx context.Context, service, template string) (revision string, err error) {
	before, err := s.replicas(ctx, service)
	if err != nil {
		return "", err
	}
	if revision, err = s.update(ctx, service, kit.Replicas(s.specs[service]), template); err != nil {
		return "", err
	}
	return revision, s.awaitCreated(ctx, service, before)
}

func rollingUpdate(service string) func(context.Context, *Shop, int) error {
	return func(ctx context.Context, s *Shop, _ int) error {
		revision, err := s.update(ctx, service, kit.Replicas(s.specs[service]), s.nextRevision())
		if err != nil {
			return err
		}
		return s.awaitRevision(ctx, service, revision)
	}
}

// updateAndKill does either in turns. As tend dies in every other round, both come with its
// death and without within four.
func updateAndKill(service string) func(context.Context, *Shop, int) error {
	update := rollingUpdate(service)
	return func(ctx context.Context, s *Shop, round int) error {
		if (round+round/2)%2 == 0 {
			return update(ctx, s, round)
		}
		return s.killReplicaOf(ctx, service, round)
	}
}

// scale goes up and down again.
func scale(ctx context.Context, s *Shop, round int) error {
	service := turn(round)
	for _, replicas := range []int{5, 2} {
		if err := s.save(service, kit.Set(s.specs[service], "replicas", replicas)); err != nil {
			return err
		}
		err := s.await(ctx, service, fmt.Sprintf("it has %d replicas", replicas), func(w api.Workload) bool {
			return kit.AtRest(w) && w.Status.Replicas == replicas
		})
		if err != nil {
			return err
		}
	}
	return s.save(service, s.specs[service])
}

func killReplica(ctx context.Context, s *Shop, round int) error {
	return s.killReplicaOf(ctx, turn(round), round)
}

func (s *Shop) killReplicaOf(ctx context.Context, service string, round int) error {
	replica, err := s.pick(ctx, service, round)
	if err != nil {
		return err
	}
	if err := s.engine.ContainerKill(ctx, replica.ID, "KILL"); err != nil {
		return err
	}
	return s.awaitRepaired(ctx, replica)
}

// hangReplica lets every other victim go on after a moment, while tend reacts to it;
// the others hang until they are replaced.
func hangReplica(ctx context.Context, s *Shop, round int) error {
	replica, err := s.pick(ctx, turn(round), round)
	if err != nil {
		return err
	}
	if err := s.engine.ContainerPause(ctx, replica.ID); err != nil {
		return err
	}
	if round%4 >= 2 {
		return s.awaitRepaired(ctx, replica)
	}
	return errors.Join(kit.Pause(ctx, 2*time.Second), s.unpause(context.WithoutCancel(ctx), replica))
}

// loseReadiness cuts a replica off from its database until it is no endpoint any
// more, and then lets it return.
func loseReadiness(ctx context.Context, s *Shop, round int) error {
	service := turn(round)
	replica, err := s.pick(ctx, service, round)
	if err != nil {
		return err
	}
	database, err := s.pick(ctx, strings.TrimSuffix(service, "-service")+"-db", 0)
	if err != nil {
		return err
	}
	name := strings.TrimPrefix(replica.Name, "/")
	heal, err := Partition(ctx, replica, database.NetworkSettings.Networks[s.project+"_database"].IPAddress)
	if err != nil {
		return err
	}
	err = s.awaitEndpoint(ctx, service, name, false)
	if err := errors.Join(err, heal(context.WithoutCancel(ctx))); err != nil {
		return err
	}
	return s.awaitEndpoint(ctx, service, name, true)
}

// badUpdate updates to a revision that cannot work. It must be rolled back, with
// the reason told, and the old revision must be there all the time.
func badUpdate(fault string) func(context.Context, *Shop, int) error {
	return func(ctx context.Context, s *Shop, round int) error {
		service := turn(round)
		old, err := s.replicas(ctx, service)
		if err != nil {
			return err
		}
		good, err := s.revisionOf(ctx, service)
		if err != nil {
			return err
		}
		before, err := os.ReadFile(kit.SpecFile(s.dir, service))
		if err != nil {
			return err
		}
		began := time.Now()
		image := fmt.Sprintf("image: %s, entrypoint: [/faulty, %s, /app], ", s.image(service, "faulty"), fault)
		if fault == "missing" {
			image = "image: localhost:1/nowhere:1, "
		}
		// A person who waits for the deadline waits a minute; the load need not.
		content := kit.Set(s.specs[service], "progressDeadlineSeconds", 8)
		if err := s.save(service, content+"  template: {"+image+s.nextRevision()+"}\n"); err != nil {
			return err
		}
		if err := s.await(ctx, service, "it is rolled back", kit.RolledBack); err != nil {
			return err
		}
		if err := s.awaitOnly(ctx, service, old); err != nil {
			return err
		}
		reason, err := s.awaitTold(ctx, service, "RolledBack", began)
		if err != nil {
			return err
		}
		if !strings.Contains(reason, ": ") {
			return fmt.Errorf("%s: the event does not say why it was rolled back: %q", service, reason)
		}
		if err := s.save(service, string(before)); err != nil {
			return err
		}
		return s.awaitRevision(ctx, service, good)
	}
}

func thirdRevision(ctx context.Context, s *Shop, round int) error {
	service := turn(round)
	if _, err := s.beginUpdate(ctx, service, s.nextRevision()); err != nil {
		return err
	}
	revision, err := s.update(ctx, service, kit.Replicas(s.specs[service]), s.nextRevision())
	if err != nil {
		return err
	}
	return s.awaitRevision(ctx, service, revision)
}

func rescale(ctx context.Context, s *Shop, round int) error {
	service := turn(round)
	template, replicas := s.nextRevision(), kit.Replicas(s.specs[service])+2
	revision, err := s.beginUpdate(ctx, service, template)
	if err != nil {
		return err
	}
	if err := s.write(service, replicas, template); err != nil {
		return err
	}
	err = s.await(ctx, service, fmt.Sprintf("it has %d replicas at %s", replicas, revision), func(w api.Workload) bool {
		return kit.AtRest(w) && w.Status.Replicas == replicas && w.Status.CurrentRevision == revision
	})
	if err != nil {
		return err
	}
	return s.write(service, kit.Replicas(s.specs[service]), template)
}

func pauseRollout(ctx context.Context, s *Shop, round int) error {
	service := turn(round)
	revision, err := s.beginUpdate(ctx, service, s.nextRevision())
	if err != nil {
		return err
	}
	if err := rollout(ctx, service, s.controller.Pause); err != nil {
		return err
	}
	if err := kit.Pause(ctx, 3*time.Second); err != nil {
		return err
	}
	if err := rollout(ctx, service, s.controller.Resume); err != nil {
		return err
	}
	return s.awaitRevision(ctx, service, revision)
}

func undoRollout(ctx context.Context, s *Shop, round int) error {
	service := turn(round)
	before, err := s.revisionOf(ctx, service)
	if err != nil {
		return err
	}
	if _, err := s.beginUpdate(ctx, service, s.nextRevision()); err != nil {
		return err
	}
	undo := func(ctx context.Context, service string) (api.Workload, error) {
		return s.controller.Undo(ctx, service, 0)
	}
	if err := rollout(ctx, service, undo); err != nil {
		return err
	}
	if err := s.awaitRevision(ctx, service, before); err != nil {
		return err
	}
	return s.save(service, s.specs[service])
}

// databaseUpdate changes a setting and the image in turns.
func databaseUpdate(database string) func(context.Context, *Shop, int) error {
	return func(ctx context.Context, s *Shop, round int) error {
		image := postgresImage
		if round%4 < 2 {
			image = s.image("postgres", "next")
		}
		template := fmt.Sprintf("image: %s, command: [postgres, -c, work_mem=%dkB]", image, 4096+s.revision.Add(1))
		revision, err := s.update(ctx, database, 1, template)
		if err != nil {
			return err
		}
		return s.awaitRevision(ctx, database, revision)
	}
}
