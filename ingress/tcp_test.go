package ingress_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/ingress"
	"github.com/tendhq/tend/ingress/holder"
)

func TestConnectionsAreShared(t *testing.T) {
	in := startIngress(t)
	a, b := startReplica(t, echo), startReplica(t, echo)
	in.tcp(a.ready(), b.ready())
	for range 10 {
		ask(t, dialTo(t, in.address()), "hello")
	}
	assert.EqualValues(t, 5, a.accepted.Load(), "the one with the fewest connections comes next")
	assert.EqualValues(t, 5, b.accepted.Load())
	s := in.await("all is counted", func(s ingress.Status) bool { return s.Total.BytesOut == 50 })
	assert.EqualValues(t, 10, s.Total.Connections)
	assert.EqualValues(t, 50, s.Total.BytesIn)
	assert.Equal(t, 5, openOf(s, a.id))
	var latency int64
	for _, n := range s.Total.Latency {
		latency += n
	}
	assert.EqualValues(t, 10, latency)
}

func TestEachPortOfARangeHasItsOwn(t *testing.T) {
	// Two free ports of one address, at which the ingress listens; the replica has
	// another address and the same ports.
	replicaPorts := []net.Listener{}
	var listen []string
	for range 2 {
		l, err := net.Listen("tcp", "127.0.0.2:0")
		require.NoError(t, err)
		defer l.Close()
		replicaPorts = append(replicaPorts, l)
		listen = append(listen, netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), l.Addr().(*net.TCPAddr).AddrPort().Port()).String())
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				fmt.Fprint(c, l.Addr())
				_ = c.Close()
			}
		}()
	}
	in := startIngress(t, listen...)
	in.tcp(ingress.Endpoint{ID: "a", Address: "127.0.0.2", State: ingress.Ready})
	for i, address := range listen {
		answer, err := exchange(address, "")
		require.NoError(t, err)
		assert.Equal(t, replicaPorts[i].Addr().String(), answer)
	}
}

// Each side may end its direction and go on receiving.
func TestHalfCloseIsKept(t *testing.T) {
	big := bytes.Repeat([]byte("0123456789abcdef"), 1<<18) // more than all buffers hold
	in := startIngress(t)
	t.Run("by the client", func(t *testing.T) {
		received := make(chan int64, 1)
		r := startReplica(t, func(c net.Conn) {
			n, err := io.Copy(io.Discard, c) // until the client's end
			assert.NoError(t, err)
			received <- n
			_, err = c.Write(big)
			assert.NoError(t, err)
		})
		in.tcp(r.ready())
		answer, err := exchange(in.address(), string(big))
		require.NoError(t, err)
		assert.EqualValues(t, len(big), <-received)
		assert.True(t, string(big) == answer)
	})
	t.Run("by the replica", func(t *testing.T) {
		received := make(chan int64, 1)
		r := startReplica(t, func(c net.Conn) {
			_, err := c.Write([]byte("done"))
			assert.NoError(t, err)
			assert.NoError(t, c.(*net.TCPConn).CloseWrite())
			n, _ := io.Copy(io.Discard, c)
			received <- n
		})
		in.tcp(r.ready())
		c := dialTo(t, in.address())
		answer, err := io.ReadAll(c)
		require.NoError(t, err)
		assert.Equal(t, "done", string(answer))
		_, err = c.Write(big)
		require.NoError(t, err)
		require.NoError(t, c.CloseWrite())
		assert.EqualValues(t, len(big), <-received)
	})
}

func TestAReceiverThatIsSlowLosesNothing(t *testing.T) {
	in := startIngress(t)
	r := startReplica(t, echo)
	in.tcp(r.ready())
	c := dialTo(t, in.address())
	const size = 32 << 20
	go func() {
		block := make([]byte, 1<<20)
		for i := range size >> 20 {
			for j := range block {
				block[j] = byte(i + j)
			}
			_, _ = c.Write(block)
			if i == 8 {
				time.Sleep(50 * time.Millisecond) // the buffers run empty once
			}
		}
		_ = c.CloseWrite()
	}()
	time.Sleep(100 * time.Millisecond) // the buffers run full
	n := 0
	block := make([]byte, 1<<20)
	for i := range size >> 20 {
		_, err := io.ReadFull(c, block)
		require.NoError(t, err)
		for j := range block {
			if block[j] != byte(i+j) {
				require.FailNow(t, "a byte differs", "at %d", n+j)
			}
		}
		n += len(block)
	}
	_, err := c.Read(block)
	assert.Equal(t, io.EOF, err)
}

