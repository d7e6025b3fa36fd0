package spec

import (
	"maps"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/distribution/reference"
)

// Built is what an image of the project is built from.
type Built struct {
	Service string
	Config  types.BuildConfig
	// Platform is the platform of the service; empty for the engine's own.
	Platform string
	// Labels are those by which docker compose knows the image as the project's.
	Labels map[string]string
}

// Build returns what an image is built from; ok is false where none of the project's
// services builds it.
func (p *Project) Build(image string) (b Built, ok bool) {
	for _, name := range slices.Sorted(maps.Keys(p.Workloads)) {
		if w := p.Workloads[name]; w.Image == image && w.Build != nil {
			return Built{
				Service: name, Config: *w.Build, Platform: w.Template.Platform,
				Labels: map[string]string{LabelProject: p.Name, LabelService: name, LabelVersion: ComposeVersion},
			}, true
		}
	}
	return Built{}, false
}

// Pinned reports whether what the image's name stands for is part of the revision: where
// it is pulled anew, each digest is a revision of its own.
func (w *Workload) Pinned() bool {
	return w.PullPolicy == types.PullPolicyAlways || w.PullInterval > 0
}

// WithDigest returns the workload at what its image's name stands for: its image by the
// digest, and a revision for that. It returns the workload itself where the image is
// written with a digest, or by its ID.
func (w *Workload) WithDigest(digest string) *Workload {
	named, err := reference.ParseNormalizedNamed(w.Image)
	if err != nil {
		return w // the engine knows what it is
	}
	if _, fixed := named.(reference.Digested); fixed {
		return w
	}
	pinned := *w
	pinned.Image = reference.FamiliarName(named) + "@" + digest
	pinned.Revision = sumOf(strings.NewReader(w.Revision + " " + digest))[:16]
	return &pinned
}

// Name is an image's name in full, as "docker.io/library/postgres:15", and its repository,
// which is that without the tag or digest. Both are empty where it is none, as an ID.
func Name(image string) (name, repository string) {
	named, err := reference.ParseNormalizedNamed(image)
	if err != nil {
		return "", ""
	}
	return reference.TagNameOnly(named).String(), named.Name()
}
