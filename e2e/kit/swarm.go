package kit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/docker/docker/api/types/swarm"
)

// Swarm is a Docker Swarm of private engines, to do harm to: each is a machine of its own,
// with namespaces for network, mounts, host name and processes, and all hang on one bridge.
// The kernel has to have veth, bridge and VXLAN; without IPVS its services need endpoint
// mode dnsrr.
type Swarm struct {
	Nodes []*Node
	// bridge is a process whose network namespace holds the bridge.
	bridge *exec.Cmd
}

// Outside is the address of the bridge, which is on the network of the machines and none of
// them.
const Outside = "10.99.0.254"

// Node is a machine of a Swarm. The first ones are the managers.
type Node struct {
	*Engine

	// Hostname is as "node1", Addr as "10.99.0.1".
	Hostname, Addr string
	bridge         int    // the process of the bridge
	port, mac      string // of the bridge, and of the machine at it
	// ended is at its end when no process of the machine is left.
	ended *os.File
}

// NewSwarm starts the machines of a Swarm, which keep what they have in dir, and joins them.
// dir is short: sockets are in it. Whatever is returned is to be stopped.
func NewSwarm(ctx context.Context, dir string, managers, workers int) (*Swarm, error) {
	// Without an address of its own, the bridge takes another one when a port goes.
	s := &Swarm{bridge: exec.Command("unshare", "--net", "sh", "-c",
		"ip link add bridge address 02:00:00:00:00:fe type bridge && ip address add "+Outside+"/24 dev bridge && ip link set lo up && ip link set bridge up && echo ready && exec sleep infinity")}
	out, err := s.bridge.StdoutPipe()
	if err == nil {
		err = s.bridge.Start()
	}
	if err != nil {
		return s, fmt.Errorf("make a bridge: %w", err)
	}
	if _, err := out.Read(make([]byte, 1)); err != nil {
		return s, fmt.Errorf("make a bridge: %w", err)
	}
	for i := 1; i <= managers+workers; i++ {
		n := &Node{
			Hostname: fmt.Sprint("node", i), Addr: fmt.Sprint("10.99.0.", i),
			bridge: s.bridge.Process.Pid, port: fmt.Sprint("port", i), mac: fmt.Sprintf("02:00:00:00:00:%02x", i),
		}
		home := filepath.Join(dir, strconv.Itoa(i))
		if err := os.Mkdir(home, 0o700); err != nil {
			return s, err
		}
		if n.Engine, err = NewEngine(home, filepath.Join(home, "root")); err != nil {
			return s, err
		}
		s.Nodes = append(s.Nodes, n)
	}
	err = s.all(func(n *Node) error { return n.Start(ctx) })
	if err == nil {
		err = s.join(ctx, managers)
	}
	return s, err
}

// all does something on every node at a time.
func (s *Swarm) all(do func(*Node) error) error {
	failed := make([]error, len(s.Nodes))
	var doing sync.WaitGroup
	for i, n := range s.Nodes {
		doing.Go(func() { failed[i] = do(n) })
	}
	doing.Wait()
	return errors.Join(failed...)
}

// join makes the Swarm of the nodes.
func (s *Swarm) join(ctx context.Context, managers int) error {
	first := s.Nodes[0]
	if _, err := first.SwarmInit(ctx, swarm.InitRequest{ListenAddr: first.Addr + ":2377", AdvertiseAddr: first.Addr}); err != nil {
		return fmt.Errorf("make a Swarm: %w", err)
	}
	is, err := first.SwarmInspect(ctx)
	if err != nil {
		return fmt.Errorf("make a Swarm: %w", err)
	}
	for i, n := range s.Nodes[1:] {
		token := is.JoinTokens.Worker
		if i+1 < managers {
			token = is.JoinTokens.Manager
		}
		err := n.SwarmJoin(ctx, swarm.JoinRequest{ListenAddr: n.Addr + ":2377", AdvertiseAddr: n.Addr, RemoteAddrs: []string{first.Addr + ":2377"}, JoinToken: token})
		if err != nil {
			return fmt.Errorf("have %s join: %w", n.Hostname, err)
		}
	}
	return nil
}

