package controller

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/tendhq/tend/ingress"
)

func carried(requests, failures, slow int64) map[string]ingress.Counters {
	c := ingress.Counters{Requests: requests, Failures: failures}
	c.Latency[len(c.Latency)-1] = slow
	return map[string]ingress.Counters{"web": c}
}

func TestWhatGatewaysCarriedIsAddedUp(t *testing.T) {
	var g gateways
	a, b := Subscriber{"172.20.0.2", "gateway"}, Subscriber{"172.20.0.3", "gateway"}
	now := time.Now()
	g.carried(a, carried(100, 10, 5), now)
	assert.Equal(t, carried(0, 0, 0), g.counters(), "what was before is not known to be of now")
	g.carried(b, carried(7, 0, 0), now)
	g.carried(a, carried(150, 11, 6), now.Add(5*time.Second))
	g.carried(b, carried(9, 0, 0), now.Add(6*time.Second))
	assert.Equal(t, carried(52, 1, 1), g.counters())
	g.carried(b, carried(3, 0, 0), now.Add(10*time.Second))
	assert.Equal(t, carried(55, 1, 1), g.counters(), "b was started anew, and counts from 0")

	var requests []int64
	for _, s := range g.samples()["web"] {
		requests = append(requests, s.Total.Requests)
	}
	assert.Equal(t, []int64{0, 50, 55}, requests)

	g.keep(func(who Subscriber) bool { return who == b }, func(string) bool { return true })
	g.carried(a, carried(1000, 0, 0), now.Add(15*time.Second))
	assert.Equal(t, carried(55, 1, 1), g.counters(), "a was forgotten, and begins again")
	g.keep(func(Subscriber) bool { return true }, func(string) bool { return false })
	assert.Empty(t, g.counters())
	assert.Empty(t, g.samples())
}

func TestOnlySubscribersAndWorkloadsThatAreKeptCount(t *testing.T) {
	inWorld(t, func(w *world) {
		w.write("web: {image: 'plain:1'}")
		w.converge()
		who := Subscriber{"172.20.0.2", "gateway"}
		tell := func(requests int64) {
			all := carried(requests, 0, 0)
			all["stranger"] = all["web"]
			w.ctl.Carried(who, all)
		}
		tell(1)
		tell(2)
		assert.Empty(t, w.ctl.Traffic(), "it follows no endpoints")
		_, err := w.ctl.Subscribed(who, 0)
		assert.NoError(t, err)
		tell(3)
		w.pass(5 * time.Second)
		tell(8)
		all := w.ctl.Traffic()
		assert.Len(t, all, 1)
		assert.Equal(t, int64(5), all["web"][1].Total.Requests)
	})
}
