package controller

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/engine/model"
	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/state"
)

const behindVPN = "vpn: {image: '%s'}\napp: {image: '%s', network_mode: 'service:vpn'}"

// of returns the one container of an image.
func (w *world) of(image string) (found engine.Container) {
	w.t.Helper()
	all, err := w.engine.Containers(w.ctx, "p")
	require.NoError(w.t, err)
	all = slices.DeleteFunc(all, func(c engine.Container) bool { return c.Image != image || c.Labels[spec.LabelHook] != "" })
	require.Len(w.t, all, 1, image)
	return all[0]
}

// joined returns the ID of the container that another one has joined.
func joined(c engine.Container) string {
	if len(c.Joins) == 0 {
		return ""
	}
	return c.Joins[0].ID
}

// What is to be updated later stays for now, and may be joined.
func TestWhatIsPausedIsJoined(t *testing.T) {
	inWorld(t, func(w *world) {
		const written = "kind: Deployment\nmetadata: {name: vpn}\nspec: {replicas: 1, paused: %s}"
		w.write(fmt.Sprintf(behindVPN, plain, plain))
		w.converge()
		vpn := w.container("p-vpn-1").ID
		w.write(fmt.Sprintf(behindVPN, "plain:2", plain), fmt.Sprintf(written, "true"))
		w.pass(time.Minute)
		w.engine.RemoveBehind(w.container("p-app-1").ID)
		w.pass(time.Minute)
		require.Equal(t, []string{"p-app-1 running", "p-vpn-1 running"}, w.containers())
		require.Equal(t, vpn, joined(w.container("p-app-1")))

		w.write(fmt.Sprintf(behindVPN, "plain:2", plain), fmt.Sprintf(written, "false"))
		w.converge()
		require.Equal(t, w.of("plain:2").ID, joined(w.of(plain)))
	})
}

// A hook that shares a network has it to its end, and what else has joined that runs on
// meanwhile.
func TestAHookKeepsWhatItHasJoined(t *testing.T) {
	inWorld(t, func(w *world) {
		const written = "kind: Deployment\nmetadata: {name: app}\nspec: {replicas: 1, strategy: {type: Recreate}, preRollout: [{name: migrate, command: [migrate]}]}"
		for _, image := range []string{"app:1", "app:2"} {
			w.engine.AddImage(image, model.Behavior{Commands: map[string]model.Behavior{"migrate": {Exits: true, After: time.Minute}}})
		}
		w.write(fmt.Sprintf(behindVPN, plain, "app:1"), written)
		w.converge()
		vpn, app := w.container("p-vpn-1").ID, w.container("p-app-1").ID
		w.write(fmt.Sprintf(behindVPN, plain, "app:2"), written)
		w.pass(5 * time.Second)
		require.NoError(t, w.ctl.Intend(w.ctx, core.Event{Workload: "vpn", Reason: "Asked"}, func(i *core.Intent, _ *state.Snapshot) error {
			i.RestartedAt = time.Now()
			return nil
		}))
		w.pass(30 * time.Second)
		for name, id := range map[string]string{"p-vpn-1": vpn, "p-app-1": app} {
			require.Equal(t, engine.Running, w.container(name).State, name)
			require.Equal(t, id, w.container(name).ID, name)
		}
		w.converge()
		require.NotEqual(t, vpn, w.of(plain).ID)
		require.Equal(t, w.of(plain).ID, joined(w.of("app:2")))
		require.False(t, w.heard("app HookFailed"), w.events)
	})
}
