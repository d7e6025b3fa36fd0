package controller

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/ingresses"
	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/ingress"
	"github.com/tendhq/tend/state"
)

// lead has the ingress of a workload told to which replicas its host port leads. Before
// its service is planned for the first time nobody knows which are ready: until then it
// goes on with what it was told by an earlier process.
func (l *loop) lead(ctx context.Context, key string) {
	snap := l.store.Snapshot()
	w := l.reconciler.project.Workloads[key]
	if w == nil || w.Kind != spec.Ingress || l.reconciler.remove {
		l.ingresses.Drop(key)
		return
	}
	rows := snap.Replicas(key)
	i := slices.IndexFunc(rows, func(r *state.Replica) bool { return r.State == core.Running })
	if i < 0 {
		l.ingresses.Drop(key)
		return
	}
	run := ingresses.Run{ID: rows[i].ID, StartedAt: rows[i].StartedAt}
	if _, planned := snap.Status(w.Backend.Service); !planned {
		l.ingresses.Follow(ctx, key, run)
		return
	}
	l.ingresses.Sync(ctx, key, run, lead(snap, w, rows[i].Replica))
}

// lead returns what an ingress is to do: the replicas of its service that are published
// get what comes in, and those that leave keep what they have.
func lead(snap *state.Snapshot, w *spec.Workload, holder core.Replica) ingress.Config {
	config := ingress.Config{Protocol: ingress.TCP, ProxyProtocol: w.Backend.ProxyProtocol}
	if w.Backend.HTTP {
		config.Protocol, config.ProxyProtocol = ingress.HTTP, false
	}
	published := map[string]bool{}
	for _, e := range snap.Endpoints(w.Backend.Service) {
		published[e.ID] = true
	}
	rollout, known := snap.Rollout(w.Backend.Service)
	for _, r := range snap.Replicas(w.Backend.Service) {
		leaves := false
		if known {
			_, leaves = rollout.Drains[r.ID]
		}
		given := ingress.Ready
		switch {
		case leaves:
			given = ingress.Draining
		case !published[r.ID]:
			continue
		}
		if address := reach(r.Replica, holder, snap.Made(r.Workload, r.Revision), w.Backend.HostPort); address != "" {
			config.Endpoints = append(config.Endpoints, ingress.Endpoint{ID: r.ID, Address: address, State: given})
		}
	}
	return config
}

// reach returns the address at which an ingress reaches a replica for a host port, on the
// first network that both have joined; empty where there is none, or where the replica's
// revision does not have the port. A revision that nobody remembers is taken to have it as
// it is written now.
func reach(r, holder core.Replica, made *spec.Workload, h spec.HostPort) string {
	ip := ""
	for name := range holder.Addresses {
		if a := r.Addresses[name]; a != "" && (ip == "" || a < ip) {
			ip = a
		}
	}
	if ip == "" {
		return ""
	}
	ports := []spec.HostPort{h}
	if made != nil {
		ports = made.HostPorts()
	}
	for _, port := range ports {
		switch {
		case port.IP != h.IP || port.First > h.First || port.Last < h.Last:
		case h.First != h.Last:
			return ip // each port leads to the one of its own number in the container
		default:
			return net.JoinHostPort(ip, strconv.Itoa(port.Target+h.First-port.First))
		}
	}
	return ""
}

// ingressHeard writes down whether an ingress is ready, in the table of probes, and has
// its service planned again: a drain may have ended.
func (c *Controller) ingressHeard(workload string, run ingresses.Run, r ingresses.Report) {
	c.store.Update(func(tx *state.Tx) {
		now := core.Probe{StartedAt: run.StartedAt, Started: r.Serving, Ready: r.Serving, Live: true, WasReady: r.Serving, Since: time.Now(), Message: r.Err}
		if before, ok := tx.Probe(run.ID); ok && before.StartedAt.Equal(run.StartedAt) {
			now.WasReady = now.WasReady || before.WasReady
			if before.Ready == now.Ready {
				now.Since = before.Since
			}
			if before.Probe == now {
				return
			}
		}
		tx.PutProbe(&state.Probe{ID: run.ID, Workload: workload, Probe: now})
	})
	c.mark(spec.ServiceOf(workload))
}

// settleTimeout bounds SettleIngresses.
const settleTimeout = 5 * time.Second

// SettleIngresses waits until the ingresses have in force what they were told last, as
// whoever ends the controller next wants them to go on with that.
func (c *Controller) SettleIngresses(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	c.ingresses.Settle(ctx)
}

// followers counts the ingresses that give a workload's replicas something to do.
func (r *reconciler) followers(snap *state.Snapshot, key string) (n int) {
	for _, name := range r.ingressesOf[key] {
		if r.ingresses.Follows(name) || r.unled(snap, name) {
			n++
		}
	}
	return n
}

// unled reports whether an ingress runs, or is being started, with which the conversation has
// yet to begin, as before the first plan: it may send to any replica.
func (r *reconciler) unled(snap *state.Snapshot, name string) bool {
	return r.project.Workloads[name] != nil && !r.remove && !r.ingresses.Follows(name) &&
		slices.ContainsFunc(snap.Replicas(name), func(row *state.Replica) bool {
			return row.State == core.Running || r.flights[name][row.ID].Kind == core.StartReplica
		})
}

// released reports whether no ingress gives a replica anything, and none has anything
// open there.
func (r *reconciler) released(snap *state.Snapshot, key, id string) bool {
	return !slices.ContainsFunc(r.ingressesOf[key], func(name string) bool { return r.unled(snap, name) || !r.ingresses.Released(name, id) })
}

// neighboursOf lists the containers of an ingress's service, and of the service's other
// ingresses, also of those that are not written any more.
func (r *reconciler) neighboursOf(snap *state.Snapshot, w *spec.Workload) (all []core.Replica) {
	for _, name := range append([]string{w.Backend.Service}, r.ingressesOf[w.Backend.Service]...) {
		if name == w.Name {
			continue
		}
		for _, row := range snap.Replicas(name) {
			all = append(all, row.Replica)
		}
	}
	return all
}

// upgradeFolder is the folder of an ingress's container that it may write to, and
// upgradeName the name there of the program that takes its place.
const upgradeFolder, upgradeName = "/state", "next"

// upgradeIngress copies tend's own program into the container of an ingress.
func (c *Controller) upgradeIngress(ctx context.Context, id string) (path string, err error) {
	if c.options.Executable == "" {
		return "", errors.New("tend's own program is not known")
	}
	file, err := os.Open(c.options.Executable)
	if err != nil {
		return "", err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return "", err
	}
	reader, writer := io.Pipe()
	defer reader.Close()
	go func() {
		archive := tar.NewWriter(writer)
		err := archive.WriteHeader(&tar.Header{Name: upgradeName, Mode: 0o755, Size: info.Size()})
		if err == nil {
			_, err = io.Copy(archive, file)
		}
		_ = writer.CloseWithError(errors.Join(err, archive.Close())) // which cannot fail
	}()
	if err := c.options.Engine.CopyTo(ctx, id, upgradeFolder, reader); err != nil {
		return "", fmt.Errorf("copy tend's program into it: %w", err)
	}
	return upgradeFolder + "/" + upgradeName, nil
}
