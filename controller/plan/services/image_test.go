package services

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// What a name stands for is asked once, before a revision is rolled out first; what runs under
// it stays, and so does what is gone back to.
func TestAnImageIsRolledOutByItsDigest(t *testing.T) {
	w := newWorld(t, at(1), "")
	w.digests["web:1"] = "sha256:1"
	w.settle()
	assert.Equal(t, "web:1@sha256:1", w.image("web"))

	w.digests["web:1"] = "sha256:other"
	w.write(strings.Replace(at(1), "scale: 2", "scale: 2, environment: {A: b}", 1), "")
	w.settle()
	assert.Equal(t, "web:1@sha256:1", w.image("web"), "an edit of something else has rolled out what the name stands for now")

	w.digests["web:2"], w.broken["web:2"] = "sha256:2", true
	w.write(at(2), "")
	w.settle()
	assert.Equal(t, "web:1@sha256:1", w.image("web"), "it has not gone back to what it was")
	assert.Contains(t, strings.Join(w.events, "\n"), "RolledBack")

	w.digests["web:2"], w.broken["web:2"] = "sha256:mended", false
	w.write(at(1), "")
	w.settle()
	w.write(at(2), "")
	w.settle()
	assert.Equal(t, "web:2@sha256:mended", w.image("web"), "what has failed is rolled out once more")

	w.digests["web:3"] = "sha256:3"
	w.write(at(3), "")
	w.settle()
	assert.Equal(t, "web:3@sha256:3", w.image("web"))
	w.did = nil
	w.settle()
	assert.Empty(t, w.did)
	assert.LessOrEqual(t, len(w.rollouts["web"].Swarm.Images), len(w.history["web"]), "images of revisions are kept that nobody remembers")
}

// Where no registry tells the digest, the name is rolled out, and is not asked for again.
func TestAnImageThatNoRegistryHasIsRolledOutByItsName(t *testing.T) {
	w := newWorld(t, at(1), "")
	w.settle()
	assert.Equal(t, "web:1", w.image("web"))
	asked := w.asked
	w.digests["web:1"] = "sha256:1"
	w.settle()
	assert.Equal(t, asked, w.asked)
	assert.Equal(t, "web:1", w.image("web"))
}

// A service that was made without a digest is not updated to get one, and an image that is
// written by its digest is not asked for.
func TestWhatNeedsNoDigestIsNotAskedFor(t *testing.T) {
	w := newWorld(t, at(1), "")
	w.settle()
	r := w.rollouts["web"]
	r.Swarm.Images = nil // as of a tend before
	w.rollouts["web"] = r
	asked := w.asked
	w.digests["web:1"] = "sha256:1"
	w.did = nil
	w.settle()
	assert.Empty(t, w.did)
	assert.Equal(t, asked, w.asked)

	w.write(strings.Replace(at(1), "web:1", "web:2@sha256:"+strings.Repeat("a", 64), 1), "")
	w.settle()
	assert.Equal(t, asked, w.asked)
	assert.Equal(t, "web:2@sha256:"+strings.Repeat("a", 64), w.image("web"))
}
