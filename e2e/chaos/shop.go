package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/tendhq/tend/api"
	"github.com/tendhq/tend/api/client"
	"github.com/tendhq/tend/e2e/kit"
)

// project is the name of the shop's copy.
const project = "chaos"

// services are those that are scaled and updated, databases those with data.
var (
	services  = []string{"user-service", "product-service", "order-service", "payment-service"}
	databases = []string{"user-db", "product-db", "order-db", "payment-db", "notification-db"}
)

// store is a service of compose.yaml alone, without a spec.
const store = "store"

// redisEvents is a service of the shop with a volume of its own.
const redisEvents = "redis-events"

// binds are the folders that a service writes to: the engine's events do not tell
// of them, as they do of volumes.
var binds = map[string][]string{store: {"./store"}}

// replicas is how many of a workload there are when nobody has changed it;
// fewer than in the repository's specs, as for a machine that does other things.
var replicas = map[string]int{
	"gateway": 1, "redis-cache": 1, redisEvents: 1, "user-service": 2, "product-service": 3, "order-service": 2, "payment-service": 2,
	"user-db": 1, "product-db": 1, "order-db": 1, "payment-db": 1, "notification-db": 1,
	"notification-service": 1, "mailbox": 1, "web": 1,
	store: 1,
}

// gatewayIngress holds the gateway's port.
const gatewayIngress = "gateway:127.0.0.1:8080"

// maxReplicas bounds the number of replicas that a service is scaled to.
const maxReplicas = 4

// surgeOf is how many replicas of a workload there may be more than wanted.
func surgeOf(workload string) int {
	if workload == store || workload == redisEvents || slices.Contains(databases, workload) {
		return 0
	}
	return 1
}

// tendAddress is where the gateway reads the endpoints: tend runs outside the
// containers, on the network's own address.
const tendAddress = "10.66.0.1:7071"

// override fits the shop to its surroundings. Back-offs begin anew after half a
// minute instead of ten: nobody could wait for them after each round. Health
// checks have time, as what is to be seen is not how slow the machine is. The store
// is at a revision.
func override(revision int) string {
	var b strings.Builder
	b.WriteString("networks:\n  frontend: {ipam: {config: [{subnet: 10.66.0.0/24, gateway: 10.66.0.1}]}}\nservices:\n")
	for _, name := range slices.Sorted(maps.Keys(replicas)) {
		fmt.Fprintf(&b, "  %s:\n    deploy: {replicas: %d, restart_policy: {delay: 2s, window: 30s}}\n", name, replicas[name])
		switch name {
		case store:
			fmt.Fprintf(&b, "    image: redis:7-bookworm\n    command: [redis-server, --appendonly, \"yes\"]\n    environment: {CHAOS_REVISION: \"%d\"}\n", revision)
			b.WriteString("    healthcheck: {test: [CMD, redis-cli, ping], interval: 10s, timeout: 20s}\n")
			b.WriteString("    networks: [database]\n    volumes: [\"store-data:/data\", /anonymous, \"./store:/folder\"]\n")
		case "gateway":
			fmt.Fprintf(&b, "    environment: {TEND_ENDPOINTS_URL: %q}\n", "http://"+tendAddress)
			fmt.Fprintf(&b, "    volumes: [\"%s:/run/tend/token:ro\"]\n", filepath.Join(dataDirOf(".."), api.TokenFile(api.Reader)))
			fallthrough
		default:
			b.WriteString("    healthcheck: {interval: 10s, timeout: 20s}\n")
		}
	}
	b.WriteString("volumes:\n  store-data: {}\n")
	return b.String()
}

// writeProject writes a copy of the shop.
func writeProject(ctx context.Context, repository, dir string) error {
	shop := kit.Shop{Repository: repository, Dir: dir, Project: project, Override: override(0), Fit: fit}
	return errors.Join(shop.Write(ctx), os.Mkdir(filepath.Join(dir, store), 0o755))
}