// What was broken off must not look whole.
func TestABrokenConnectionIsBrokenOnTheOtherSide(t *testing.T) {
	in := startIngress(t)
	r := startReplica(t, func(c net.Conn) {
		_, _ = c.Write([]byte("half"))
		buffer := make([]byte, 1)
		_, _ = c.Read(buffer)
		_ = c.(*net.TCPConn).SetLinger(0) // a reset
	})
	in.tcp(r.ready())
	c := dialTo(t, in.address())
	half := make([]byte, 4)
	_, err := io.ReadFull(c, half)
	require.NoError(t, err)
	_, err = c.Write([]byte("x"))
	require.NoError(t, err)
	_, err = c.Read(half)
	assert.ErrorIs(t, err, syscall.ECONNRESET)
	in.await("it is no longer open", func(s ingress.Status) bool { return openOf(s, r.id) == 0 })
}

func TestProxyProtocolTellsTheClientsAddress(t *testing.T) {
	for _, listen := range []string{"127.0.0.1:0", "[::1]:0"} {
		t.Run(listen, func(t *testing.T) {
			in := startIngress(t, listen)
			r := startReplica(t, echo)
			in.apply(ingress.Config{Protocol: ingress.TCP, ProxyProtocol: true, Endpoints: []ingress.Endpoint{r.ready()}})
			c := dialTo(t, in.address())
			_, err := c.Write([]byte("hello"))
			require.NoError(t, err)
			require.NoError(t, c.CloseWrite())
			text, err := io.ReadAll(c)
			require.NoError(t, err)

			require.Equal(t, "\r\n\r\n\x00\r\nQUIT\n\x21", string(text[:13]))
			length := int(binary.BigEndian.Uint16(text[14:16]))
			addresses, rest := text[16:16+length], text[16+length:]
			assert.Equal(t, "hello", string(rest))
			size, family := 4, byte(0x11)
			if listen[0] == '[' {
				size, family = 16, 0x21
			}
			assert.Equal(t, family, text[13])
			from, _ := netip.AddrFromSlice(addresses[:size])
			to, _ := netip.AddrFromSlice(addresses[size : 2*size])
			ports := addresses[2*size:]
			assert.Equal(t, c.LocalAddr().String(), netip.AddrPortFrom(from, binary.BigEndian.Uint16(ports)).String())
			assert.Equal(t, c.RemoteAddr().String(), netip.AddrPortFrom(to, binary.BigEndian.Uint16(ports[2:])).String())
		})
	}
}

func TestConnectionsAreHeldWhileNoneIsReady(t *testing.T) {
	in := startIngress(t)
	r := startReplica(t, echo)
	in.tcp(r.draining())
	answers := make(chan error, 20)
	for range cap(answers) {
		go func() {
			answer, err := exchange(in.address(), "hello")
			if err == nil && answer != "hello" {
				err = fmt.Errorf("answer %q", answer)
			}
			answers <- err
		}()
	}
	in.await("all are held", func(s ingress.Status) bool { return s.Held == cap(answers) })
	assert.Zero(t, r.accepted.Load())
	in.tcp(r.ready())
	for range cap(answers) {
		require.NoError(t, <-answers)
	}
}

// A replica that was killed refuses connections until tend has noticed.
func TestAFailedDialGoesElsewhereOrWaits(t *testing.T) {
	in := startIngress(t)
	dead, alive := startReplica(t, echo), startReplica(t, echo)
	require.NoError(t, dead.listener.Close())
	in.tcp(dead.ready(), alive.ready())
	for range 20 {
		answer, err := exchange(in.address(), "hello")
		require.NoError(t, err)
		require.Equal(t, "hello", answer)
	}

	in.tcp(dead.ready())
	answer := make(chan error, 1)
	go func() {
		_, err := exchange(in.address(), "hello")
		answer <- err
	}()
	in.await("it is held", func(s ingress.Status) bool { return s.Held == 1 })
	again, err := net.Listen("tcp", dead.listener.Addr().String()) // it was started again
	require.NoError(t, err)
	defer again.Close()
	c, err := again.Accept()
	require.NoError(t, err)
	_, err = io.Copy(io.Discard, c) // what is not read would make the end a reset
	require.NoError(t, err)
	require.NoError(t, c.Close())
	assert.NoError(t, <-answer)
}

