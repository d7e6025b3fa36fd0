package simulate

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/tendhq/tend/controller/engine/model"
	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/controller/spec/load"
	"github.com/tendhq/tend/controller/swarm/convert"
)

const project = "shop"

// The workloads: Deployments with a secret and a config (web), with a hook and a dependency
// (api), with a volume (store) and on each node, with a volume there (agent), a Database (db)
// and a Job (seed).
var names = []string{"agent", "api", "db", "seed", "store", "web"}

// written is what people have written.
type written struct {
	// images are the tags by workload; a workload without one is not written.
	images map[string]string
	// replicas are the numbers of web, api, seed and store.
	replicas map[string]int
	// token and motd are the contents of the secret and the config of web.
	token, motd string
	// hook is what the hook of api does: an image of that name; empty where it has none.
	hook string
	// surge has web updated by one more, and keep leaves it as it is where that fails.
	surge, keep bool
}

// images are those that work, but for what bad says, and how their containers behave.
var images = map[string]model.Behavior{
	"web:1": {}, "web:2": {}, "web:3": {HealthCheck: true, HealthAfter: 8 * time.Second},
	"web:exits": {Exits: true, After: time.Second, Code: 3}, "web:sick": {HealthCheck: true, Sick: true},
	"db:1": {HealthCheck: true, HealthAfter: 3 * time.Second}, "db:2": {StopAfter: 5 * time.Second}, "db:3": {StopAfter: 90 * time.Second},
	"db:exits": {Exits: true, After: time.Second, Code: 1},
	"store:1":  {}, "store:2": {StopAfter: 5 * time.Second}, "store:3": {StopAfter: 4 * time.Minute}, "store:exits": {Exits: true, After: time.Second, Code: 1},
	"seed:1": {Exits: true, After: 2 * time.Second}, "seed:2": {Exits: true, After: 20 * time.Second}, "seed:exits": {Exits: true, After: time.Second, Code: 1},
	"hook:migrate": {Exits: true, After: 3 * time.Second}, "hook:fails": {Exits: true, After: time.Second, Code: 1}, "hook:hangs": {},
}

// bad reports whether an image does not work: its tag says so, and one of absent is missing.
func bad(image string) bool {
	_, tag, _ := strings.Cut(image, ":")
	return tag == "exits" || tag == "sick" || tag == "absent"
}

// tags are those to choose from, by workload.
var tags = map[string][]string{
	"web": {"1", "2", "3", "exits", "sick", "absent"}, "api": {"1", "2", "3", "exits", "absent"}, "agent": {"1", "2", "3", "exits", "sick", "absent"}, "store": {"1", "2", "3", "3", "exits"},
	"db": {"1", "2", "3", "exits"}, "seed": {"1", "2", "exits"},
}

func (w *written) image(name string) string {
	of := name
	if name == "api" || name == "agent" {
		of = "web"
	}
	return of + ":" + w.images[name]
}

// deadline is the progressDeadlineSeconds of all.
const deadline = 60 * time.Second

// texts are the Compose file and the specs.
func (w *written) texts() (compose, specs string) {
	var c, s strings.Builder
	s.WriteString("# specs\n")
	completions := w.replicas["seed"]
	if w.images["seed"] == "exits" {
		completions = 1 // Swarm tries several for ever, as each one's end is a reason to look at the others
	}
	stores := w.replicas["store"]
	if bad(w.image("store")) {
		stores = 1 // no task at all would be a revision that works
	}
	// A node that leaves for good has nobody's only data.
	const stays = `, deploy: {placement: {constraints: [node.hostname != node6]}}`
	more := map[string]string{
		"agent": `, volumes: ["own:/own"], deploy: {mode: global}`,
		"seed":  fmt.Sprintf(", scale: %d", completions),
		"web":   `, secrets: [token], configs: [motd]`, "store": `, stop_grace_period: 5m, volumes: ["files:/files"]` + stays, "db": `, volumes: ["data:/var/lib/postgresql/data"]` + stays,
	}
	if w.images["db"] != "" {
		more["api"] = `, depends_on: {db: {condition: service_healthy}}`
	}
	fields := map[string]string{
		"agent": "progressDeadlineSeconds: 60, minReadySeconds: 1",
		"web":   fmt.Sprintf("replicas: %d, progressDeadlineSeconds: 60, minReadySeconds: 2", w.replicas["web"]),
		"api":   fmt.Sprintf("replicas: %d, progressDeadlineSeconds: 60", w.replicas["api"]), "store": fmt.Sprintf("replicas: %d, progressDeadlineSeconds: 60", stores),
		"db": "progressDeadlineSeconds: 60, engine: postgres, backup: {beforeUpdate: false}", "seed": "backoffLimit: 1",
	}
	surge := map[bool]string{true: "maxSurge: 1, maxUnavailable: 0", false: "maxSurge: 0, maxUnavailable: 1"}
	fields["web"] += ", strategy: {rollingUpdate: {" + surge[w.surge] + "}}"
	if w.keep {
		fields["web"] += ", onFailure: pause"
	}
	if w.hook != "" {
		fields["api"] += fmt.Sprintf(", preRollout: [{name: prepare, command: [%s], timeoutSeconds: 30}]", w.hook)
	}
	kinds := map[string]string{"db": "Database", "seed": "Job"}
	c.WriteString("services:\n")
	for _, name := range names {
		if w.images[name] == "" {
			continue
		}
		kind := "Deployment"
		if kinds[name] != "" {
			kind = kinds[name]
		}
		fmt.Fprintf(&c, "  %s: {image: %q%s}\n", name, w.image(name), more[name])
		fmt.Fprintf(&s, "---\napiVersion: tend/v1\nkind: %s\nmetadata: {name: %s}\nspec: {%s}\n", kind, name, fields[name])
	}
	fmt.Fprintf(&c, "volumes: {data: {}, files: {}, own: {}}\nsecrets: {token: {file: ./token-%s}}\nconfigs: {motd: {content: %s}}\n", w.token, w.motd)
	return c.String(), s.String()
}

// contents are those of a secret or config.
var contents = []string{"red", "green", "blue"}

// folder is the project's, for all histories; load reads what is written into it.
type folder struct {
	dir string
	mu  sync.Mutex
	all map[string]*spec.Project
}

// newFolder makes the project's folder.
func newFolder() (*folder, error) {
	dir, err := os.MkdirTemp("", "simulate")
	if err != nil {
		return nil, err
	}
	for _, c := range contents {
		err = os.WriteFile(filepath.Join(dir, "token-"+c), []byte(c), 0o600)
	}
	return &folder{dir: dir, all: map[string]*spec.Project{}}, err
}

func (f *folder) load(w *written) (*spec.Project, error) {
	compose, specs := w.texts()
	f.mu.Lock()
	defer f.mu.Unlock()
	if p := f.all[compose+specs]; p != nil {
		return p, nil
	}
	err := os.WriteFile(filepath.Join(f.dir, "compose.yaml"), []byte(compose), 0o600)
	if err == nil {
		err = os.MkdirAll(filepath.Join(f.dir, "specs"), 0o700)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(f.dir, "specs", "all.yaml"), []byte(specs), 0o600)
	}
	if err != nil {
		return nil, err
	}
	p, err := load.Project(context.Background(), load.Options{ProjectDirectory: f.dir, Name: project, IngressImage: "tend/ingress", Adapt: convert.Adapt})
	if err != nil {
		return nil, err
	}
	f.all[compose+specs] = p
	return p, nil
}
