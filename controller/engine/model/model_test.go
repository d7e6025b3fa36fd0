package model_test

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/engine/enginetest"
	"github.com/tendhq/tend/controller/engine/model"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConformance(t *testing.T) {
	var projects atomic.Int64
	enginetest.Run(t, func(t *testing.T) enginetest.Harness {
		e := model.New()
		t.Cleanup(func() { require.NoError(t, e.Close()) })
		image := func(name string) string { return "tend-enginetest/" + name + ":1" }
		for name, behavior := range enginetest.Images {
			e.AddImage(image(name), behavior)
		}
		return enginetest.Harness{
			Engine:   e,
			Project:  fmt.Sprintf("model-%d", projects.Add(1)),
			Image:    image,
			Outsider: outsider{e},
			Line:     line{e},
		}
	})
}

type outsider struct{ engine *model.Engine }

func (o outsider) Kill(_ *testing.T, id string)    { o.engine.Kill(id, 137) }
func (o outsider) Pause(_ *testing.T, id string)   { o.engine.Pause(id) }
func (o outsider) Unpause(_ *testing.T, id string) { o.engine.Unpause(id) }
func (o outsider) Remove(_ *testing.T, id string)  { o.engine.RemoveBehind(id) }

func (o outsider) CreateRestarting(_ *testing.T, project, name, image string) string {
	return o.engine.Put(engine.Container{
		Name: name, Image: image, RestartPolicy: "always",
		Labels: map[string]string{engine.ProjectLabel: project},
	}, enginetest.Images[enginetest.Runs])
}

func (o outsider) File(t *testing.T, id, path string) string {
	content, ok := o.engine.File(id, path)
	require.True(t, ok, "no file %s", path)
	return content
}

func (o outsider) FreePort(*testing.T) int { return 18080 }

func (o outsider) HoldPort(t *testing.T, port int) {
	t.Cleanup(o.engine.HoldPort("127.0.0.1", port, "tcp"))
}

type line struct{ engine *model.Engine }

func (l line) Cut()  { l.engine.Disconnect() }
func (l line) Mend() { l.engine.Reconnect() }