// fit fits a spec to its surroundings.
func fit(service, spec string) string {
	spec = kit.Set(spec, "replicas", replicas[service])
	spec = kit.Set(spec, "timeoutSeconds", 5)
	spec = strings.ReplaceAll(spec, "    failureThreshold: 5\n", "    failureThreshold: 30\n") // of the liveness probes
	return kit.Set(spec, "progressDeadlineSeconds", 240)
}

func overrideOf(dir string) string { return filepath.Join(dir, "compose.override.yaml") }

// specs are the spec files of the copy, which people edit, and its Compose file.
type specs struct {
	dir   string
	judge *judge

	mu       sync.Mutex // held while the folder is away, too
	original map[string]string
	// valid is what stands, or stood before it was made invalid.
	valid    map[string]string
	revision int
}

func readSpecs(dir string, j *judge) (*specs, error) {
	s := &specs{dir: filepath.Join(dir, "project"), judge: j}
	var err error
	s.original, err = kit.Specs(s.dir)
	s.valid = maps.Clone(s.original)
	return s, err
}

// save puts a spec in the place of the one before.
func (s *specs) save(name, content string) error {
	return kit.Replace(kit.SpecFile(s.dir, name), content)
}

// saveStore puts a Compose file with the store at a revision in the place of the one
// before.
func (s *specs) saveStore(revision int) error {
	return kit.Replace(overrideOf(s.dir), override(revision))
}

// replace saves a file as editors do.
// write saves a valid spec.
func (s *specs) write(name, content string) error {
	s.valid[name] = content
	s.judge.wrote(name, kit.Replicas(content))
	return s.save(name, content)
}

func (s *specs) scale(name string, n int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.write(name, kit.Set(s.valid[name], "replicas", n))
}

// update gives a workload a revision that nobody has seen before.
func (s *specs) update(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.revision++
	if name == store {
		return s.saveStore(s.revision)
	}
	before, _, _ := strings.Cut(s.valid[name], "  template:")
	template := fmt.Sprintf("environment: {CHAOS_REVISION: %q}", fmt.Sprint(s.revision))
	if slices.Contains(databases, name) {
		template = fmt.Sprintf("command: [postgres, -c, work_mem=%dkB]", 4096+s.revision)
	}
	return s.write(name, before+"  template: {"+template+"}\n")
}

// spoil makes a spec invalid for as long as a pause lasts.
func (s *specs) spoil(rng *rand.Rand, name string, during func() error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	valid := s.valid[name]
	broken := []string{
		valid[:len(valid)/2] + "\n\t- [",
		kit.Set(valid, "replicas", "many"),
		strings.Replace(valid, "tend/v1", "tend/v9", 1),
		valid + "  nonsense: true\n",
	}[rng.IntN(4)]
	done := s.judge.excuse("a spec is invalid")
	defer done()
	if err := s.save(name, broken); err != nil {
		return err
	}
	return errors.Join(during(), s.save(name, valid))
}

// hide takes the folder away for as long as a pause lasts.
func (s *specs) hide(during func() error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	specs := filepath.Join(s.dir, "specs")
	if err := os.Rename(specs, specs+".away"); err != nil {
		return err
	}
	return errors.Join(during(), os.Rename(specs+".away", specs))
}

// restore writes all as it was.
func (s *specs) restore() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	errs := []error{s.saveStore(0)}
	for name, content := range s.original {
		errs = append(errs, s.write(name, content))
	}
	return errors.Join(errs...)
}

// dataDirOf is where tend keeps its data and its socket.
func dataDirOf(dir string) string { return filepath.Join(dir, "data", "tend") }

// workloads asks tend how the workloads are.
func workloads(ctx context.Context, dir string) ([]api.Workload, error) {
	tend, err := client.Dial(dataDirOf(dir))
	if err != nil {
		return nil, err
	}
	list, err := tend.Workloads(ctx)
	return list.Items, err
}
