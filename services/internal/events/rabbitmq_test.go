package events_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"io"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tendhq/tend/services/internal/events"
	"github.com/tendhq/tend/services/internal/testenv"
)

// deafBroker passes connections on to a broker. While deaf is set, what clients ask on them
// does not arrive, and heartbeats do in both directions, as with a broker whose queues hang.
type deafBroker struct {
	listener net.Listener
	broker   string
	deaf     atomic.Bool
	open     sync.WaitGroup
}

func newDeafBroker(t *testing.T, broker string) *deafBroker {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := &deafBroker{listener: l, broker: broker}
	d.open.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			d.open.Go(func() { d.pass(client) })
		}
	})
	t.Cleanup(func() { _ = l.Close(); d.open.Wait() })
	return d
}

func (d *deafBroker) port() string {
	return strconv.Itoa(d.listener.Addr().(*net.TCPAddr).Port)
}

func (d *deafBroker) pass(client net.Conn) {
	defer client.Close()
	broker, err := net.Dial("tcp", d.broker)
	if err != nil {
		return
	}
	defer broker.Close()
	d.open.Go(func() {
		defer client.Close()
		_, _ = io.Copy(client, broker)
	})
	d.passFrames(bufio.NewReader(client), broker)
}

// passFrames passes on the frames of AMQP 0-9-1: a type, a channel, the size of the rest, the
// rest and an octet.
func (d *deafBroker) passFrames(client io.Reader, broker io.Writer) {
	const protocolHeader, frameHeader, heartbeat = 8, 7, 8
	if _, err := io.CopyN(broker, client, protocolHeader); err != nil {
		return
	}
	for {
		frame := make([]byte, frameHeader)
		if _, err := io.ReadFull(client, frame); err != nil {
			return
		}
		frame = append(frame, make([]byte, binary.BigEndian.Uint32(frame[3:])+1)...)
		if _, err := io.ReadFull(client, frame[frameHeader:]); err != nil {
			return
		}
		if d.deaf.Load() && frame[0] != heartbeat {
			continue
		}
		if _, err := broker.Write(frame); err != nil {
			return
		}
	}
}

// A broker that goes on with its heartbeats and answers nothing, neither to what is published
// nor to a farewell nor to a new connection, holds nobody up.
func TestABrokerThatAnswersNothingIsLeft(t *testing.T) {
	rabbit := testenv.StartRabbitMQ(t)
	e := newEnv(t, rabbit, nil)
	broker := newDeafBroker(t, net.JoinHostPort("127.0.0.1", strconv.Itoa(rabbit.Port)))
	e.busEnv["EVENT_BUS_PORT"] = broker.port()
	bus := e.bus()
	stopConsumer := e.consumer("all", effect)
	publish(t, bus, message(t, "thing.made", 1))
	e.await("all", "1")

	broker.deaf.Store(true)
	for _, when := range []string{"on the connection that is open", "on a new one"} {
		published := make(chan error, 1)
		go func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			published <- bus.Publish(ctx, []events.Message{message(t, "thing.made", 2)})
		}()
		select {
		case err := <-published:
			if err == nil {
				t.Fatalf("what nobody took is said to be published, %s", when)
			}
		case <-time.After(30 * time.Second):
			t.Fatalf("a publisher waits for the broker for good, %s", when)
		}
	}
	stopConsumer()

	broker.deaf.Store(false)
	e.consumer("all", effect)
	publish(t, bus, message(t, "thing.made", 2))
	e.await("all", "1 2")
}
