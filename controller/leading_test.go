package controller

import (
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/engine/model"
	"github.com/tendhq/tend/ingress"
	"github.com/tendhq/tend/ingress/ingressmodel"
)

// endpoints are those that an ingress leads to, as "STATE ADDRESS", once it has heard all.
func endpoints(i *ingressmodel.Holder) (all []string) {
	synctest.Wait()
	for _, e := range i.Config().Endpoints {
		all = append(all, string(e.State)+" "+e.Address[strings.LastIndex(e.Address, ":"):])
	}
	slices.Sort(all)
	return all
}

// inPublishedWorld runs a test in a world whose ports are held by ingresses.
func inPublishedWorld(t *testing.T, f func(w *world, i *ingressmodel.Holder)) {
	inWorld(t, func(w *world) {
		w.stop()
		w.ingressImage = "tend/ingress:test"
		i := ingressmodel.New(w.ingressImage)
		w.engine.AddImage(w.ingressImage, model.Behavior{StopAfter: time.Second, Attached: func(_ string, conn io.ReadWriter) { i.Attached(conn) }})
		w.start()
		f(w, i)
	})
}

const publishedWeb = `
web:
  image: plain:1
  ports: ["8080:80"]
  environment: {VERSION: "1"}
`

func TestAnIngressLeadsToWhatIsReady(t *testing.T) {
	inPublishedWorld(t, func(w *world, i *ingressmodel.Holder) {
		w.write(publishedWeb)
		w.converge()
		require.Equal(t, []string{"p-web-1 running", "p-web-8080-ingress running"}, w.containers())
		require.Empty(t, w.container("p-web-1").PublishedPorts)
		require.Equal(t, []string{"0.0.0.0:8080->80/tcp"}, w.container("p-web-8080-ingress").PublishedPorts)
		require.Equal(t, []string{"ready :80"}, endpoints(i))

		w.write(publishedWeb + "  scale: 3")
		w.converge()
		require.Equal(t, []string{"ready :80", "ready :80", "ready :80"}, endpoints(i))
		w.write("web: {image: 'plain:1'}")
		w.converge()
		require.Equal(t, []string{"p-web-2 running"}, w.containers(), "the port is no longer written")
	})
}

// The ingress of what is taken out may be gone before the replicas, which are drained.
func TestAServiceIsTakenOutWithItsPort(t *testing.T) {
	inPublishedWorld(t, func(w *world, i *ingressmodel.Holder) {
		w.write(publishedWeb+"other: {image: 'plain:1'}", "kind: Deployment\nmetadata: {name: web}\nspec: {drainSeconds: 10}")
		w.converge()
		i.Open(w.container("p-web-1").ID, 1)
		w.write("other: {image: 'plain:1'}")
		w.pass(time.Minute)
		require.Equal(t, []string{"p-other-1 running"}, w.containers())
	})
}

func TestAReplicaIsStoppedWhenTheIngressHasLetGoOfIt(t *testing.T) {
	inPublishedWorld(t, func(w *world, i *ingressmodel.Holder) {
		w.write(publishedWeb, "kind: Deployment\nmetadata: {name: web}\nspec: {drainSeconds: 10}")
		w.converge()
		old := w.container("p-web-1")
		i.Open(old.ID, 1)
		w.write(strings.Replace(publishedWeb, `"1"`, `"2"`, 1), "kind: Deployment\nmetadata: {name: web}\nspec: {drainSeconds: 10}")
		w.pass(5 * time.Second)
		require.Equal(t, []string{"draining :80", "ready :80"}, endpoints(i))
		require.Equal(t, old.ID, w.container("p-web-1").ID, "a connection is open")
		i.Open(old.ID, 0)
		w.pass(time.Second)
		w.converge()
		require.Equal(t, []string{"ready :80"}, endpoints(i))
		require.Equal(t, []string{"p-web-2 running", "p-web-8080-ingress running"}, w.containers())
	})
}

// One that does not answer, or is not there, holds nobody up for longer than the drain.
func TestADrainEndsWithoutAnIngressThatAnswers(t *testing.T) {
	inPublishedWorld(t, func(w *world, i *ingressmodel.Holder) {
		w.write(publishedWeb)
		w.converge()
		i.Cut()
		i.Hear = func(ingress.Request) error { return nil }
		w.write(strings.Replace(publishedWeb, `"1"`, `"2"`, 1))
		w.pass(3 * time.Second)
		require.Equal(t, 3, w.running(), "the old replica is still there")
		w.pass(10 * time.Second)
		require.Equal(t, []string{"p-web-2 running", "p-web-8080-ingress running"}, w.containers())
	})
}

