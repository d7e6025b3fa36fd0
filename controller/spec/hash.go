package spec

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
)

// SetHashes sets the hashes and revisions of a project that is otherwise complete.
func (p *Project) SetHashes() error {
	for name, n := range p.Networks {
		hash, err := sum(n.Config)
		if err != nil {
			return fmt.Errorf("hash network %s: %w", n.Key, err)
		}
		n.ConfigHash = hash
		p.Networks[name] = n
	}
	for name, v := range p.Volumes {
		config := v.Config
		if config.Driver == "" {
			config.Driver = "local" // as Compose's VolumeHash
		}
		hash, err := sum(config)
		if err != nil {
			return fmt.Errorf("hash volume %s: %w", v.Key, err)
		}
		v.ConfigHash = hash
		p.Volumes[name] = v
	}
	for _, w := range p.Workloads {
		hash, err := serviceHash(w.Template)
		if err != nil {
			return fmt.Errorf("hash service %s: %w", w.Name, err)
		}
		w.ConfigHash = hash
	}
	contents := contents{}
	for _, name := range slices.Sorted(maps.Keys(p.Workloads)) {
		if err := p.revise(p.Workloads[name], contents); err != nil {
			return err
		}
	}
	return nil
}

// serviceHash is Compose's ServiceHash:
// https://github.com/docker/compose/blob/v2.40.3/pkg/compose/hash.go
func serviceHash(s types.ServiceConfig) (string, error) {
	s.PullPolicy = ""
	s.Scale = nil
	if s.Deploy != nil {
		deploy := *s.Deploy
		deploy.Replicas = nil
		s.Deploy = &deploy
	}
	s.DependsOn = nil
	s.Profiles = nil
	return sum(s)
}

// ingredients are all that a container is made from.
type ingredients struct {
	Service types.ServiceConfig
	// Files are the hashes of the secrets and configs that the container gets.
	Files map[string]string `json:",omitempty"`
	// Dependencies are the revisions of the workloads that this one is replaced with.
	Dependencies map[string]string `json:",omitempty"`
	// Probes are a Deployment's: its replicas may fail under other probes, so a change
	// of them is rolled out, and rolled back. A Database is not replaced for them.
	Probes *Probes `json:",omitempty"`
	// Direct is true where it is written that the containers publish their ports: whoever
	// writes it, or takes it back, wants other containers.
	Direct bool `json:",omitempty"`
}

// revise sets the revision of a workload, after the revisions of the workloads that it
// is replaced with; depends_on has no cycles.
func (p *Project) revise(w *Workload, contents contents) error {
	if w.Revision != "" {
		return nil
	}
	in := ingredients{Service: containerTemplate(w), Files: map[string]string{}, Dependencies: map[string]string{}}
	in.Direct = directAsked(w.Template) && len(w.Template.Ports) > 0
	if w.Kind == Deployment && w.Probes.Any() {
		in.Probes = &w.Probes
	}
	for _, s := range w.Template.Secrets {
		in.Files["secret "+s.Source] = contents.hash(types.FileObjectConfig(p.Secrets[s.Source]))
	}
	for _, c := range w.Template.Configs {
		in.Files["config "+c.Source] = contents.hash(types.FileObjectConfig(p.Configs[c.Source]))
	}
	for _, d := range w.DependsOn {
		if !d.Restart {
			continue
		}
		target := p.Workloads[d.Name]
		if err := p.revise(target, contents); err != nil {
			return err
		}
		in.Dependencies[d.Name] = target.Revision
	}
	hash, err := sum(in)
	if err != nil {
		return fmt.Errorf("hash the template of %s: %w", w.Name, err)
	}
	w.Revision = hash[:16]
	return nil
}

// containerTemplate is the part of a service that a container is made from, without the
// number of replicas and the order of a rollout.
func containerTemplate(w *Workload) types.ServiceConfig {
	s := w.Template
	if w.Kind == Ingress {
		return w.Backend.container(s)
	}
	s.PullPolicy = ""
	s.Scale = nil
	s.DependsOn = nil
	s.Profiles = nil
	s.LabelFiles = nil // read into Labels
	s.Develop = nil
	s.Attach = nil
	s.Restart = "" // a container's restart policy is changed in place
	s.Image = w.Image
	if deploy := s.Deploy; deploy != nil {
		// Only the resources of deploy reach a container.
		s.Deploy = nil
		if r := deploy.Resources; r.Limits != nil || r.Reservations != nil {
			s.Deploy = &types.DeployConfig{Resources: r}
		}
	}
	return s
}

// contents are the hashes of the files of secrets and configs that were read, as many
// workloads may share one file.
type contents map[string]string

// hash is the hash of a secret's or config's content, or "" where the file cannot be
// read: the engine may be able to read it, and reports an error otherwise. compose-go has put
// the value of an environment variable into Content.
func (c contents) hash(o types.FileObjectConfig) string {
	if o.File == "" {
		return sumOf(strings.NewReader(o.Content))
	}
	hash, known := c[o.File]
	if !known {
		if info, err := os.Stat(o.File); err == nil && info.Mode().IsRegular() { // reading another kind of file may never end
			if f, err := os.Open(o.File); err == nil {
				hash = sumOf(f)
				_ = f.Close() // nothing was written
			}
		}
		c[o.File] = hash
	}
	return hash
}

// sumOf is the hex SHA-256 of all that a reader gives, or "" where reading fails.
func sumOf(r io.Reader) string {
	hash := sha256.New()
	if _, err := io.Copy(hash, r); err != nil {
		return ""
	}
	return hex.EncodeToString(hash.Sum(nil))
}

// sum is the hex SHA-256 of a value's JSON, which encoding/json writes with
// sorted map keys.
func sum(v any) (string, error) {
	content, err := json.Marshal(v)
	if err != nil {
		return "", err
	}
	hash := sha256.Sum256(content)
	return hex.EncodeToString(hash[:]), nil
}
