package main

import (
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/docker/docker/api/types/events"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/e2e/kit"
)

// scene is a judge to whom things are told.
type scene struct{ *judge }

func newScene(t *testing.T) scene {
	j, err := newJournal(filepath.Join(t.TempDir(), "journal"))
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, j.close()) })
	return scene{newJudge(j, t.TempDir(), func(error) {})}
}

func (s scene) event(action events.Action, name, service, number string, more ...string) {
	attributes := map[string]string{"name": name, kit.ProjectLabel: project, kit.ServiceLabel: service, kit.NumberLabel: number, kit.OneoffLabel: "False"}
	for i := 0; i < len(more); i += 2 {
		attributes[more[i]] = more[i+1]
	}
	s.told(events.Message{Type: events.ContainerEventType, Action: action, Actor: events.Actor{ID: "id-" + name, Attributes: attributes}})
}

// run tells of a container that is made and started.
func (s scene) run(name, service, number string, volumes ...string) {
	s.event(events.ActionCreate, name, service, number)
	for _, volume := range volumes {
		s.told(events.Message{Type: events.VolumeEventType, Action: events.ActionMount, Actor: events.Actor{ID: volume, Attributes: map[string]string{"container": "id-" + name}}})
	}
	s.event(events.ActionStart, name, service, number)
}

func (s scene) volume(action events.Action, name string) {
	s.told(events.Message{Type: events.VolumeEventType, Action: action, Actor: events.Actor{ID: name}})
}

// keep has a volume that is there before anything happens.
func (s scene) keep(name string) {
	if err := errors.Join(os.MkdirAll(filepath.Join(volumesOf(s.dir), name, "_data"), 0o700), s.settle()); err != nil {
		panic(err)
	}
}

func (s scene) asks(kind, verb, object string, query ...string) {
	r := &request{kind: kind, verb: verb, object: object, query: url.Values{}}
	for i := 0; i < len(query); i += 2 {
		r.query.Set(query[i], query[i+1])
	}
	s.asked(r)
}

func TestTheJudgeSeesWhatMustNotBe(t *testing.T) {
	for name, test := range map[string]struct {
		happens func(s scene)
		want    string
	}{
		"two databases on a volume": {func(s scene) {
			s.run("a", "user-db", "1", "data")
			s.run("b", "user-db", "2", "data")
		}, "run on volume data"},
		"two containers of a service without a spec on its folder": {func(s scene) {
			s.run("a", store, "1", "data")
			s.run("b", store, "2", "other data")
		}, "a run on volume ./store"},
		"a number twice": {func(s scene) {
			s.run("a", "user-service", "1")
			s.run("b", "user-service", "1")
		}, "are both number 1 of user-service"},
		"too many": {func(s scene) {
			for _, n := range []string{"1", "2", "3", "4"} {
				s.run(n, "user-service", n)
			}
		}, "4 replicas of user-service run, and at most 3 are to"},
		"too many, long after an edit": {func(s scene) {
			s.wrote("user-service", 4)
			s.wrote("user-service", 2)
			time.Sleep(edited)
			for _, n := range []string{"1", "2", "3", "4"} {
				s.run(n, "user-service", n)
			}
		}, "4 replicas of user-service run, and at most 3 are to"},
		"a database's grace cut short": {func(s scene) {
			s.run("a", "user-db", "1", "data")
			s.asks("containers", "stop", "id-a", "t", "10")
		}, `a grace of "10" seconds`},
		"a database killed within its grace": {func(s scene) {
			time.Sleep(time.Hour)
			s.run("a", "user-db", "1", "data")
			s.asks("containers", "stop", "id-a", "t", "120")
			time.Sleep(time.Minute)
			s.event(events.ActionKill, "a", "user-db", "1", "signal", "9")
		}, "killed before its grace is over"},
		"a database killed": {func(s scene) {
			s.run("a", "user-db", "1", "data")
			s.asks("containers", "kill", "id-a", "signal", "SIGKILL")
		}, "tend kills a"},
		"removal by force": {func(s scene) {
			s.run("a", "user-service", "1")
			s.asks("containers", "delete", "id-a", "force", "1")
		}, "removes a by force"},
		"a stranger stopped": {func(s scene) {
			s.run("one-off", "user-service", "1")
			s.asks("containers", "stop", "id-one-off", "t", "10")
		}, "which is not its own"},
		"a strange network deleted": {func(s scene) {
			s.plant("chaos_back")
			s.asks("networks", "delete", "chaos_back")
		}, "which is not its own"},
		"a volume asked to be deleted": {func(s scene) { s.asks("volumes", "delete", "data") }, "asks for delete of volume data"},
		"a volume deleted":             {func(s scene) { s.volume(events.ActionDestroy, "data") }, "volume data is deleted"},
		"a volume made late": {func(s scene) {
			s.keep("shop_data")
			s.volume(events.ActionCreate, "shop_other")
		}, "volume shop_other is made"},
		"a volume made anew": {func(s scene) {
			s.keep("shop_data")
			_ = os.Rename(filepath.Join(volumesOf(s.dir), "shop_data"), filepath.Join(volumesOf(s.dir), "gone"))
			_ = os.Mkdir(filepath.Join(volumesOf(s.dir), "shop_data"), 0o700)
			s.volume(events.ActionCreate, "shop_data")
		}, "volume shop_data is made"},
		"an anonymous volume that is not taken over": {func(s scene) {
			s.keep("0123abcd")
			s.run("a", store, "1", "0123abcd")
			s.event(events.ActionDie, "a", store, "1")
			s.volume(events.ActionCreate, "4567efef")
		}, "volume 4567efef is made"},
		"prune": {func(s scene) { s.asks("containers", "prune", "") }, "prune"},
		"a hot loop": {func(s scene) {
			for range pace + 1 {
				s.asks("containers", "start", "id-a")
				time.Sleep(time.Second)
			}
		}, "16 times in a minute"},
		"tend ending by itself": {func(s scene) {
			time.Sleep(time.Hour)
			s.tendEnded(assert.AnError)
		}, "ended by itself"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newScene(t)
				test.happens(s)
				require.ErrorContains(t, s.failure, test.want)
			})
		})
	}
}

