package swarm_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/tendhq/tend/controller/swarm/manager"
	"github.com/tendhq/tend/controller/swarm/manager/model"
)

// leaderless is a Swarm whose leader is lost until another one is there. What a manager is
// asked meanwhile is never answered.
type leaderless struct {
	*model.Swarm
	until time.Time
}

func (l *leaderless) Nodes(ctx context.Context) ([]manager.Node, error) {
	if time.Now().Before(l.until) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return l.Swarm.Nodes(ctx)
}

func (l *leaderless) Services(ctx context.Context, project string) ([]manager.Service, error) {
	if time.Now().Before(l.until) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return l.Swarm.Services(ctx, project)
}

// A question that was asked of a leader that is lost does not keep tend from the next one.
func TestWhatIsWrittenIsDoneSoonAfterAnotherManagerLeads(t *testing.T) {
	inTime(t, func(w *world) {
		lost := &leaderless{Swarm: w.Swarm, until: time.Now().Add(17 * time.Second)}
		w.asked = lost
		w.start(shopWith("web:1"))
		time.Sleep(time.Until(lost.until))
		assert.Contains(t, w.told(), "the leader of the managers has not answered for 3s")
		assert.Empty(t, w.Writes())
		time.Sleep(5 * time.Second)
		assert.NotEmpty(t, w.Writes())
		w.converges()
	})
}
