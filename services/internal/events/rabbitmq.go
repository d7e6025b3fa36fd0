package events

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

const (
	exchange = "domain-events"
	// attemptHeader counts the deliveries of a message that its consumer gave back.
	attemptHeader = "x-attempt"
	// crashLimit is how many consumers may end over a message before it is dead.
	crashLimit = 20

	dialTimeout = 2 * time.Second
	heartbeat   = 5 * time.Second
	// openTimeout bounds how long the exchange and the queues are waited for, and
	// closeTimeout how long a farewell is: a broker can send heartbeats and answer nothing.
	openTimeout  = 10 * time.Second
	closeTimeout = time.Second
	// confirmTimeout bounds how long a consumer waits for the broker to have a message
	// that it moves to another queue.
	confirmTimeout = 10 * time.Second
)

// rabbitMQ is a topic exchange with a quorum queue for each group, and beside it one where
// messages rest until they are delivered again, and one for those that are given up.
type rabbitMQ struct {
	url    string
	groups map[string][]string

	publishing *rabbitLink // what Publish uses; nil until it does
}

// rabbitLink is a connection with a channel.
type rabbitLink struct {
	socket     net.Conn
	connection *amqp.Connection
	channel    *amqp.Channel
}

// cutAfter ends the link, and whatever waits for the broker on it, when ctx ends before stop
// is called. The library itself waits for as long as heartbeats come.
func (l *rabbitLink) cutAfter(ctx context.Context) (stop func() bool) {
	return context.AfterFunc(ctx, func() { _ = l.socket.Close() })
}

func (l *rabbitLink) close() {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	defer l.cutAfter(ctx)()
	_ = l.connection.Close()
}

func newRabbitMQ(groups map[string][]string, host string, port int, user, password string) *rabbitMQ {
	address := url.URL{Scheme: "amqp", User: url.UserPassword(user, password), Host: net.JoinHostPort(host, strconv.Itoa(port)), Path: "/"}
	return &rabbitMQ{url: address.String(), groups: groups}
}

