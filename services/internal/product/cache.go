package product

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"

	"github.com/tendhq/tend/services/internal/breaker"
	"github.com/tendhq/tend/services/internal/config"
	"github.com/tendhq/tend/services/internal/logging"
	"github.com/tendhq/tend/services/internal/tracing"
)

const (
	cacheTTL     = time.Minute
	redisTimeout = 100 * time.Millisecond
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
	redis   *redis.Client
	breaker *breaker.Breaker // while it is open, everything is a miss
	results *prometheus.CounterVec
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
		redis:   redis.NewClient(options),
		breaker: breaker.New("redis", breaker.Optional, func(err error) bool { return !errors.Is(err, redis.Nil) }, registerer, log),
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
	key = "catalogue:v2:" + key
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
	var found catalogue
	value, err := c.ask(ctx, "GET", func(ctx context.Context) ([]byte, error) { return c.redis.Get(ctx, key).Bytes() })
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
	encoded, err := json.Marshal(value)
	if err == nil {
		_, err = c.ask(ctx, "SET", func(ctx context.Context) ([]byte, error) { return nil, c.redis.Set(ctx, key, encoded, cacheTTL).Err() })
	}
	if err != nil {
		c.failed(ctx, err)
	}
}

// ask gives command to Redis unless the breaker is open.
func (c *cache) ask(ctx context.Context, name string, command func(context.Context) ([]byte, error)) ([]byte, error) {
	return c.breaker.Do(func() ([]byte, error) {
		ctx, span := tracing.Start(ctx, name, trace.SpanKindClient, semconv.DBSystemNameRedis, semconv.DBOperationName(name))
		defer span.End()
		value, err := command(ctx)
		if err != nil && ctx.Err() != nil {
			err = &breaker.CallerError{Err: err}
		}
		return value, err
	})
}

func (c *cache) failed(ctx context.Context, err error) {
	var open *breaker.OpenError
	if errors.As(err, &open) || ctx.Err() != nil {
		return // neither is news of Redis
	}
	c.results.WithLabelValues("error").Inc()
	logging.From(ctx).Warn("cache unavailable", zap.Error(err))
}

type redisLogger struct{ log *zap.Logger }

// Printf implements go-redis' logging; what matters of it the cache logs itself.
func (l redisLogger) Printf(_ context.Context, format string, args ...any) {
	l.log.Debug("client", zap.String("detail", fmt.Sprintf(format, args...)))
}