func TestTheJudgeAllowsWhatMayBe(t *testing.T) {
	for name, happens := range map[string]func(s scene){
		"one database after the other on a volume": func(s scene) {
			s.run("a", "user-db", "1", "data")
			s.event(events.ActionDie, "a", "user-db", "1")
			s.run("b", "user-db", "1", "data")
		},
		"a volume told of again": func(s scene) {
			s.keep("shop_data")
			s.volume(events.ActionCreate, "shop_data")
		},
		"an anonymous volume taken over by the next container": func(s scene) {
			s.keep("0123abcd")
			s.run("a", store, "1", "0123abcd")
			s.event(events.ActionDie, "a", store, "1")
			s.volume(events.ActionCreate, "0123abcd")
			s.run("b", store, "1", "0123abcd")
		},
		"surge, and a stranger and a hook beside it": func(s scene) {
			for _, n := range []string{"1", "2", "3"} {
				s.run(n, "user-service", n)
			}
			s.run("one-off", "user-service", "1")
			s.event(events.ActionCreate, "hook", "user-service", "1", hookLabel, "migrate")
			s.event(events.ActionStart, "hook", "user-service", "1", hookLabel, "migrate")
		},
		"what an edit had asked for a moment ago": func(s scene) {
			s.wrote("user-service", 4)
			time.Sleep(time.Hour)
			s.wrote("user-service", 1)
			time.Sleep(edited / 2)
			for _, n := range []string{"1", "2", "3", "4", "5"} {
				s.run(n, "user-service", n)
			}
		},
		"a database killed after its grace, or by us": func(s scene) {
			time.Sleep(time.Hour)
			s.run("a", "user-db", "1", "data")
			s.asks("containers", "stop", "id-a", "t", "120")
			time.Sleep(grace)
			s.event(events.ActionKill, "a", "user-db", "1", "signal", "9")
			s.run("b", "product-db", "1", "other data")
			s.touch("id-b")
			s.event(events.ActionKill, "b", "product-db", "1", "signal", "9")
		},
		"tend ending while it cannot start": func(s scene) {
			time.Sleep(time.Hour)
			done := s.excuse("its disk is full")
			s.tendEnded(assert.AnError)
			done()
			s.tendEnded(assert.AnError)
		},
		"each of many kills followed by the same request": func(s scene) {
			for range 3 * pace {
				s.tendStarts()
				s.asks("containers", "start", "id-a")
				time.Sleep(time.Second)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newScene(t)
				happens(s)
				require.NoError(t, s.failure)
			})
		})
	}
}