// Publish implements Bus: the broker confirms a message once its queues have it on disk. It
// keeps a connection that took longer to open than it had time, for the next call.
func (b *rabbitMQ) Publish(ctx context.Context, messages []Message) (err error) {
	if b.publishing == nil || b.publishing.connection.IsClosed() {
		b.Close()
		if b.publishing, err = b.open(context.WithoutCancel(ctx)); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := b.publish(ctx, messages); err != nil {
		b.Close() // the next call begins anew
		return err
	}
	return nil
}

func (b *rabbitMQ) publish(ctx context.Context, messages []Message) (err error) {
	defer b.publishing.cutAfter(ctx)()
	confirmations := make([]*amqp.DeferredConfirmation, len(messages))
	for i, m := range messages {
		if confirmations[i], err = publish(ctx, b.publishing.channel, exchange, m.Type, m.Body, 1); err != nil {
			return err
		}
	}
	for _, confirmation := range confirmations {
		if err := confirmed(ctx, confirmation); err != nil {
			return err
		}
	}
	return nil
}

func publish(ctx context.Context, channel *amqp.Channel, exchange, key string, body []byte, attempt int) (*amqp.DeferredConfirmation, error) {
	return channel.PublishWithDeferredConfirmWithContext(ctx, exchange, key, false, false, amqp.Publishing{
		ContentType: "application/json", DeliveryMode: amqp.Persistent, Headers: amqp.Table{attemptHeader: int32(attempt)}, Body: body,
	})
}

func confirmed(ctx context.Context, confirmation *amqp.DeferredConfirmation) error {
	acknowledged, err := confirmation.WaitContext(ctx)
	if err == nil && !acknowledged {
		err = errors.New("the broker refused a message")
	}
	return err
}

// Close implements Bus.
func (b *rabbitMQ) Close() {
	if b.publishing != nil {
		b.publishing.close()
	}
	b.publishing = nil
}

// open connects and makes what is missing of the exchange and its queues.
func (b *rabbitMQ) open(ctx context.Context) (*rabbitLink, error) {
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	l := &rabbitLink{}
	dial := amqp.DefaultDial(dialTimeout)
	var err error
	l.connection, err = amqp.DialConfig(b.url, amqp.Config{Heartbeat: heartbeat, Dial: func(network, address string) (net.Conn, error) {
		l.socket, err = dial(network, address)
		return l.socket, err
	}})
	if err != nil {
		return nil, err
	}
	defer l.cutAfter(ctx)()
	l.channel, err = l.connection.Channel()
	if err == nil {
		err = errors.Join(l.channel.Confirm(false), b.declare(l.channel))
	}
	if err != nil {
		l.close()
		return nil, errors.Join(err, ctx.Err())
	}
	return l, nil
}

func (b *rabbitMQ) declare(channel *amqp.Channel) error {
	if err := channel.ExchangeDeclare(exchange, amqp.ExchangeTopic, true, false, false, false, nil); err != nil {
		return err
	}
	for group, types := range b.groups {
		if err := b.declareGroup(channel, group, types); err != nil {
			return fmt.Errorf("queues of %s: %w", group, err)
		}
	}
	return nil
}

func (b *rabbitMQ) declareGroup(channel *amqp.Channel, group string, types []string) error {
	for name, args := range map[string]amqp.Table{
		group:             deadLettersTo(deadQueue(group), amqp.Table{"x-delivery-limit": int32(crashLimit)}),
		retryQueue(group): deadLettersTo(group, amqp.Table{"x-message-ttl": int32(retryDelay.Milliseconds())}),
		deadQueue(group):  {},
	} {
		args["x-queue-type"] = "quorum"
		if _, err := channel.QueueDeclare(name, true, false, false, false, args); err != nil {
			return err
		}
	}
	for _, eventType := range types {
		if err := channel.QueueBind(group, eventType, exchange, false, nil); err != nil {
			return err
		}
	}
	return nil
}

func retryQueue(group string) string { return group + ".retry" }
func deadQueue(group string) string  { return group + ".dead" }

// deadLettersTo has a quorum queue keep what it moves to another queue until that one has
// it. The broker asks for the overflow that goes with it.
func deadLettersTo(queue string, args amqp.Table) amqp.Table {
	args["x-dead-letter-exchange"] = ""
	args["x-dead-letter-routing-key"] = queue
	args["x-dead-letter-strategy"] = "at-least-once"
	args["x-overflow"] = "reject-publish"
	return args
}

// Consume implements Bus. What is not settled when it ends goes back to the queue.
func (b *rabbitMQ) Consume(ctx context.Context, group string, handle Handle) error {
	l, err := b.open(ctx)
	if err != nil {
		return err
	}
	defer l.close()
	deliveries, err := l.consume(ctx, group)
	if err != nil {
		return err
	}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case d, ok := <-deliveries:
			if !ok {
				return errors.New("the connection is lost")
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
			attempt := 1
			if n, ok := d.Headers[attemptHeader].(int32); ok {
				attempt = int(n)
			}
			if err := settle(ctx, l, group, d, attempt, handle(ctx, d.Body, attempt)); err != nil {
				return err
			}
		}
	}
}

func (l *rabbitLink) consume(ctx context.Context, group string) (<-chan amqp.Delivery, error) {
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	defer l.cutAfter(ctx)()
	if err := l.channel.Qos(prefetch, 0, false); err != nil {
		return nil, err
	}
	return l.channel.Consume(group, "", false, false, false, false, nil)
}

// settle moves a message to the queue that its verdict names before it is acknowledged: a
// crash between the two leaves it twice, and never not at all.
func settle(ctx context.Context, l *rabbitLink, group string, d amqp.Delivery, attempt int, verdict Verdict) error {
	defer l.cutAfter(ctx)()
	queue := ""
	switch verdict {
	case Done:
		return d.Ack(false)
	case Left:
		return ctx.Err()
	case Later:
		queue = retryQueue(group)
	case Dead:
		queue = deadQueue(group)
	}
	ctx, cancel := context.WithTimeout(ctx, confirmTimeout)
	defer cancel()
	defer l.cutAfter(ctx)()
	confirmation, err := publish(ctx, l.channel, "", queue, d.Body, attempt+1)
	if err == nil {
		err = confirmed(ctx, confirmation)
	}
	if err != nil {
		return err
	}
	return d.Ack(false)
}
