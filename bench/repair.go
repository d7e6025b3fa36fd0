package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"

	"github.com/tendhq/tend/e2e/kit"
)

// repairPolicy probes often while a replica starts, and each second from then on. It
// has the strategy of the shop's services.
const repairPolicy = `  strategy: {rollingUpdate: {maxSurge: 1, maxUnavailable: 0}}
  startupProbe: {httpGet: {path: /, port: 8080}, periodSeconds: 0.1, failureThreshold: 300}
  readinessProbe: {httpGet: {path: /, port: 8080}, periodSeconds: 1, timeoutSeconds: 0.4, failureThreshold: 3}
  livenessProbe: {httpGet: {path: /, port: 8080}, periodSeconds: 1, timeoutSeconds: 0.4, failureThreshold: 3}
`

// wedgeLimit is the most time from the wedging of a replica to its withdrawal
// with probes as above.
const wedgeLimit = 3500 * time.Millisecond

// gatewayConfig is the config of the shop's gateway, for one service.
const gatewayConfig = `{
	admin off
	auto_https off
	persist_config off
	storage_check off
	storage_clean_interval off
	tend {
		url http://%s
	}
}
http://%s {
	reverse_proxy {
		dynamic tend %s {
			port 8080
		}
		lb_policy least_conn
		lb_try_duration 20s
		lb_try_interval 50ms
		lb_retry_match {
			repeatable
		}
		transport tend {
			dial_timeout 1s
			response_header_timeout 16s
			keepalive 30s
		}
	}
}
`

// repairs has replicas behind a gateway die and hang.
type repairs struct {
	*bench
	bare     *bare
	tend     *tend
	gateway  string // its URL
	follower *follower
}

func (b *bench) repair(ctx context.Context) (err error) {
	r := &repairs{bench: b, bare: &bare{cli: b.cli}}
	if r.tend, err = b.newTend("repair-tend"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.tend.stop()) }()
	r.tend.policy = repairPolicy
	if r.tend.listen, err = kit.FreeAddress(); err != nil {
		return err
	}
	address, err := kit.FreeAddress()
	if err != nil {
		return err
	}
	r.gateway = "http://" + address
	config := filepath.Join(r.tend.dir, "Caddyfile")
	if err := os.WriteFile(config, fmt.Appendf(nil, gatewayConfig, r.tend.listen, address, serviceName), 0o600); err != nil {
		return err
	}
	// Each kill is of a replica that was never killed: tend backs off from the
	// second restart on.
	replicas := 2*b.rounds + few
	progress("setting up %d replicas behind a gateway", replicas)
	if err := errors.Join(
		within(ctx, r.bare.begin),
		within(ctx, func(ctx context.Context) error { return r.tend.beginWith(ctx, replicas) }),
	); err != nil {
		return err
	}
	gateway, err := startProgram(r.tend.dir, "gateway.log", append(os.Environ(), "HOME="+r.tend.dir), filepath.Join(b.bin, "gateway"), "--config", config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, gateway.stop()) }()
	if r.follower, err = follow(ctx, r.tend.dir); err != nil {
		return err
	}
	defer r.follower.close()
	for _, step := range []func(context.Context) error{
		func(ctx context.Context) error { return r.awaitReady(ctx, replicas) },
		func(ctx context.Context) error { return awaitAnswer(ctx, r.gateway, time.Time{}) },
	} {
		if err := within(ctx, step); err != nil {
			return errors.Join(err, gateway.said(), r.tend.run.said())
		}
	}
	return errors.Join(r.kill(ctx), r.wedge(ctx, replicas))
}

func (r *repairs) awaitReady(ctx context.Context, n int) error {
	_, err := r.follower.await(ctx, time.Now(), func(replicas []string) bool { return len(replicas) == n })
	return err
}

// awaitAnswer asks again and again until a replica answers that was started
// after some instant.
func awaitAnswer(ctx context.Context, url string, after time.Time) error {
	ticker := time.NewTicker(2 * time.Millisecond)
	defer ticker.Stop()
	for {
		started, err := ask(ctx, url)
		if err == nil && started.After(after) {
			return nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), err)
		}
	}
}

// ask returns when the replica that answers was started.
func ask(ctx context.Context, url string) (started time.Time, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return started, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return started, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusNoContent {
		return started, fmt.Errorf("%s answered %s", url, response.Status)
	}
	nanoseconds, err := strconv.ParseInt(response.Header.Get("Started"), 10, 64)
	return time.Unix(0, nanoseconds), err
}

