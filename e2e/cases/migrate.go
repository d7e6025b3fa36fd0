package cases

import (
	"context"
	"errors"
	"fmt"

	"github.com/tendhq/tend/e2e/kit"
	"github.com/tendhq/tend/e2e/load"
)

// nextVersion is the version of user-service whose migration adds a column.
const nextVersion = "1.1.0"

// migrate updates user-service to the next version and takes that back, while users register
// at whichever version answers: either writes the table that the migration has changed.
func migrate(ctx context.Context, s *Shop, _ int) error {
	registering, end := context.WithCancel(ctx)
	defer end()
	registered := make(chan error, 1)
	go func() { registered <- load.Newcomers(registering, s.URL) }()
	var err error
	for _, version := range []struct {
		tag       string
		localized bool
	}{{nextVersion, true}, {"1", false}} {
		if err = s.changeVersion(ctx, version.tag); err != nil {
			break
		}
		if err = load.KnowsLocales(ctx, s.URL, version.localized); err != nil {
			break
		}
	}
	end()
	return errors.Join(err, <-registered)
}

func (s *Shop) changeVersion(ctx context.Context, tag string) error {
	template := fmt.Sprintf("image: %s, %s", s.image("user-service", tag), s.nextRevision())
	revision, err := s.update(ctx, "user-service", kit.Replicas(s.specs["user-service"]), template)
	if err != nil {
		return err
	}
	return s.awaitRevision(ctx, "user-service", revision)
}