// While a rollout moves the target, each replica is reached at its own.
func TestThePortOfAReplicaIsThatOfItsRevision(t *testing.T) {
	inPublishedWorld(t, func(w *world, i *ingressmodel.Holder) {
		slow := "kind: Deployment\nmetadata: {name: web}\nspec: {replicas: 2, minReadySeconds: 20}"
		w.write(publishedWeb, slow)
		w.pass(time.Minute)
		w.converge()
		held := w.container("p-web-8080-ingress").ID
		w.write(strings.Replace(publishedWeb, "8080:80", "8080:3000", 1), slow)
		w.pass(10 * time.Second)
		require.Equal(t, []string{"ready :3000", "ready :80", "ready :80"}, endpoints(i))
		w.pass(time.Minute)
		w.converge()
		require.Equal(t, []string{"ready :3000", "ready :3000"}, endpoints(i))
		require.Equal(t, held, w.container("p-web-8080-ingress").ID, "the ingress goes on")
	})
}

// The revision of a replica is remembered for as long as it exists, though the history keeps
// none beyond the one that works and the one that is written.
func TestThePortOfAReplicaIsKnownForAsLongAsItExists(t *testing.T) {
	inPublishedWorld(t, func(w *world, i *ingressmodel.Holder) {
		slow := "kind: Deployment\nmetadata: {name: web}\nspec: {replicas: 2, minReadySeconds: 20, revisionHistoryLimit: 0, drainSeconds: 10}"
		w.write(publishedWeb, slow)
		w.pass(time.Minute)
		w.converge()
		w.write(strings.Replace(publishedWeb, "8080:80", "8080:3000", 1), slow)
		w.pass(10 * time.Second)
		require.Equal(t, []string{"ready :3000", "ready :80", "ready :80"}, endpoints(i))
		i.Open(w.container("p-web-3").ID, 1)
		w.write(strings.Replace(publishedWeb, "8080:80", "8080:4000", 1), slow)
		w.pass(5 * time.Second)
		require.Equal(t, []string{"draining :3000", "ready :80", "ready :80"}, endpoints(i))
	})
}

// What has the port is not taken from it before its container is replaced.
func TestAPortMovesWithTheFirstReplacement(t *testing.T) {
	inPublishedWorld(t, func(w *world, i *ingressmodel.Holder) {
		image := w.ingressImage
		w.ingressImage = ""
		w.write(publishedWeb)
		w.converge()
		w.restart()
		w.ingressImage = image
		w.restart()
		w.write(publishedWeb)
		w.converge()
		require.Equal(t, []string{"p-web-1 running"}, w.containers())
		require.Equal(t, []string{"0.0.0.0:8080->80/tcp"}, w.container("p-web-1").PublishedPorts)
		s, _ := w.ctl.State().Snapshot().Status("web:8080")
		require.Contains(t, s.Obstacle, "published by p-web-1")

		w.write(strings.Replace(publishedWeb, `"1"`, `"2"`, 1))
		w.pass(30 * time.Second)
		w.converge()
		require.Equal(t, []string{"p-web-2 running", "p-web-8080-ingress running"}, w.containers())
		require.Equal(t, []string{"ready :80"}, endpoints(i))
	})
}

func TestAKilledIngressIsStartedAgainAndToldAgain(t *testing.T) {
	inPublishedWorld(t, func(w *world, i *ingressmodel.Holder) {
		w.write(publishedWeb)
		w.converge()
		i.Take(ingress.Request{Config: &ingress.Config{}}, "")
		w.engine.Kill(w.container("p-web-8080-ingress").ID, 137)
		w.pass(2 * time.Second)
		w.converge()
		require.Equal(t, []string{"ready :80"}, endpoints(i))
	})
}

// A controller that comes back finds its ingress, and withdraws nothing meanwhile.
func TestARestartedControllerGoesOnWithItsIngress(t *testing.T) {
	inPublishedWorld(t, func(w *world, i *ingressmodel.Holder) {
		w.write(publishedWeb)
		w.converge()
		w.engine.ForgetCalls()
		w.restart()
		w.write(publishedWeb)
		w.converge()
		w.pass(time.Minute)
		require.Empty(t, w.writes())
		require.Equal(t, []string{"ready :80"}, endpoints(i))
	})
}

// What tend remembered is lost, and with it what the replicas were made from.
func TestAReplicaOfAForgottenRevisionKeepsThePort(t *testing.T) {
	inPublishedWorld(t, func(w *world, i *ingressmodel.Holder) {
		w.write(publishedWeb)
		w.converge()
		w.restart()
		w.write(strings.Replace(publishedWeb, `"1"`, `"2"`, 1), "kind: Deployment\nmetadata: {name: web}\nspec: {minReadySeconds: 20}")
		w.pass(10 * time.Second)
		require.Equal(t, []string{"ready :80", "ready :80"}, endpoints(i))
	})
}

// A port that is written for another address moves as soon as the ingress before has let
// go of it, and not after a failed try.
func TestAPortMovesToAnIngressOfAnotherAddress(t *testing.T) {
	inPublishedWorld(t, func(w *world, i *ingressmodel.Holder) {
		w.write(publishedWeb)
		w.converge()
		w.write(strings.Replace(publishedWeb, "8080:80", "127.0.0.1:8080:80", 1))
		w.pass(3 * time.Second)
		require.Equal(t, []string{"127.0.0.1:8080->80/tcp"}, w.container("p-web-127.0.0.1-8080-ingress").PublishedPorts)
		require.False(t, w.heard("CreateFailed"), w.events)
	})
}
