// Package model is a Docker Swarm in memory. Through manager.Manager it behaves as a real
// one does; package managertest holds both to the same behaviour, and the sources of
// swarmkit are what it is modelled on.
// It is deterministic: all that happens is on one agenda, and IDs and addresses are
// counted, not drawn. Inside a testing/synctest bubble its clock is the bubble's. It starts
// no goroutine but the agenda's timer, and none is left after Close.
// Containers have the behaviour of their image (AddImage), which every node has. The
// methods in nodes.go and outsider.go do what people and broken machines do to a Swarm.
package model

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/docker/docker/api/types/swarm"

	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/engine/model"
	"github.com/tendhq/tend/controller/engine/model/agenda"
	"github.com/tendhq/tend/controller/swarm/manager"
)

// Behavior is the behaviour of an image's containers.
type Behavior = model.Behavior

// Swarm is a Swarm in memory, as one of its managers offers it. Its methods may be called
// from any goroutine.
type Swarm struct {
	agenda agenda.Agenda

	nodes    []*node // in the order in which they joined
	services map[string]*service
	tasks    []*task // in the order in which they were made
	secrets  map[string]*object
	configs  map[string]*object
	networks map[string]*network
	images   map[string]Behavior
	digests  map[string]string // by the image's name, as its registry has them

	// version is Raft's index: each change of an object raises it, and is its version.
	version uint64
	// counters make the IDs and the addresses.
	made, addresses int

	subscriptions []*subscription
	// logged is closed, and made anew, with each line of output.
	logged chan struct{}

	refusal error
	faults  []fault
	calls   []Call
	undo    func()
}

var _ manager.Manager = (*Swarm)(nil)

// New makes a Swarm of one node, a manager by the name of "node1".
func New() *Swarm {
	s := &Swarm{
		services: map[string]*service{},
		secrets:  map[string]*object{},
		configs:  map[string]*object{},
		networks: map[string]*network{},
		images:   map[string]Behavior{},
		digests:  map[string]string{},
		logged:   make(chan struct{}),
	}
	s.AddNode("node1", swarm.NodeRoleManager)
	return s
}

// Close ends the event streams, and stops time: services stay as they are.
func (s *Swarm) Close() error {
	s.agenda.Lock()
	defer s.agenda.Unlock()
	for len(s.subscriptions) > 0 {
		s.endSubscription(s.subscriptions[0], nil)
	}
	s.agenda.Stop()
	return nil
}

// Push has the registry of an image's name tell a digest, which all nodes have. It stands for
// what the name does.
func (s *Swarm) Push(ref, digest string) {
	s.agenda.Lock()
	defer s.agenda.Unlock()
	s.digests[ref] = digest
}

// Digest asks the registry.
func (s *Swarm) Digest(ctx context.Context, image string) (digest string, err error) {
	err = s.do(ctx, OpDigest, image, func() error {
		known := false
		if digest, known = s.digests[image]; !known {
			return failure(engine.NotFound, "no registry has %s", image)
		}
		return nil
	})
	return digest, err
}

// behavior is how the containers of an image behave, whichever digest it is pinned to.
func (s *Swarm) behavior(image string) (b Behavior, known bool) {
	name, _, _ := strings.Cut(image, "@")
	b, known = s.images[name]
	return b, known
}

// AddImage gives every node an image.
func (s *Swarm) AddImage(ref string, b Behavior) {
	s.agenda.Lock()
	defer s.agenda.Unlock()
	s.images[ref] = b
}

// step is how long an agent, or the leader, takes for one thing.
const step = 10 * time.Millisecond

// newID returns an ID of a Swarm's form, in which the beginning counts.
func (s *Swarm) newID() string {
	s.made++
	return fmt.Sprintf("%08x%017x", s.made, 0)
}

// changed is the version of what is changed now.
func (s *Swarm) changed() uint64 {
	s.version++
	return s.version
}

// copied is a value without anything in common with another one, as it comes over the wire.
func copied[T any](of T) T {
	var out T
	content, err := json.Marshal(of)
	if err == nil {
		err = json.Unmarshal(content, &out)
	}
	if err != nil {
		panic(err) // the types of the API are made for it
	}
	return out
}

// sorted are the values of a map in the order of its keys.
func sorted[V any](of map[string]V) []V {
	var all []V
	for _, key := range slices.Sorted(maps.Keys(of)) {
		all = append(all, of[key])
	}
	return all
}
