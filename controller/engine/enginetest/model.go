package enginetest

import (
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/engine/model"
)

// Model is a harness around an engine in memory, which has the suite's images
// under the given references.
func Model(t T, project string, image func(name string) string) Harness {
	e := model.New()
	t.Cleanup(func() { require.NoError(t, e.Close()) })
	for name, behavior := range Images {
		e.AddImage(image(name), behavior)
	}
	return Harness{
		Engine: e, Project: project, Image: image,
		Outsider: modelOutsider{e}, Line: modelLine{e},
	}
}

type modelOutsider struct{ engine *model.Engine }

func (o modelOutsider) Kill(_ T, id string)                       { o.engine.Kill(id, 137) }
func (o modelOutsider) Exit(_ T, id string, code int)             { o.engine.Exit(id, code) }
func (o modelOutsider) Exhaust(_ T, id string)                    { o.engine.Exhaust(id) }
func (o modelOutsider) SetHealth(_ T, id string, h engine.Health) { o.engine.SetHealth(id, h) }
func (o modelOutsider) Pause(_ T, id string)                      { o.engine.Pause(id) }
func (o modelOutsider) Unpause(_ T, id string)                    { o.engine.Unpause(id) }
func (o modelOutsider) Rename(_ T, id, name string)               { o.engine.Rename(id, name) }
func (o modelOutsider) Remove(_ T, id string)                     { o.engine.RemoveBehind(id) }
func (o modelOutsider) Join(_ T, id, network string)              { o.engine.JoinNetwork(id, network) }
func (o modelOutsider) Leave(_ T, id, network string)             { o.engine.LeaveNetwork(id, network) }
func (o modelOutsider) Tag(_ T, image, ref string)                { o.engine.TagImage(image, ref) }

func (o modelOutsider) CreateRestarting(t T, project, name, image string) string {
	id, err := o.engine.Create(t.Context(), engine.ContainerSpec{
		Name: name, Project: project, Labels: map[string]string{engine.ProjectLabel: project},
		Service: types.ServiceConfig{Image: image, NetworkMode: "none"},
	})
	require.NoError(t, err)
	o.engine.UpdateBehind(id, "always")
	return id
}

func (o modelOutsider) File(t T, id, path string) string {
	content, ok := o.engine.File(id, path)
	require.True(t, ok, "no file %s", path)
	return content
}

func (o modelOutsider) FreePort(T) int { return 18080 }

func (o modelOutsider) HoldPort(t T, port int) {
	t.Cleanup(o.engine.HoldPort("127.0.0.1", port, "tcp"))
}

type modelLine struct{ engine *model.Engine }

func (l modelLine) Cut()  { l.engine.Disconnect() }
func (l modelLine) Mend() { l.engine.Reconnect() }
