package main

import (
	"reflect"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/mount"

	"github.com/tendhq/tend/e2e/kit"
)

// scene is a judge to whom things are told.
type scene struct{ *judge }

// creates tells of a container that is made and not started.
func (s scene) creates(name, of string, mounts ...container.MountPoint) {
	s.made(container.InspectResponse{
		ContainerJSONBase: &container.ContainerJSONBase{ID: name, Name: name},
		Config:            &container.Config{Labels: map[string]string{kit.ServiceLabel: of}},
		Mounts:            mounts,
	})
}

// runs tells of a container that is made and started.
func (s scene) runs(name, of string, mounts ...container.MountPoint) {
	s.creates(name, of, mounts...)
	s.happens(events.ActionStart, name)
}

func (s scene) happens(action events.Action, name string) {
	s.told(events.Message{Type: events.ContainerEventType, Action: action, Actor: events.Actor{ID: name}})
}

func (s scene) deletes(volume string) {
	s.told(events.Message{Type: events.VolumeEventType, Action: events.ActionDestroy, Actor: events.Actor{ID: volume}})
}

func onVolume(name string) container.MountPoint {
	return container.MountPoint{Type: mount.TypeVolume, Name: name, RW: true}
}

func onFolder(path string) container.MountPoint {
	return container.MountPoint{Type: mount.TypeBind, Source: path, RW: true}
}

func readOnly(m container.MountPoint) container.MountPoint {
	m.RW = false
	return m
}

func TestTheJudgeSeesWhatMustNotBe(t *testing.T) {
	for name, test := range map[string]struct {
		shared  bool
		happens func(s scene)
		want    []string
	}{
		"a surge on a volume": {false, func(s scene) {
			s.runs("a", service, onVolume("data"))
			s.runs("b", service, onVolume("data"))
		}, []string{twoOnOne}},
		"a surge on a bind mount": {false, func(s scene) {
			s.runs("a", service, onFolder("/app/data"))
			s.runs("b", service, onFolder("/app/data"))
		}, []string{twoOnOne}},
		"a start of one that had ended, beside its successor": {false, func(s scene) {
			s.runs("a", service, onVolume("data"))
			s.happens(events.ActionDie, "a")
			s.runs("b", service, onVolume("data"))
			s.happens(events.ActionStart, "a")
		}, []string{twoOnOne}},
		"one of another Compose file on a volume that replicas share": {true, func(s scene) {
			s.runs("a", service, onVolume("data"))
			s.runs("b", "other", onVolume("data"))
		}, []string{twoOnOne}},
		"each of three on one volume": {false, func(s scene) {
			s.runs("a", service, onVolume("data"))
			s.runs("b", service, onVolume("data"))
			s.runs("c", service, onVolume("data"))
		}, []string{twoOnOne, twoOnOne, twoOnOne}},
		"a volume deleted after its container": {false, func(s scene) {
			s.runs("a", service, onVolume("data"))
			s.happens(events.ActionDie, "a")
			s.happens(events.ActionDestroy, "a")
			s.deletes("data")
		}, []string{volumeGone}},
		"a stranger stopped": {false, func(s scene) {
			s.runs("a", "other")
			s.happens(events.ActionDie, "a")
		}, []string{foreignHarm}},
	} {
		t.Run(name, func(t *testing.T) { judged(t, test.shared, test.happens, test.want) })
	}
}

func TestTheJudgeAllowsWhatMayBe(t *testing.T) {
	for name, test := range map[string]struct {
		shared  bool
		happens func(s scene)
	}{
		"one after the other on a volume": {false, func(s scene) {
			s.runs("a", service, onVolume("data"))
			s.creates("b", service, onVolume("data"))
			s.happens(events.ActionDie, "a")
			s.happens(events.ActionStart, "b")
		}},
		"a surge on volumes of their own": {false, func(s scene) {
			s.runs("a", service, onVolume("data-1"))
			s.runs("b", service, onVolume("data-2"))
		}},
		"a surge on what is only read": {false, func(s scene) {
			s.runs("a", service, onVolume("data"))
			s.runs("b", service, readOnly(onVolume("data")))
		}},
		"replicas on a volume that they share": {true, func(s scene) {
			s.runs("a", service, onVolume("data"))
			s.runs("b", service, onVolume("data"))
		}},
		"a volume deleted that was nobody's": {false, func(s scene) { s.deletes("data") }},
		"all that comes of the project's removal": {false, func(s scene) {
			s.runs("a", "other", onVolume("data"))
			s.close()
			s.happens(events.ActionDie, "a")
			s.deletes("data")
		}},
		"an event of a container that was gone before it was looked at": {false, func(s scene) {
			s.happens(events.ActionStart, "a")
			s.happens(events.ActionDie, "a")
		}},
	} {
		t.Run(name, func(t *testing.T) { judged(t, test.shared, test.happens, nil) })
	}
}

func judged(t *testing.T, shared bool, happens func(scene), want []string) {
	s := scene{newJudge(shared, t.Logf)}
	happens(s)
	var got []string
	for _, v := range s.violations() {
		got = append(got, v.What)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestOnlyAcknowledgedRowsCanBeLost(t *testing.T) {
	read := map[int]bool{1: true, 3: true, 4: true} // 3 was not acknowledged, as its answer was lost
	if lost := audit([]int{1, 2, 4, 5}, read); !reflect.DeepEqual(lost, []int{2, 5}) {
		t.Errorf("lost: %v", lost)
	}
	if lost := audit([]int{1, 2}, nil); len(lost) != 2 {
		t.Errorf("of what cannot be read, these are lost: %v", lost)
	}
}
