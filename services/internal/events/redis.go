package events

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

const (
	stream = "domain-events"
	field  = "event"
	// prefetch is how many messages a consumer holds.
	prefetch = 16
	// blockTime is how long a consumer waits for a message before it looks for those that
	// others left.
	blockTime = 500 * time.Millisecond
	// claimInterval is how often a consumer says that it still works on its messages, well
	// within retryDelay, after which others take them.
	claimInterval = time.Second
	trimInterval  = 10 * time.Second
	redisTimeout  = 2 * time.Second
)

// redisBus is a stream of all events, with a consumer group for each service. The Redis
// must write each command to disk before it answers (appendfsync always) and evict nothing.
//
// What a consumer took and did not acknowledge stays with it until it is idle for
// retryDelay: then another one takes it, or the same one again. So a delay costs nothing
// but waiting, and a crash is a delay.
type redisBus struct {
	client   *redis.Client
	groups   map[string][]string
	consumer string
}

func newRedis(groups map[string][]string, host string, port int, password string) *redisBus {
	return &redisBus{
		client: redis.NewClient(&redis.Options{
			Addr: net.JoinHostPort(host, strconv.Itoa(port)), Password: password,
			DialTimeout: redisTimeout, ReadTimeout: redisTimeout, WriteTimeout: redisTimeout,
			// Publishing twice is no harm, but whoever calls tries again by themselves.
			MaxRetries: -1, DialerRetries: 1, DisableIdentity: true,
			ContextTimeoutEnabled:    true,
			MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
		}),
		groups:   groups,
		consumer: uuid.NewString(),
	}
}

func (b *redisBus) Publish(ctx context.Context, messages []Message) error {
	_, err := b.client.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
		for _, m := range messages {
			pipe.XAdd(ctx, &redis.XAddArgs{Stream: stream, Values: []any{field, m.Body}})
		}
		return nil
	})
	return err
}

func (b *redisBus) Close() { _ = b.client.Close() }

// Consume implements Bus. A group that is new begins with the oldest event there is.
func (b *redisBus) Consume(ctx context.Context, group string, handle Handle) error {
	if err := b.join(ctx, group); err != nil {
		return err
	}
	defer b.leave(context.WithoutCancel(ctx), group)
	trim := time.NewTicker(trimInterval)
	defer trim.Stop()
	for ctx.Err() == nil {
		deliveries, err := b.next(ctx, group)
		if err != nil {
			return err
		}
		if err := b.handleAll(ctx, group, deliveries, handle); err != nil {
			return err
		}
		select {
		case <-trim.C:
			if err := b.trim(ctx); err != nil {
				return err
			}
		default:
		}
	}
	return ctx.Err()
}

// join makes a group unless it is there. That is looked up first: a Redis without room refuses
// to make one also where it is there, and gets room only when all groups go on.
func (b *redisBus) join(ctx context.Context, group string) error {
	groups, err := b.client.XInfoGroups(ctx, stream).Result()
	if err == nil && slices.ContainsFunc(groups, func(g redis.XInfoGroup) bool { return g.Name == group }) {
		return nil
	}
	err = b.client.XGroupCreateMkStream(ctx, stream, group, "0").Err()
	if err != nil && !strings.HasPrefix(err.Error(), "BUSYGROUP") {
		return err
	}
	return nil
}

type delivery struct {
	redis.XMessage
	attempt int
}

// next returns messages that were left, or else new ones.
func (b *redisBus) next(ctx context.Context, group string) ([]delivery, error) {
	left, err := b.client.XPendingExt(ctx, &redis.XPendingExtArgs{
		Stream: stream, Group: group, Idle: retryDelay, Start: "-", End: "+", Count: prefetch,
	}).Result()
	if err != nil {
		return nil, err
	}
	if len(left) > 0 {
		return b.claim(ctx, group, left)
	}
	read, err := b.client.XReadGroup(ctx, &redis.XReadGroupArgs{
		Group: group, Consumer: b.consumer, Streams: []string{stream, ">"}, Count: prefetch, Block: blockTime,
	}).Result()
	if errors.Is(err, redis.Nil) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var deliveries []delivery
	for _, m := range read[0].Messages {
		deliveries = append(deliveries, delivery{m, 1})
	}
	return deliveries, nil
}

