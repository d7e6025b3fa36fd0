package core

import "time"

// LocalImage is a local image of a repository whose old images are pruned.
type LocalImage struct {
	ID string
	// Names are its tags and digests, whole, as "docker.io/shop/web:1".
	Names []string
	// Created is when it was built.
	Created time.Time
	// InUse is true where a container of any project was made from it, running or not.
	InUse bool
	// InFlight is true while it is being removed.
	InFlight bool
	// Attempt counts the tries to remove it.
	Attempt Attempt
}