func TestADrainingEndpointKeepsItsConnections(t *testing.T) {
	in := startIngress(t)
	old, young := startReplica(t, echo), startReplica(t, echo)
	in.tcp(old.ready())
	c := dialTo(t, in.address())
	ask(t, c, "one")
	s := in.tcp(old.draining(), young.ready())
	assert.Equal(t, 1, openOf(s, old.id), "told together with the acknowledgement")
	for range 5 {
		_, err := exchange(in.address(), "hello")
		require.NoError(t, err)
	}
	assert.EqualValues(t, 1, old.accepted.Load(), "nothing new")
	ask(t, c, "two")
	// Removed altogether, it still keeps what it has.
	s = in.tcp(young.ready())
	assert.Equal(t, 1, openOf(s, old.id))
	ask(t, c, "three")
	require.NoError(t, c.Close())
	in.await("it has none left", func(s ingress.Status) bool {
		return openOf(s, old.id) == 0 && len(s.Endpoints) == 1
	})
}

// tcpLoad makes connections one after the other, and notes each that is not answered.
func tcpLoad(in *running) *load {
	address := in.address()
	return startLoad(func(worker, i int) error {
		text := fmt.Sprintf("%d of %d", i, worker)
		answer, err := exchange(address, text)
		if err == nil && answer != text {
			err = fmt.Errorf("%q was answered by %q", text, answer)
		}
		return err
	})
}

// replace replaces the only replica as tend does: the new one is there before the old
// one goes, which ends only when nothing is left on it.
func replace(t *testing.T, in *running, old *replica, apply func(...ingress.Endpoint) ingress.Status, start func() *replica) *replica {
	young := start()
	apply(old.ready(), young.ready())
	apply(old.draining(), young.ready())
	in.await("the old one is drained", func(s ingress.Status) bool { return openOf(s, old.id) == 0 })
	require.NoError(t, old.listener.Close())
	apply(young.ready())
	return young
}

func TestNoConnectionIsLostWhileReplicasChange(t *testing.T) {
	in := startIngress(t)
	r := startReplica(t, echo)
	in.tcp(r.ready())
	l := tcpLoad(in)
	for range 20 {
		r = replace(t, in, r, in.tcp, func() *replica { return startReplica(t, echo) })
		l.pass(t, 100)
	}
	n, errs := l.stop()
	assert.Empty(t, errs, "of %d connections", n)
}

func TestNoConnectionIsLostInAnUpgrade(t *testing.T) {
	in := startIngress(t)
	kept, r := startReplica(t, echo), startReplica(t, echo)
	in.tcp(kept.ready())
	long := dialTo(t, in.address())
	ask(t, long, "one")
	apply := func(endpoints ...ingress.Endpoint) ingress.Status {
		return in.tcp(append(endpoints, kept.draining())...)
	}
	apply(r.ready())
	l := tcpLoad(in)
	for i := range 3 {
		in.upgrade(fmt.Sprintf("version-%d", i))
		l.pass(t, 200)
		r = replace(t, in, r, apply, func() *replica { return startReplica(t, echo) })
		l.pass(t, 200)
	}
	n, errs := l.stop()
	assert.Empty(t, errs, "of %d connections", n)
	ask(t, long, "two")
	assert.Zero(t, in.last().Restarts)
}

func TestAnUpgradeLeavesConnectionsWhereTheyAre(t *testing.T) {
	in := startIngress(t)
	r := startReplica(t, echo)
	in.tcp(r.ready())
	long := dialTo(t, in.address())
	ask(t, long, "one")
	in.upgrade("version-1")
	in.upgrade("version-2")
	ask(t, long, "two")
	s := in.await("both proxies serve", func(s ingress.Status) bool { return s.Proxies == 2 && openOf(s, r.id) == 1 })
	assert.Zero(t, s.Restarts)
	// The proxy of the executable before still follows.
	other := startReplica(t, echo)
	s = in.tcp(r.draining(), other.ready())
	assert.Equal(t, 1, openOf(s, r.id))
	require.NoError(t, long.Close())
	in.await("the one before has ended", func(s ingress.Status) bool { return s.Proxies == 1 && openOf(s, r.id) == 0 })
	assert.Len(t, in.proxies(), 1)
}