func (b *redisBus) claim(ctx context.Context, group string, left []redis.XPendingExt) ([]delivery, error) {
	attempts := map[string]int{}
	ids := make([]string, len(left))
	for i, pending := range left {
		ids[i] = pending.ID
		attempts[pending.ID] = int(pending.RetryCount) + 1
	}
	claimed, err := b.client.XClaim(ctx, &redis.XClaimArgs{
		Stream: stream, Group: group, Consumer: b.consumer, MinIdle: retryDelay, Messages: ids,
	}).Result()
	if err != nil {
		return nil, err
	}
	var deliveries []delivery
	for _, m := range claimed { // without those that another consumer was first to claim
		deliveries = append(deliveries, delivery{m, attempts[m.ID]})
	}
	return deliveries, nil
}

func (b *redisBus) handleAll(ctx context.Context, group string, deliveries []delivery, handle Handle) error {
	for i, d := range deliveries {
		body, _ := d.Values[field].(string)
		stop := b.keep(ctx, group, deliveries[i:])
		verdict := handle(ctx, []byte(body), d.attempt)
		stop()
		switch verdict {
		case Done:
			if err := b.client.XAck(ctx, stream, group, d.ID).Err(); err != nil {
				return err
			}
		case Dead:
			_, err := b.client.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
				pipe.XAdd(ctx, &redis.XAddArgs{Stream: deadStream(group), Values: []any{field, body}})
				pipe.XAck(ctx, stream, group, d.ID)
				return nil
			})
			if err != nil {
				return err
			}
		case Later: // it is idle from its delivery on
		case Left:
			return ctx.Err()
		}
	}
	return nil
}

func deadStream(group string) string { return stream + ".dead." + group }

// keep holds the messages until stop is called, and says so again and again.
func (b *redisBus) keep(ctx context.Context, group string, deliveries []delivery) (stop func()) {
	ids := make([]string, len(deliveries))
	for i, d := range deliveries {
		ids[i] = d.ID
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			pause(ctx, claimInterval)
			if ctx.Err() != nil {
				return
			}
			// Where it fails others take the messages, which does no harm.
			_ = b.client.XClaimJustID(ctx, &redis.XClaimArgs{Stream: stream, Group: group, Consumer: b.consumer, Messages: ids}).Err()
		}
	}()
	return func() { cancel(); <-ended }
}

// trim removes what all groups have acknowledged, and nothing while a group is missing.
func (b *redisBus) trim(ctx context.Context) error {
	groups, err := b.client.XInfoGroups(ctx, stream).Result()
	if err != nil {
		return err
	}
	oldest, known := "", 0
	for _, g := range groups {
		if _, ok := b.groups[g.Name]; ok {
			known++
		}
		id := g.LastDeliveredID
		if g.Pending > 0 {
			pending, err := b.client.XPending(ctx, stream, g.Name).Result()
			if err != nil {
				return err
			}
			if pending.Count > 0 {
				id = pending.Lower
			}
		}
		if oldest == "" || idBefore(id, oldest) {
			oldest = id
		}
	}
	if known < len(b.groups) {
		return nil
	}
	return b.client.XTrimMinIDApprox(ctx, stream, oldest, 0).Err()
}

// idBefore reports whether one id of a message is before another.
func idBefore(a, b string) bool {
	var aTime, aSequence, bTime, bSequence uint64
	_, _ = fmt.Sscanf(a, "%d-%d", &aTime, &aSequence)
	_, _ = fmt.Sscanf(b, "%d-%d", &bTime, &bSequence)
	return aTime < bTime || aTime == bTime && aSequence < bSequence
}

// leave removes the consumer from the group if it holds nothing; a name that holds
// something must stay until others have taken it.
func (b *redisBus) leave(ctx context.Context, group string) {
	pending, err := b.client.XPendingExt(ctx, &redis.XPendingExtArgs{
		Stream: stream, Group: group, Start: "-", End: "+", Count: 1, Consumer: b.consumer,
	}).Result()
	if err == nil && len(pending) == 0 {
		_ = b.client.XGroupDelConsumer(ctx, stream, group, b.consumer).Err()
	}
}
