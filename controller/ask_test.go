package controller

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/engine/model"
	"github.com/tendhq/tend/controller/logs"
)

func TestAPlanTellsWhatIsUnderWayAndChangesNothing(t *testing.T) {
	inWorld(t, func(w *world) {
		w.write(twoWebs)
		w.pass(20 * time.Millisecond) // creates take 50
		p, err := w.ctl.Plan(w.ctx, "web")
		require.NoError(t, err)
		require.Len(t, p.UnderWay, 2)
		require.Equal(t, core.CreateReplica, p.UnderWay[0].Kind)
		require.NotEmpty(t, p.UnderWay[0].Cause)
		require.Empty(t, p.Next, "what is under way is not decided again")
		require.Equal(t, core.OutcomeMoving, p.Status.Outcome)
		w.converge()
		w.writes()
		p, err = w.ctl.Plan(w.ctx, "web")
		require.NoError(t, err)
		require.Empty(t, p.UnderWay)
		require.Empty(t, p.Next)
		require.Empty(t, w.writes())
		_, err = w.ctl.Plan(w.ctx, "nope")
		require.ErrorAs(t, err, new(*UnknownWorkloadError))
	})
}

func TestWhoIsKilledOnRequestIsStartedAgainAndHasNotCrashed(t *testing.T) {
	inWorld(t, func(w *world) {
		w.write(twoWebs)
		w.converge()
		asked := core.Event{Type: core.Normal, Workload: "web", Reason: "Killed", Message: "p-web-2", Actor: "uid 1000"}
		require.NoError(t, w.ctl.Kill(w.ctx, asked, w.container("p-web-2").ID))
		w.pass(2 * time.Second)
		w.converge()
		require.Equal(t, 2, w.running())
		require.True(t, w.heard("web Killed: p-web-2"), w.events)
		require.False(t, w.heard("web BackOff"), w.events)
		require.Error(t, w.ctl.Kill(w.ctx, asked, "no such container"))
	})
}

func TestLogsOfAWorkload(t *testing.T) {
	inWorld(t, func(w *world) {
		w.engine.AddImage(plain, model.Behavior{Output: []string{"hello"}})
		w.write("web: {image: 'plain:1', scale: 2}")
		w.converge()
		var lines []string
		err := w.ctl.Logs(w.ctx, "web", false, logs.Options{}, func(l logs.Line) error {
			lines = append(lines, l.Replica+" "+l.Text)
			return nil
		})
		require.NoError(t, err)
		require.ElementsMatch(t, []string{"p-web-1 hello", "p-web-2 hello"}, lines)
	})
}
