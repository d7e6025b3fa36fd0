package services

import (
	"maps"
	"strings"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/spec"
)

// noteImage notes which image the desired revision is made from, or has its registry asked
// where that is not known: each node would else take what the name stands for there, and a
// revision that is gone back to would not be what it was. What runs under a name stays, as on
// one machine. It reports whether the image is known.
func (s *steps) noteImage() bool {
	written, revision := s.desired.Image, s.desired.Revision
	images := s.record.Swarm.Images
	maps.DeleteFunc(images, func(of string, _ string) bool { return of != revision && of != s.wanted && !s.remembers(of) })
	if images[revision] != "" || pinned(written) {
		return true
	}
	if s.Service != nil && s.Service.Spec.TaskTemplate.ContainerSpec != nil {
		has, of := s.Service.Spec.TaskTemplate.ContainerSpec.Image, s.Service.Spec.Labels[spec.LabelRevision]
		if nameOf(has) == written && (pinned(has) || of == revision) {
			s.record = withImage(s.record, revision, has)
			return true
		}
	}
	s.wait = wait{message: "waiting for the digest of " + written, quiet: true}
	s.actions = append(s.actions, Action{Kind: AskRegistry, Workload: s.Workload, Object: written, Revision: revision, Cause: "its digest is not known"})
	return false
}

// pinned reports whether an image is named by its digest.
func pinned(image string) bool { return strings.Contains(image, "@") }

// nameOf is an image's name without its digest.
func nameOf(image string) string {
	name, _, _ := strings.Cut(image, "@")
	return name
}

// RegistryAsked returns the rollout record after a registry was asked for an image. The digest
// is empty where it did not tell it.
func RegistryAsked(r core.Rollout, a Action, digest string) core.Rollout {
	image := a.Object
	if digest != "" {
		image += "@" + digest
	}
	return withImage(r, a.Revision, image)
}

func withImage(r core.Rollout, revision, image string) core.Rollout {
	images := maps.Clone(r.Swarm.Images)
	if images == nil {
		images = map[string]string{}
	}
	images[revision] = image
	r.Swarm.Images = images
	return r
}
