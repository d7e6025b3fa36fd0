package product

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
	"go.uber.org/zap"

	"github.com/tendhq/tend/services/internal/config"
	"github.com/tendhq/tend/services/internal/logging"
)

const (
	cacheTTL     = time.Minute
	redisTimeout = 100 * time.Millisecond
	// pause is how long Redis is left alone after it failed, so that each
	// request does not wait for it anew.
	pause = time.Second
)

// cache keeps the catalogue part of products in Redis, never their inventory.
//
// The catalogue part changes only by a migration and may be a minute old. The
// inventory changes all the time and must be right at once, for everybody, after
// a write was acknowledged. No scheme that deletes cached inventory on write can
// promise that, since Redis may be away for just that deletion and come back with
// the old value. So the inventory is always read from Postgres, by primary key;
// what Redis saves is the search, the count and the sort. Redis away costs time,
// never correctness.
type cache struct {
	redis      *redis.Client
	results    *prometheus.CounterVec
	pauseUntil atomic.Int64 // Unix nanoseconds
}

// newCache reads REDIS_HOST, REDIS_PORT and REDIS_PASSWORD_FILE.
func newCache(env *config.Env, log *zap.Logger, registerer prometheus.Registerer) *cache {
	options := &redis.Options{
		Addr:            net.JoinHostPort(env.Required("REDIS_HOST"), strconv.Itoa(env.Port("REDIS_PORT", 6379))),
		Password:        env.Secret("REDIS_PASSWORD_FILE"),
		DialTimeout:     redisTimeout,
		ReadTimeout:     redisTimeout,
		WriteTimeout:    redisTimeout,
		PoolTimeout:     redisTimeout,
		MaxRetries:      -1,
		DialerRetries:   1,
		DisableIdentity: true,
		MaintNotificationsConfig: &maintnotifications.Config{
			Mode: maintnotifications.ModeDisabled,
		},
	}
	redis.SetLogger(redisLogger{log.Named("redis")})
	c := &cache{
		redis: redis.NewClient(options),
		results: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "cache_requests_total", Help: "Reads of the cache: hit, miss or error.",
		}, []string{"result"}),
	}
	registerer.MustRegister(c.results)
	return c
}

func (c *cache) close() {
	// Nothing is lost with a connection to a cache.
	_ = c.redis.Close()
}

// cacheKey has no two filters share a key, whatever characters they hold.
func (f filter) cacheKey() string {
	return "list:" + url.Values{
		"category": {f.Category}, "search": {f.Search},
		"page": {strconv.Itoa(f.Page.Number)}, "limit": {strconv.Itoa(f.Page.Limit)},
	}.Encode()
}

// cached returns what the cache holds under key, or loads and stores it.
func cached(ctx context.Context, c *cache, key string, load func() (catalogue, error)) (catalogue, error) {
	// A change of the value's form takes a new prefix: old and new replicas share Redis during a rollout.
	key = "catalogue:v1:" + key
	if found, ok := c.get(ctx, key); ok {
		return found, nil
	}
	found, err := load()
	if err != nil {
		return catalogue{}, err
	}
	c.set(ctx, key, found)
	return found, nil
}

func (c *cache) get(ctx context.Context, key string) (catalogue, bool) {
	if c.paused() {
		return catalogue{}, false
	}
	var found catalogue
	value, err := c.redis.Get(ctx, key).Bytes()
	if err == nil {
		err = json.Unmarshal(value, &found)
	}
	switch {
	case err == nil:
		c.results.WithLabelValues("hit").Inc()
		return found, true
	case errors.Is(err, redis.Nil):
		c.results.WithLabelValues("miss").Inc()
	default:
		c.failed(ctx, err)
	}
	return catalogue{}, false
}

func (c *cache) set(ctx context.Context, key string, value catalogue) {
	if c.paused() {
		return
	}
	encoded, err := json.Marshal(value)
	if err == nil {
		err = c.redis.Set(ctx, key, encoded, cacheTTL).Err()
	}
	if err != nil {
		c.failed(ctx, err)
	}
}

func (c *cache) paused() bool { return time.Now().UnixNano() < c.pauseUntil.Load() }

func (c *cache) failed(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return // the request ended, which says nothing of Redis
	}
	c.results.WithLabelValues("error").Inc()
	c.pauseUntil.Store(time.Now().Add(pause).UnixNano())
	logging.From(ctx).Warn("cache unavailable", zap.Error(err))
}

type redisLogger struct{ log *zap.Logger }

// Printf implements go-redis' logging; what matters of it the cache logs itself.
func (l redisLogger) Printf(_ context.Context, format string, args ...any) {
	l.log.Debug("client", zap.String("detail", fmt.Sprintf(format, args...)))
}
