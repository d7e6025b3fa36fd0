package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/go-redis/redis_rate/v10"
	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"
)

func init() {
	caddy.RegisterModule(new(rateLimit))
	httpcaddyfile.RegisterHandlerDirective("rate_limit", directive(func() handlerModule { return new(rateLimit) }))
	httpcaddyfile.RegisterDirectiveOrder("rate_limit", httpcaddyfile.Before, "handle")
}

const (
	redisTimeout = 200 * time.Millisecond
	// redisRest is how long Redis is not asked after it has not answered.
	redisRest = time.Second
)

// rateLimit bounds how many requests an address and a user may send. Redis counts, for
// all replicas of the gateway together. Without an address of Redis there is no limit,
// and while Redis does not answer everything passes: a shop that nobody can use is worse.
type rateLimit struct {
	Redis        string  `json:"redis"`
	PasswordFile string  `json:"password_file"`
	Limits       []limit `json:"limits"`

	client  *redis.Client
	limiter *redis_rate.Limiter
	restEnd atomic.Int64 // Unix nanoseconds
	log     *zap.Logger
}

// limit is how many requests each address, or each user, may send within a time, and how
// many of them at once.
type limit struct {
	Of    string        `json:"of"` // address or user
	Rate  int           `json:"rate"`
	Per   time.Duration `json:"per"`
	Burst int           `json:"burst"`
}

// CaddyModule implements caddy.Module.
func (*rateLimit) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.rate_limit", New: func() caddy.Module { return new(rateLimit) }}
}

// UnmarshalCaddyfile implements caddyfile.Unmarshaler.
//
//	rate_limit {
//		redis ADDRESS PASSWORD_FILE
//		limit address|user RATE PER BURST
//	}
func (l *rateLimit) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the directive
	for d.NextBlock(0) {
		switch d.Val() {
		case "redis":
			if !d.AllArgs(&l.Redis, &l.PasswordFile) {
				return d.ArgErr()
			}
		case "limit":
			var of, number, per, burst string
			if !d.AllArgs(&of, &number, &per, &burst) {
				return d.ArgErr()
			}
			rate, err1 := strconv.Atoi(number)
			duration, err2 := caddy.ParseDuration(per)
			most, err3 := strconv.Atoi(burst)
			if err := errors.Join(err1, err2, err3); err != nil {
				return d.WrapErr(err)
			}
			l.Limits = append(l.Limits, limit{Of: of, Rate: rate, Per: duration, Burst: most})
		default:
			return d.Errf("rate_limit knows no %q", d.Val())
		}
	}
	return nil
}

// Provision implements caddy.Provisioner.
func (l *rateLimit) Provision(ctx caddy.Context) error {
	l.log = ctx.Logger()
	if l.Redis == "" {
		return nil
	}
	options := &redis.Options{
		Addr: l.Redis, DialTimeout: redisTimeout, ReadTimeout: redisTimeout, WriteTimeout: redisTimeout,
		// Redis closes no connection on its own; a request that meets a broken one passes.
		MaxRetries: -1, ContextTimeoutEnabled: true,
	}
	if l.PasswordFile != "" {
		password, err := os.ReadFile(l.PasswordFile)
		if err != nil {
			return fmt.Errorf("password of Redis: %w", err)
		}
		options.Password = strings.TrimSpace(string(password))
	}
	l.client = redis.NewClient(options)
	l.limiter = redis_rate.NewLimiter(l.client)
	return nil
}

// Validate implements caddy.Validator.
func (l *rateLimit) Validate() error {
	for _, limit := range l.Limits {
		if limit.Of != "address" && limit.Of != "user" {
			return fmt.Errorf("a limit is of %q, want address or user", limit.Of)
		}
		if limit.Rate < 1 || limit.Burst < 1 || limit.Per <= 0 {
			return fmt.Errorf("the limit of %s is %d in %s, %d at once: want more than 0", limit.Of, limit.Rate, limit.Per, limit.Burst)
		}
	}
	return nil
}

// Cleanup implements caddy.CleanerUpper.
func (l *rateLimit) Cleanup() error {
	if l.client == nil {
		return nil
	}
	return l.client.Close()
}

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (l *rateLimit) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	if l.client == nil || time.Now().UnixNano() < l.restEnd.Load() {
		return next.ServeHTTP(w, r)
	}
	tightest, err := l.count(r)
	if err != nil {
		if r.Context().Err() == nil {
			l.restEnd.Store(time.Now().Add(redisRest).UnixNano())
			l.log.Warn("requests are not limited, as Redis does not answer", zap.Error(err))
		}
		return next.ServeHTTP(w, r)
	}
	if tightest == nil {
		return next.ServeHTTP(w, r)
	}
	header := w.Header()
	header.Set("RateLimit-Limit", strconv.Itoa(tightest.Limit.Burst))
	header.Set("RateLimit-Remaining", strconv.Itoa(tightest.Remaining))
	header.Set("RateLimit-Reset", seconds(tightest.ResetAfter))
	header.Set("RateLimit-Policy", fmt.Sprintf("%d;w=%s;burst=%d", tightest.Limit.Rate, seconds(tightest.Limit.Period), tightest.Limit.Burst))
	if tightest.Allowed == 0 {
		header.Set("Retry-After", seconds(tightest.RetryAfter))
		return caddyhttp.Error(http.StatusTooManyRequests, nil)
	}
	return next.ServeHTTP(w, r)
}

func seconds(d time.Duration) string { return strconv.Itoa(int(math.Ceil(d.Seconds()))) }

// count takes the request from each limit that it falls under, and returns the one with
// the least left, or the first that is used up.
func (l *rateLimit) count(r *http.Request) (*redis_rate.Result, error) {
	ctx, cancel := context.WithTimeout(r.Context(), redisTimeout)
	defer cancel()
	subjects := map[string]string{"address": network(r), "user": r.Header.Get(userIDHeader)}
	var tightest *redis_rate.Result
	for i, limit := range l.Limits {
		subject := subjects[limit.Of]
		if subject == "" {
			continue
		}
		key := fmt.Sprintf("gateway:%d:%s:%s", i, limit.Of, subject)
		result, err := l.limiter.Allow(ctx, key, redis_rate.Limit{Rate: limit.Rate, Period: limit.Per, Burst: limit.Burst})
		if err != nil {
			return nil, err
		}
		if tightest == nil || result.Remaining < tightest.Remaining || result.Allowed == 0 {
			tightest = result
		}
		if result.Allowed == 0 {
			break
		}
	}
	return tightest, nil
}

// network returns where a request comes from: an IPv4 address, or the 64 bits of an IPv6
// address that one client is given.
func network(r *http.Request) string {
	text, _ := caddyhttp.GetVar(r.Context(), caddyhttp.ClientIPVarKey).(string)
	address, err := netip.ParseAddr(text)
	if err != nil {
		return ""
	}
	address = address.Unmap().WithZone("")
	if address.Is4() {
		return address.String()
	}
	return netip.PrefixFrom(address, 64).Masked().String()
}

var (
	_ caddy.Provisioner  = (*rateLimit)(nil)
	_ caddy.Validator    = (*rateLimit)(nil)
	_ caddy.CleanerUpper = (*rateLimit)(nil)
	_ handlerModule      = (*rateLimit)(nil)
)
