package probe

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/tendhq/tend/controller/spec"
)

var errAway = errors.New("the engine is away")

func TestAProbeThatCouldNotBeMadeSaysNothing(t *testing.T) {
	inBubble(t, func(b *bench) {
		var away atomic.Bool
		b.Prober = New(func(ctx context.Context, id string, command []string) (int, string, error) {
			if away.Load() {
				return 0, "", &Unasked{Err: errAway}
			}
			return b.exec(ctx, id, command)
		}, b.changed)
		b.Sync(b.ctx, map[Run]spec.Probes{b.run("a"): {Readiness: asking("ready", 1), Liveness: asking("live", 1)}})
		assert.Len(t, b.after(time.Second), 1)
		away.Store(true)
		b.Sync(b.ctx, map[Run]spec.Probes{
			b.run("a"): {Readiness: asking("ready", 1), Liveness: asking("live", 1)},
			b.run("b"): {Startup: asking("start", 1)},
		})
		assert.Empty(t, b.after(time.Hour))
		away.Store(false)
		assert.Equal(t, []string{"1h0m2s b started ready live since 1h0m2s"}, b.after(time.Second))
	})
}

func TestATimeOutDoesNotHideThatAProbeCouldNotBeMade(t *testing.T) {
	inBubble(t, func(b *bench) {
		err := Once(b.ctx, *asking("late", 1), Target{ID: "a"}, func(ctx context.Context, _ string, _ []string) (int, string, error) {
			<-ctx.Done()
			return 0, "", &Unasked{Err: errAway}
		})
		assert.ErrorIs(t, err, errAway)
	})
}
