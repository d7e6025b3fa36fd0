package enginetest

import (
	"bytes"
	"cmp"
	"io"
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/engine"
)

// view is what tend reads of a project, in a form in which two engines can be the
// same.
type view struct {
	Containers        []container
	Networks, Volumes []object
}

// container is an engine.Container with its times and addresses told otherwise.
type container struct {
	engine.Container
	Number int // in the order in which they were made
	// Runs is how many starts were seen.
	Runs int
	// Created, Started and Finished are whether it ever was; Again, whether it was
	// started after that; Since, whether it is healthy since some time; Failed,
	// whether it has an error.
	Created, Started, Finished, Again, Since, Failed bool
	Output                                           string
}

// object is a network or a volume.
type object struct {
	Name, Driver string
	Labels       map[string]string
}

func (v view) equal(other view) bool { return reflect.DeepEqual(v, other) }

// atRest is whether nothing goes on by itself.
func (v view) atRest() bool {
	return !slices.ContainsFunc(v.Containers, func(c container) bool {
		return c.State == engine.Restarting || c.State == engine.Running && c.Health == engine.Starting
	})
}

// container is the one of a number; its State is empty where it is gone.
func (v view) container(number int) container {
	i := slices.IndexFunc(v.Containers, func(c container) bool { return c.Number == number })
	if i < 0 {
		return container{}
	}
	return v.Containers[i]
}

// look looks at one side.
func (s *side) look(t T) view {
	var v view
	containers, err := s.Engine.Containers(t.Context(), s.Project)
	require.NoError(t, err)
	for _, c := range containers {
		v.Containers = append(v.Containers, s.told(t, c))
	}
	networks, err := s.Engine.Networks(t.Context(), s.Project)
	require.NoError(t, err)
	for _, n := range networks {
		v.Networks = append(v.Networks, object{n.Name, n.Driver, n.Labels})
	}
	volumes, err := s.Engine.Volumes(t.Context(), s.Project)
	require.NoError(t, err)
	for _, o := range volumes {
		v.Volumes = append(v.Volumes, object(o))
	}
	byName := func(a, b object) int { return cmp.Compare(a.Name, b.Name) }
	slices.SortFunc(v.Networks, byName)
	slices.SortFunc(v.Volumes, byName)
	return v
}

// told adds to a container what its listener has seen of it.
func (s *side) told(t T, c engine.Container) container {
	number := slices.Index(s.ids, c.ID)
	require.GreaterOrEqual(t, number, 0, "nobody has made %+v", c)
	r := s.runs[c.ID]
	if r == nil {
		r = &run{}
		s.runs[c.ID] = r
	}
	if !c.StartedAt.Equal(r.at) {
		*r = run{at: c.StartedAt, count: r.count + 1}
	}
	var output bytes.Buffer
	// It may be gone by now.
	_ = s.Engine.Logs(t.Context(), c.ID, engine.LogOptions{}, &output, io.Discard)
	told := tell(c, s.images)
	told.Number, told.Runs, told.Output = number, r.count, output.String()
	return told
}

// tell tells what one engine says of a container as another would; images are the
// names of its images, by ID.
func tell(c engine.Container, images map[string]string) container {
	told := container{
		Created: !c.Created.IsZero(), Started: !c.StartedAt.IsZero(), Finished: !c.FinishedAt.IsZero(),
		Again: c.StartedAt.After(c.FinishedAt), Since: !c.HealthySince.IsZero(), Failed: c.Error != "",
	}
	c.ID, c.ImageID, c.Error, c.HealthOutput, c.HealthExitCode = "", images[c.ImageID], "", "", 0
	c.Created, c.StartedAt, c.FinishedAt, c.HealthySince = time.Time{}, time.Time{}, time.Time{}, time.Time{}
	c.Networks, c.NetworkIDs = maps.Clone(c.Networks), nil
	for name, address := range c.Networks {
		if address != "" {
			c.Networks[name] = "an address"
		}
	}
	told.Container = c
	return told
}