// Leader returns the manager that leads.
func (s *Swarm) Leader(ctx context.Context) (*Node, error) {
	for _, asked := range s.Nodes {
		nodes, err := asked.NodeList(ctx, swarm.NodeListOptions{})
		if err != nil {
			continue // it is a worker, or does not run
		}
		for _, n := range nodes {
			for _, own := range s.Nodes {
				if n.ManagerStatus != nil && n.ManagerStatus.Leader && n.Description.Hostname == own.Hostname {
					return own, nil
				}
			}
		}
	}
	return nil, errors.New("the Swarm has no leader")
}

// Stop ends all machines, and removes the bridge.
func (s *Swarm) Stop() error {
	failed := s.all(func(n *Node) error { return errors.Join(n.Kill(), n.Close(), n.removeCgroups()) })
	if s.bridge.Process != nil {
		_ = s.bridge.Process.Kill()
		_ = s.bridge.Wait() // it was killed
	}
	return failed
}

// wire connects a machine to the bridge, from within its network namespace: $1 is the
// bridge's process, $2 the port, $3 the hardware address, $4 the address. The port of a
// machine that was killed may still be there. What follows becomes the machine.
const wire = `ip link set lo up
nsenter --net=/proc/$1/ns/net ip link delete $2 2>/dev/null
nsenter --net=/proc/$1/ns/net ip link add $2 type veth peer name eth0 address $3 netns $$ &&
nsenter --net=/proc/$1/ns/net ip link set $2 master bridge up &&
ip address add $4/24 dev eth0 && ip link set eth0 up &&
shift 4 && exec "$@"`

// boot is a machine's first process: $1 is the host name. The machine has a /run of its own,
// as its engine would find another one's containerd in the real one.
const boot = `hostname $1 && mount -t tmpfs tmpfs /run && shift && "$@" & wait $!`

// Start starts the machine, which may have run before, and waits until its engine answers.
func (n *Node) Start(ctx context.Context) error {
	read, write, err := os.Pipe()
	if err != nil {
		return err
	}
	defer write.Close()
	n.ended, n.inherited = read, []*os.File{write}
	return n.start(ctx, []string{"--cgroup-parent", n.cgroup()},
		"unshare", "--net", "sh", "-c", wire, "sh", strconv.Itoa(n.bridge), n.port, n.mac, n.Addr,
		"unshare", "--mount", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", boot, "sh", n.Hostname,
		"dockerd")
}

// Kill ends the machine and all that runs on it, as a power cut does. It may have ended already.
func (n *Node) Kill() error {
	if n.ended == nil {
		return nil // it does not run
	}
	err := n.Engine.Kill()
	_, gone := io.Copy(io.Discard, n.ended)
	err = errors.Join(err, gone, n.ended.Close())
	n.ended = nil
	return err
}

// Cut has nothing pass between two machines, until Heal.
func (n *Node) Cut(other *Node) error {
	return errors.Join(n.firewall("-I", other), other.firewall("-I", n))
}

// Heal undoes Cut.
func (n *Node) Heal(other *Node) error {
	return errors.Join(n.firewall("-D", other), other.firewall("-D", n))
}

func (n *Node) firewall(change string, other *Node) error {
	inside := append(n.Inside(), "iptables", "--wait", change, "INPUT", "--source", other.Addr, "--jump", "DROP")
	if out, err := exec.Command(inside[0], inside[1:]...).CombinedOutput(); err != nil {
		return fmt.Errorf("firewall of %s: %w: %s", n.Hostname, err, out)
	}
	return nil
}

// cgroup is the machine's own: what is left of containers that were killed is in it.
func (n *Node) cgroup() string {
	return fmt.Sprintf("/tend-swarm-%d-%s", n.bridge, n.Hostname)
}

// removeCgroups waits for the last processes to end.
func (n *Node) removeCgroups() error {
	ctx, cancel := Patience(context.Background(), time.Minute)
	defer cancel()
	return Await(ctx, func() error {
		var failed error
		// With cgroup v1 there is one for each controller.
		for _, pattern := range []string{"/sys/fs/cgroup%s/*/cgroup.procs", "/sys/fs/cgroup%s/cgroup.procs", "/sys/fs/cgroup/*%s/*/cgroup.procs", "/sys/fs/cgroup/*%s/cgroup.procs"} {
			files, err := filepath.Glob(fmt.Sprintf(pattern, n.cgroup()))
			failed = errors.Join(failed, err)
			for _, f := range files {
				if err := os.Remove(filepath.Dir(f)); !errors.Is(err, os.ErrNotExist) {
					failed = errors.Join(failed, err)
				}
			}
		}
		return failed
	})
}
