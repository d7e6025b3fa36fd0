package proxy

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/ingress"
)

func ready(ids ...string) ingress.Config {
	c := ingress.Config{Protocol: ingress.TCP}
	for _, id := range ids {
		c.Endpoints = append(c.Endpoints, ingress.Endpoint{ID: id, Address: "192.0.2.1:80", State: ingress.Ready})
	}
	return c
}

// take takes an endpoint that must be there now.
func take(t *testing.T, p *pool) *endpoint {
	t.Helper()
	e, _, err := p.take(t.Context(), 80, time.Now())
	require.NoError(t, err)
	return e
}

func TestTheOneWithTheFewestIsChosen(t *testing.T) {
	p := newPool(holdLimit)
	p.apply(ready("a", "b"))
	first := take(t, p)
	second := take(t, p)
	assert.NotEqual(t, first.ID, second.ID)
	p.release(second)
	assert.Equal(t, second.ID, take(t, p).ID)
}

func TestAnEndpointThatFailedIsPassedOver(t *testing.T) {
	p := newPool(holdLimit)
	p.apply(ready("a", "b"))
	bad := take(t, p)
	p.failed(bad)
	for range 5 {
		assert.NotEqual(t, bad.ID, take(t, p).ID)
	}
	time.Sleep(firstPause)
	assert.Equal(t, bad.ID, take(t, p).ID, "it has the fewest, and its time is over")
	assert.NotEqual(t, bad.ID, take(t, p).ID, "one at a time tries whether it works again")
	p.worked(bad)
	assert.Equal(t, bad.ID, take(t, p).ID)
}

func TestNothingIsHeldForEver(t *testing.T) {
	p := newPool(holdLimit)
	p.apply(ready())
	began := time.Now()
	_, _, err := p.take(t.Context(), 80, began.Add(50*time.Millisecond))
	assert.ErrorIs(t, err, errHeldTooLong)
	assert.GreaterOrEqual(t, time.Since(began), 50*time.Millisecond)
	assert.Zero(t, p.status().Held)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, err = p.take(ctx, 80, time.Now().Add(time.Hour))
	assert.ErrorIs(t, err, context.Canceled)
}

func TestNoMoreAreHeldThanFit(t *testing.T) {
	p := newPool(holdLimit)
	p.apply(ready())
	taken := make(chan error, maxHeld)
	for range maxHeld {
		go func() {
			_, _, err := p.take(t.Context(), 80, time.Now().Add(holdLimit))
			taken <- err
		}()
	}
	require.Eventually(t, func() bool { return p.status().Held == maxHeld }, 10*time.Second, time.Millisecond)
	_, _, err := p.take(t.Context(), 80, time.Now().Add(holdLimit))
	assert.ErrorIs(t, err, errTooManyHeld)
	p.apply(ready("a"))
	for range maxHeld {
		require.NoError(t, <-taken)
	}
}

func TestWhatIsRemovedCountsOn(t *testing.T) {
	p := newPool(holdLimit)
	p.apply(ready("a"))
	e := take(t, p)
	e.counters.connections.Add(1)
	p.apply(ready("b"))
	assert.Len(t, p.status().Endpoints, 2)
	p.release(e)
	<-p.drained
	assert.Len(t, p.status().Endpoints, 1)
	assert.EqualValues(t, 1, p.status().Total.Connections)
}

// A connection that cannot be made at once is waited for.
func TestADialThatNobodyAnswersEnds(t *testing.T) {
	r, err := newRelay()
	require.NoError(t, err)
	began := time.Now()
	_, err = r.dial(netip.MustParseAddrPort("192.0.2.1:80")) // no such host (RFC 5737)
	require.Error(t, err)
	assert.Less(t, time.Since(began), 2*dialTimeout)
}
