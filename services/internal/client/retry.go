package client

import (
	"math/rand/v2"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// firstPause and longestPause bound the pauses between the attempts of a call.
const (
	firstPause   = 200 * time.Millisecond
	longestPause = 2 * time.Second
)

// pauses are random from 0 to a bound that doubles (full jitter): callers that failed at
// the same moment come back spread over the whole pause.
type pauses struct{ bound time.Duration }

func newPauses() *pauses { return &pauses{bound: firstPause} }

// NextBackOff returns the next pause.
func (p *pauses) NextBackOff() time.Duration {
	pause := rand.N(p.bound)
	p.bound = min(2*p.bound, longestPause)
	return pause
}

// Reset makes the next pause the first.
func (p *pauses) Reset() { p.bound = firstPause }

var _ backoff.BackOff = (*pauses)(nil)

// budget is how many attempts may be made again.
type budget struct {
	mu   sync.Mutex
	left float64
}

// earn adds what a call may cost.
func (b *budget) earn() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.left = min(b.left+budgetPerCall, maxBudget)
}

// spend takes an attempt from the budget and reports whether there was one.
func (b *budget) spend() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.left < 1 {
		return false
	}
	b.left--
	return true
}
