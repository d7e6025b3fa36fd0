package ingresses

import (
	"context"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/ingress"
)

// fake is an ingress's side of the conversation.
type fake struct {
	t *testing.T
	// refused is how many attempts to attach fail first.
	refused int
	conn    net.Conn
	heard   *ingress.Reader[ingress.Request]
}

func (f *fake) Attach(context.Context, string) (io.ReadWriteCloser, error) {
	if f.refused > 0 {
		f.refused--
		return nil, errors.New("the engine is busy")
	}
	ours, theirs := net.Pipe()
	f.conn, f.heard = theirs, ingress.NewReader[ingress.Request](theirs)
	return ours, nil
}

// hear returns the next request.
func (f *fake) hear() ingress.Request {
	f.t.Helper()
	r, malformed, err := f.heard.Next()
	require.NoError(f.t, errors.Join(malformed, err))
	return r
}

// say sends a status.
func (f *fake) say(s ingress.Status) {
	f.t.Helper()
	s.Proxies = 1
	require.NoError(f.t, ingress.Write(f.conn, s))
	synctest.Wait()
}

// talking is a conversation with one ingress.
func talking(t *testing.T, f *fake, upgrade func(context.Context, string) (string, error)) (i *Ingresses, reports *[]Report, sync func(...ingress.Endpoint)) {
	f.t = t
	reports = &[]Report{}
	i = New(Options{Engine: f, Version: "new", Upgrade: upgrade, Heard: func(_ string, _ Run, r Report) { *reports = append(*reports, r) }})
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(func() {
		cancel()
		i.Wait()
	})
	run := Run{ID: "c1", StartedAt: time.Now()}
	return i, reports, func(endpoints ...ingress.Endpoint) {
		i.Sync(ctx, "web:8080", run, ingress.Config{Protocol: ingress.TCP, Endpoints: endpoints})
		synctest.Wait()
	}
}

func ready(id string) ingress.Endpoint {
	return ingress.Endpoint{ID: id, Address: "10.0.0.1:80", State: ingress.Ready}
}

func draining(id string) ingress.Endpoint {
	return ingress.Endpoint{ID: id, Address: "10.0.0.1:80", State: ingress.Draining}
}

func TestAReplicaIsReleasedOnceItHasNothingOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{}
		i, reports, sync := talking(t, f, nil)
		assert.True(t, i.Released("web:8080", "a"), "there is no ingress")
		sync(ready("a"), ready("b"))
		first := f.hear().Config
		assert.False(t, i.Released("web:8080", "c"), "nobody knows what the ingress does")
		f.say(ingress.Status{Version: "new", Generation: first.Generation})
		assert.True(t, (*reports)[0].Serving)
		assert.False(t, i.Released("web:8080", "a"))

		sync(draining("a"), ready("b"))
		assert.False(t, i.Released("web:8080", "a"), "the ingress has not heard")
		second := f.hear().Config
		assert.Greater(t, second.Generation, first.Generation)
		f.say(ingress.Status{Version: "new", Generation: second.Generation, Endpoints: []ingress.EndpointStatus{{ID: "a", Open: 1}}})
		assert.False(t, i.Released("web:8080", "a"), "a connection is open")
		told := len(*reports)
		f.say(ingress.Status{Version: "new", Generation: second.Generation, Endpoints: []ingress.EndpointStatus{{ID: "a"}}})
		assert.True(t, i.Released("web:8080", "a"))
		assert.Len(t, *reports, told+1, "the end of a drain is told")
		assert.False(t, i.Released("web:8080", "b"))
	})
}

func TestAnAcknowledgementOfAnotherProcessIsNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{}
		i, reports, sync := talking(t, f, nil)
		sync(ready("a"))
		generation := f.hear().Config.Generation
		f.say(ingress.Status{Version: "new", Generation: generation - 1})
		assert.False(t, (*reports)[0].Serving)
		settled := atomic.Bool{}
		go func() {
			i.Settle(t.Context())
			settled.Store(true)
		}()
		synctest.Wait()
		assert.False(t, settled.Load())
		f.say(ingress.Status{Version: "new", Generation: generation})
		assert.True(t, settled.Load())
	})
}

func TestItAttachesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{refused: 2}
		_, reports, sync := talking(t, f, nil)
		sync(ready("a"))
		assert.Equal(t, "the engine is busy", (*reports)[0].Err)
		time.Sleep(time.Second)
		synctest.Wait()
		generation := f.hear().Config.Generation
		f.say(ingress.Status{Version: "new", Generation: generation})
		_ = f.conn.Close()
		time.Sleep(time.Second)
		synctest.Wait()
		assert.Equal(t, generation, f.hear().Config.Generation, "it is told what it was told before")
		f.say(ingress.Status{Version: "new", Generation: generation})
		last := (*reports)[len(*reports)-1]
		assert.True(t, last.Serving)
		assert.Empty(t, last.Err)
	})
}

func TestAnotherProgramIsReplacedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{}
		copies := 0
		_, _, sync := talking(t, f, func(context.Context, string) (string, error) {
			copies++
			return "/state/next", nil
		})
		sync(ready("a"))
		generation := f.hear().Config.Generation
		f.say(ingress.Status{Version: "old", Generation: generation})
		assert.Equal(t, generation, f.hear().Config.Generation)
		assert.Equal(t, generation, f.hear().Config.Generation)
		assert.Equal(t, "/state/next", f.hear().Upgrade)
		f.say(ingress.Status{Version: "old", Generation: generation, Error: "upgrade to /state/next: it does not serve"})
		time.Sleep(repeatEvery)
		assert.NotNil(t, f.hear().Config)
		assert.Equal(t, 1, copies)
	})
}

func TestAProgramThatCouldNotBeCopiedIsCopiedLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{}
		copies := 0
		_, reports, sync := talking(t, f, func(context.Context, string) (string, error) {
			if copies++; copies < 3 {
				return "", errors.New("the engine is busy")
			}
			return "/state/next", nil
		})
		sync(ready("a"))
		f.say(ingress.Status{Version: "old", Generation: f.hear().Config.Generation})
		assert.NotNil(t, f.hear().Config)
		synctest.Wait()
		assert.Equal(t, "bring it up to tend's version: the engine is busy", (*reports)[len(*reports)-1].Err)
		began := time.Now()
		for f.hear().Upgrade == "" {
			assert.Less(t, time.Since(began), time.Minute)
		}
		assert.Equal(t, 3, copies)
	})
}

// A request may be lost with the connection that it was written to.
func TestAnotherConnectionIsToldOfTheProgramAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{}
		copies := 0
		_, _, sync := talking(t, f, func(context.Context, string) (string, error) {
			copies++
			return "/state/next", nil
		})
		sync(ready("a"))
		f.say(ingress.Status{Version: "old", Generation: f.hear().Config.Generation})
		for f.hear().Upgrade == "" {
			synctest.Wait()
		}
		_ = f.conn.Close()
		time.Sleep(time.Second)
		synctest.Wait()
		assert.NotNil(t, f.hear().Config)
		assert.Equal(t, "/state/next", f.hear().Upgrade)
		assert.Equal(t, 1, copies)
	})
}

// The connection may break just when the ingress has said that it runs another program.
func TestAProgramIsCopiedThoughTheConnectionBreaks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{}
		_, _, sync := talking(t, f, func(context.Context, string) (string, error) { return "/state/next", nil })
		sync(ready("a"))
		f.say(ingress.Status{Version: "old", Generation: f.hear().Config.Generation})
		_ = f.conn.Close()
		time.Sleep(time.Second)
		synctest.Wait()
		assert.NotNil(t, f.hear().Config)
		assert.Equal(t, "/state/next", f.hear().Upgrade)
	})
}

func TestWhatWasCountedIsRememberedForFifteenMinutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{}
		i, _, sync := talking(t, f, nil)
		sync()
		f.hear()
		began := time.Now()
		say := func(workload string, requests int64) {
			i.mu.Lock()
			defer i.mu.Unlock()
			i.samples.Add(workload, ingress.Counters{Requests: requests}, time.Now())
		}
		f.say(ingress.Status{Total: ingress.Counters{Requests: 1}})
		f.say(ingress.Status{Total: ingress.Counters{Requests: 2}}) // too soon
		require.Equal(t, History{"web:8080": {{At: began, Total: ingress.Counters{Requests: 1}}}}, i.Samples())
		say("gone:80", 1)
		for n := range int64(400) {
			time.Sleep(sampleEvery)
			say("web:8080", n)
		}
		samples := i.Samples()
		require.Len(t, samples, 1, "what is gone for longer is forgotten")
		require.Len(t, samples["web:8080"], maxSamples)
		require.Equal(t, 15*time.Minute, time.Since(samples["web:8080"][0].At))
	})
}

// The copy of a program takes as long as the engine does, and a replica that leaves must
// not wait for that.
func TestWhatChangesIsToldWhileAProgramIsCopied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{}
		copied := make(chan struct{})
		_, _, sync := talking(t, f, func(context.Context, string) (string, error) {
			<-copied
			return "/state/next", nil
		})
		sync(ready("a"))
		f.say(ingress.Status{Version: "old", Generation: f.hear().Config.Generation})
		assert.NotNil(t, f.hear().Config)
		sync(draining("a"))
		assert.Equal(t, ingress.Draining, f.hear().Config.Endpoints[0].State)
		close(copied)
		assert.NotNil(t, f.hear().Config)
		assert.Equal(t, "/state/next", f.hear().Upgrade)
	})
}
