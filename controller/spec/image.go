package spec

import (
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/distribution/reference"
)

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
