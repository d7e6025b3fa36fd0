package caddytend

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
)

const (
	// queryWait is how long tend may hold a query that has nothing new to tell: with each
	// query it is told what was carried.
	queryWait = time.Second
	// queryGrace is what a query may take beyond its wait.
	queryGrace = 2 * time.Second
	// drainPoll is how often tend is asked for news while requests to withdrawn
	// endpoints hold back the acknowledgement.
	drainPoll = 200 * time.Millisecond
	// retryMin and retryMax bound the pause after a failed query, which doubles.
	retryMin, retryMax = 100 * time.Millisecond, 2 * time.Second
	// patience is how long the last endpoints tend told of are relied on while
	// tend is away and none of them can be reached.
	patience = 10 * time.Second
)

// answer is tend's answer to GET /api/v1/endpoints.
type answer struct {
	Index     uint64                       `json:"index"`
	Workloads map[string][]answeredReplica `json:"workloads"`
}

type answeredReplica struct {
	Replica   string            `json:"replica"`
	Revision  string            `json:"revision"`
	Addresses map[string]string `json:"addresses"` // IP by Compose network
	Ports     []int             `json:"ports"`
}

// follower keeps the pools of its sources at tend's endpoints, by a blocking query.
// A query for what follows index N tells tend that N is in force, and tend then stops
// the replicas that N withdrew. So follower asks for that only after no request is in
// flight to any of them; until then it asks with an older index.
type follower struct {
	address    *url.URL
	tokenFile  string // empty: no token is sent
	subscriber string
	client     *http.Client
	logger     *zap.Logger
	drained    chan struct{} // see pool.drained

	mu        sync.Mutex
	sources   []*Upstreams
	index     uint64    // of the last answer; 0: none, or the next one starts anew
	concluded bool      // a query was answered or failed
	awaySince time.Time // zero while tend answers
}

func newFollower(base *url.URL, tokenFile, subscriber string, logger *zap.Logger) *follower {
	return &follower{
		address:    base.JoinPath("/api/v1/endpoints"),
		tokenFile:  tokenFile,
		subscriber: subscriber,
		// No proxy of the environment: tend is near.
		client: &http.Client{Transport: &http.Transport{
			DialContext: (&net.Dialer{Timeout: time.Second}).DialContext,
		}},
		logger:  logger,
		drained: make(chan struct{}, 1),
	}
}

// add makes s follow from the next answer on. It must come before run.
func (f *follower) add(s *Upstreams) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sources = append(f.sources, s)
}

// pending reports whether no query has been answered or has failed yet.
func (f *follower) pending() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return !f.concluded
}

// outdated reports whether tend has been away for so long that its last answer may be
// outdated.
func (f *follower) outdated() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return !f.awaySince.IsZero() && time.Since(f.awaySince) > patience
}

// run follows tend until ctx ends.
func (f *follower) run(ctx context.Context) {
	defer f.client.CloseIdleConnections()
	pause := retryMin
	for ctx.Err() == nil {
		got, err := f.ask(ctx, f.inForce())
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			f.fail(err)
			wait(ctx, pause)
			pause = min(2*pause, retryMax)
			continue
		}
		pause = retryMin
		f.apply(got)
		f.awaitDrained(ctx)
	}
}

// ask sends one query.
func (f *follower) ask(ctx context.Context, index uint64) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, queryWait+queryGrace)
	defer cancel()
	target := *f.address
	target.RawQuery = url.Values{
		"index":      {strconv.FormatUint(index, 10)},
		"wait":       {queryWait.String()},
		"subscriber": {f.subscriber},
	}.Encode()
	told, err := json.Marshal(map[string]any{"traffic": f.carried()})
	if err != nil {
		return answer{}, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, target.String(), bytes.NewReader(told))
	if err != nil {
		return answer{}, err
	}
	request.Header.Set("Content-Type", "application/json")
	if f.tokenFile != "" {
		token, err := os.ReadFile(f.tokenFile)
		if err != nil {
			return answer{}, fmt.Errorf("read tend's token: %w", err)
		}
		request.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	}
	response, err := f.client.Do(request)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return answer{}, fmt.Errorf("tend answered %s", response.Status)
	}
	var got answer
	if err := json.NewDecoder(response.Body).Decode(&got); err != nil {
		return answer{}, fmt.Errorf("decode tend's answer: %w", err)
	}
	if got.Workloads == nil {
		return answer{}, errors.New("tend's answer has no workloads")
	}
	return got, nil
}

// carried is what was carried to each workload.
func (f *follower) carried() map[string]counts {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := map[string]counts{}
	for _, s := range f.sources {
		all[s.Workload] = all[s.Workload].plus(s.traffic.now())
	}
	return all
}

// fail notes that tend is away. The next query starts anew at index 0: tend may
// come back with another count, and must not take the old one for its own.
func (f *follower) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.index, f.concluded = 0, true
	if f.awaySince.IsZero() {
		f.awaySince = time.Now()
		f.logger.Warn("tend does not answer; the last known endpoints stay in use", zap.Stringer("url", f.address), zap.Error(err))
	}
}

// apply puts an answer in force for every request that begins from now on.
func (f *follower) apply(got answer) {
	f.mu.Lock()
	defer f.mu.Unlock()
	anew := f.index == 0 || got.Index < f.index
	for _, s := range f.sources {
		if anew {
			s.pool.restartIndex(got.Index)
		}
		s.apply(got)
	}
	f.index, f.concluded = got.Index, true
	if !f.awaySince.IsZero() {
		f.awaySince = time.Time{}
		f.logger.Info("tend answers again", zap.Uint64("index", got.Index))
	}
}

// inForce is the index that may be acknowledged.
func (f *follower) inForce() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	index := f.index
	for _, s := range f.sources {
		index = s.pool.inForce(index)
	}
	return index
}

// awaitDrained waits until the last answer may be acknowledged, or until it is
// time to ask for news all the same.
func (f *follower) awaitDrained(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, drainPoll)
	defer cancel()
	for {
		f.mu.Lock()
		index := f.index
		f.mu.Unlock()
		if f.inForce() == index {
			return
		}
		select {
		case <-f.drained:
		case <-ctx.Done():
			return
		}
	}
}

// wait waits for d, or until ctx ends.
func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