func TestAnUpgradeThatFailsChangesNothing(t *testing.T) {
	in := startIngress(t)
	r := startReplica(t, echo)
	in.tcp(r.ready())
	broken := filepath.Join(t.TempDir(), "broken")
	for _, script := range []string{"", "#!/bin/sh\nexit 7\n"} {
		if script != "" {
			require.NoError(t, os.WriteFile(broken, []byte(script), 0o755))
		}
		in.send(ingress.Request{Upgrade: broken})
		s := in.await("it says so", func(s ingress.Status) bool { return s.Error != "" })
		assert.Contains(t, s.Error, broken)
		answer, err := exchange(in.address(), "hello")
		require.NoError(t, err)
		assert.Equal(t, "hello", answer)
		s = in.tcp(r.ready())
		assert.Empty(t, s.Error)
		assert.Zero(t, s.Restarts)
	}
}

func TestAKilledProxyTakesOnlyItsConnectionsAlong(t *testing.T) {
	in := startIngress(t)
	r := startReplica(t, echo)
	in.tcp(r.ready())
	cut := dialTo(t, in.address())
	ask(t, cut, "one")
	l := startLoad(func(int, int) error {
		_, err := exchange(in.address(), "hello")
		var op *net.OpError
		if errors.As(err, &op) && op.Op == "dial" {
			return err // refused: the listener was closed
		}
		return nil
	})
	for i := range 3 {
		l.pass(t, 200)
		pids := in.proxies()
		require.Len(t, pids, 1)
		require.NoError(t, syscall.Kill(pids[0], syscall.SIGKILL))
		in.await("the next one serves", func(s ingress.Status) bool {
			return s.Restarts == i+1 && s.Proxies == 1 && s.Generation == in.generation
		})
		l.pass(t, 200)
		time.Sleep(time.Second) // so that it does not count as one that does not work
	}
	n, errs := l.stop()
	assert.Empty(t, errs, "of %d connections", n)
	_, err := cut.Read(make([]byte, 1))
	assert.Error(t, err, "those through it are cut")
	s := in.await("it counts on", func(s ingress.Status) bool { return s.Total.Connections > 1000 })
	assert.Empty(t, s.Error)
}

func TestARestartGoesOnWithTheLastConfiguration(t *testing.T) {
	state := filepath.Join(t.TempDir(), "config.json")
	r := startReplica(t, echo)
	in := startIngressAt(t, state)
	in.tcp(r.ready())
	in.stop()
	in = startIngressAt(t, state)
	require.NoError(t, in.input.Close()) // nobody speaks to it
	answer, err := exchange(in.address(), "hello")
	require.NoError(t, err)
	assert.Equal(t, "hello", answer)
	require.Eventually(t, func() bool {
		s, err := holder.Ask(state)
		require.NoError(t, err)
		require.Zero(t, s.Heard, "tend has not spoken to it")
		return s.Proxies == 1
	}, patience, 10*time.Millisecond)
}

func TestTheEndWaitsForConnections(t *testing.T) {
	in := startIngress(t)
	r := startReplica(t, echo)
	in.tcp(r.ready())
	c := dialTo(t, in.address())
	ask(t, c, "one")
	require.NoError(t, in.cmd.Process.Signal(syscall.SIGTERM))
	require.Eventually(t, func() bool {
		c, err := net.Dial("tcp", in.address())
		if err == nil {
			_ = c.Close()
		}
		return errors.Is(err, syscall.ECONNREFUSED)
	}, patience, 10*time.Millisecond)
	ask(t, c, "two")
	require.NoError(t, c.Close())
	in.stop()
}

func TestALineThatWasCutOffIsIgnored(t *testing.T) {
	in := startIngress(t)
	r := startReplica(t, echo)
	in.tcp(r.ready())
	_, err := in.input.Write([]byte(`{"config":{"generation":99,"prot`)) // tend was killed
	require.NoError(t, err)
	in.tcp(r.ready())
	in.send(ingress.Request{Config: &ingress.Config{Generation: 100, Protocol: "udp"}})
	s := in.await("it refuses what it cannot do", func(s ingress.Status) bool { return s.Error != "" })
	assert.Contains(t, s.Error, `protocol "udp"`)
	assert.Equal(t, in.generation, s.Generation)
}