// kill measures from the death of a replica until one in its place has answered
// a request through the gateway.
func (r *repairs) kill(ctx context.Context) error {
	victims, err := running(ctx, r.cli, tendProject)
	if err != nil {
		return err
	}
	rounds := 2 * r.rounds
	var made, kept []time.Duration
	steps := []func(ctx context.Context, round int) error{
		func(ctx context.Context, _ int) error {
			took, err := r.boot(ctx)
			made = append(made, took)
			return err
		},
		func(ctx context.Context, round int) error {
			took, err := r.killOne(ctx, victims[round].ID)
			kept = append(kept, took)
			return err
		},
	}
	for round := range rounds {
		for _, step := range turn(steps, round) {
			if err := kit.Pause(ctx, settle); err != nil {
				return err
			}
			if err := within(ctx, func(ctx context.Context) error { return step(ctx, round) }); err != nil {
				return errors.Join(err, r.tend.run.said())
			}
		}
		progress("a replica killed, round %d of %d: bare create, start and boot %s, tend and its gateway %s",
			round+1, rounds, duration(made[round]), duration(kept[round]))
	}
	r.report.Measures = append(r.report.Measures, measure{
		Name:   "a replica killed → one in its place answers through the gateway",
		Series: []series{{bareName + ", create and start, until it answers", made}, {tendName + " and its gateway", kept}},
	})
	r.report.ratio("a replica killed, until its replacement answers through the gateway, to bare create, start and boot", kept, made, 2)
	return nil
}

// boot measures bare calls until a new replica answers.
func (r *repairs) boot(ctx context.Context) (took time.Duration, err error) {
	began := time.Now()
	id, err := r.bare.runOne(ctx)
	if err != nil {
		return 0, err
	}
	c, err := r.cli.ContainerInspect(ctx, id)
	if err != nil {
		return 0, err
	}
	address := c.NetworkSettings.Networks[bareProject+"_default"].IPAddress
	if err := awaitAnswer(ctx, "http://"+net.JoinHostPort(address, "8080"), time.Time{}); err != nil {
		return 0, err
	}
	took = time.Since(began)
	return took, remove(ctx, r.cli, []container.Summary{{ID: id}})
}

// killOne kills a replica and measures from its death, as the engine tells it.
func (r *repairs) killOne(ctx context.Context, victim string) (took time.Duration, err error) {
	mark := r.watch.mark()
	if err := r.cli.ContainerKill(ctx, victim, "SIGKILL"); err != nil {
		return 0, err
	}
	died, err := r.watch.await(ctx, mark, tendProject, events.ActionDie, 1)
	if err != nil {
		return 0, err
	}
	err = awaitAnswer(ctx, r.gateway, instant(died))
	return time.Since(instant(died)), err
}

// wedge measures from when a replica hangs until its endpoint is withdrawn, and
// until another one's is published. It begins to hang at any time between two
// probes.
func (r *repairs) wedge(ctx context.Context, replicas int) error {
	rounds := 2 * r.rounds
	var out, in []time.Duration
	after := 0
	for round := range rounds {
		err := within(ctx, func(ctx context.Context) error {
			if err := r.awaitReady(ctx, replicas); err != nil {
				return err
			}
			if err := kit.Pause(ctx, settle+time.Duration(rand.Int64N(int64(time.Second)))); err != nil {
				return err
			}
			withdrawn, published, stopped, err := r.wedgeOne(ctx)
			out, in = append(out, withdrawn), append(in, published)
			if stopped > published {
				after++
			}
			progress("a replica wedged, round %d of %d: out of the endpoints after %s, another one in after %s, the stop after %s",
				round+1, rounds, duration(withdrawn), duration(published), duration(stopped))
			return err
		})
		if err != nil {
			return errors.Join(err, r.tend.run.said())
		}
	}
	r.report.Measures = append(r.report.Measures, measure{
		Name:   "a replica wedged, probed each second, threshold 3",
		Series: []series{{"out of the endpoints", out}, {"another one in the endpoints", in}},
	})
	r.report.below("a replica wedged → out of the endpoints, the longest", slices.Max(out), wedgeLimit)
	r.report.exactly(fmt.Sprintf("a replica wedged, its replacement ready before it is stopped, of %d", rounds), after, rounds)
	return nil
}

// wedgeOne has a replica hang, and returns when, from then on, its endpoint was
// withdrawn, another one's was published, and it was told to stop.
func (r *repairs) wedgeOne(ctx context.Context) (withdrawn, published, stopped time.Duration, err error) {
	all, err := running(ctx, r.cli, tendProject)
	if err != nil {
		return 0, 0, 0, err
	}
	victim := all[rand.IntN(len(all))]
	var before []string
	for _, c := range all {
		before = append(before, c.Names[0][1:])
	}
	name := victim.Names[0][1:]
	c, err := r.cli.ContainerInspect(ctx, victim.ID)
	if err != nil {
		return 0, 0, 0, err
	}
	mark, began := r.watch.mark(), time.Now()
	// Not through the engine, from which tend would learn of it.
	if err := syscall.Kill(c.State.Pid, syscall.SIGSTOP); err != nil {
		return 0, 0, 0, err
	}
	gone, err := r.follower.await(ctx, began, func(replicas []string) bool { return !slices.Contains(replicas, name) })
	if err != nil {
		return 0, 0, 0, err
	}
	there, err := r.follower.await(ctx, began, func(replicas []string) bool {
		return slices.ContainsFunc(replicas, func(n string) bool { return !slices.Contains(before, n) })
	})
	if err != nil {
		return 0, 0, 0, err
	}
	stop, err := r.watch.await(ctx, mark, tendProject, events.ActionKill, 1)
	if err != nil {
		return 0, 0, 0, err
	}
	_, err = r.watch.await(ctx, mark, tendProject, events.ActionDestroy, 1)
	return gone.at.Sub(began), there.at.Sub(began), instant(stop).Sub(began), err
}
