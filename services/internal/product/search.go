package product

import (
	"context"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/tendhq/tend/services/internal/breaker"
	"github.com/tendhq/tend/services/internal/config"
	"github.com/tendhq/tend/services/internal/search"
)

// finder finds the products of a filter, the best match first.
type finder interface {
	find(ctx context.Context, f filter) (catalogue, error)
}

// searchFromEnv returns the client of the Elasticsearch at ELASTICSEARCH_URL, nil without one.
func searchFromEnv(env *config.Env) *search.Client {
	if env.String("ELASTICSEARCH_URL", "") == "" {
		return nil
	}
	return search.New(env.URL("ELASTICSEARCH_URL"))
}

// elasticFinder has Elasticsearch say which products have the words of a search, and Postgres
// what these products are. While Elasticsearch is away Postgres searches, too.
type elasticFinder struct {
	store    store
	elastic  *search.Client
	breaker  *breaker.Breaker
	state    *state
	searches *prometheus.CounterVec
}

func newElasticFinder(store store, elastic *search.Client, registerer prometheus.Registerer, log *zap.Logger) *elasticFinder {
	f := &elasticFinder{
		store: store, elastic: elastic,
		// The breaker opens and closes all the while; the log is told of what that means.
		breaker: breaker.New("elasticsearch", breaker.Optional, func(error) bool { return true }, registerer, zap.NewNop()),
		state:   &state{log: log, away: "Postgres searches, as Elasticsearch cannot", back: "Elasticsearch searches"},
		searches: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "searches_total", Help: "Searches for words, by who has searched: elasticsearch, or postgres in its place.",
		}, []string{"by"}),
	}
	registerer.MustRegister(f.searches)
	return f
}

func (e *elasticFinder) find(ctx context.Context, f filter) (catalogue, error) {
	if f.Search == "" || f.Page.Offset()+f.Page.Limit > search.Window {
		return e.store.find(ctx, f)
	}
	hits, err := e.search(ctx, f)
	if ctx.Err() != nil {
		return catalogue{}, ctx.Err()
	}
	e.state.set(err)
	if err != nil {
		e.searches.WithLabelValues("postgres").Inc()
		return e.store.find(ctx, f)
	}
	e.searches.WithLabelValues("elasticsearch").Inc()
	products, err := e.store.named(ctx, hits.IDs)
	return catalogue{Count: hits.Count, Products: products}, err
}

func (e *elasticFinder) search(ctx context.Context, f filter) (hits search.Hits, err error) {
	_, err = e.breaker.Do(func() ([]byte, error) {
		hits, err = e.elastic.Search(ctx, f.Search, f.Category, f.Page.Offset(), f.Page.Limit)
		if err != nil && ctx.Err() != nil {
			err = &breaker.CallerError{Err: err}
		}
		return nil, err
	})
	return hits, err
}

// state logs each time that something goes away or comes back.
type state struct {
	log        *zap.Logger
	away, back string
	isAway     atomic.Bool
}

func (s *state) set(err error) {
	switch {
	case err != nil && !s.isAway.Swap(true):
		s.log.Warn(s.away, zap.Error(err))
	case err == nil && s.isAway.Swap(false):
		s.log.Info(s.back)
	}
}
