package load

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/controller/spec/syntax"
)

// maxReplicas bounds spec.replicas. It is far more than one machine runs, and keeps a
// slip of the finger from taking the machine down.
const maxReplicas = 1000

// document is one document of a spec file. A nil field was not written.
type document struct {
	file string
	root *yaml.Node

	kind spec.Kind
	name string

	replicas             *int
	autoscaling          *spec.Autoscaling
	strategy             *spec.StrategyType
	maxSurge             *spec.Amount
	maxUnavailable       *spec.Amount
	minReady             *time.Duration
	progressDeadline     *time.Duration
	revisionHistoryLimit *int
	paused               *bool
	onFailure            *spec.OnFailure
	drain                *time.Duration
	probes               spec.Probes
	preRollout           []spec.Hook
	engine               *string
	backup               *spec.Backup
	backoffLimit         *int
	activeDeadline       *time.Duration
	template             *yaml.Node
}

// problem returns an Error at a path of the document, or at its deepest part
// that was written.
func (d *document) problem(path ...string) *spec.Error {
	node, _ := find(d.root, path...)
	return &spec.Error{File: d.file, Line: node.Line, Column: node.Column, Workload: d.name}
}

// decodeSpecs decodes the documents of one spec file strictly.
func decodeSpecs(file string, content []byte) ([]*document, spec.Errors) {
	roots, problems := syntax.Parse(file, content)
	var documents []*document
	for _, root := range roots {
		d := decoder{document: &document{file: file, root: expand(root)}}
		d.decode()
		documents = append(documents, d.document)
		problems = append(problems, d.problems...)
	}
	return documents, problems
}

// decoder fills a document and collects the mistakes in it.
type decoder struct {
	*document
	problems spec.Errors
}

// fields are the known keys of a mapping, each with the function that reads its value.
type fields map[string]func(name string, value *yaml.Node)

func (d *decoder) decode() {
	d.mapping("the document", d.root, fields{
		"apiVersion": func(name string, n *yaml.Node) { d.oneOf(name, n, spec.APIVersion) },
		"kind": func(name string, n *yaml.Node) {
			d.kind = spec.Kind(d.oneOf(name, n, string(spec.Deployment), string(spec.Database), string(spec.Job)))
		},
		"metadata": func(name string, n *yaml.Node) {
			d.mapping(name, n, fields{
				"name": func(name string, n *yaml.Node) { d.name = d.text(name, n, "write the name of a Compose service") },
			}, "name")
		},
		// spec is read last, because its fields follow from the kind.
		"spec": func(string, *yaml.Node) {},
	}, "apiVersion", "kind", "metadata", "spec")
	if _, body := syntax.Entry(d.root, "spec"); body != nil && d.kind != "" {
		known := map[spec.Kind]func() (fields, []string){
			spec.Deployment: d.deploymentFields, spec.Database: d.databaseFields, spec.Job: d.jobFields,
		}
		allowed, required := known[d.kind]()
		d.mapping("spec", body, allowed, required...)
	}
	for _, p := range d.problems {
		p.Workload = d.name
	}
}

func (d *decoder) deploymentFields() (fields, []string) {
	known := fields{
		"replicas":    func(name string, n *yaml.Node) { d.replicas = d.count(name, n, 0, maxReplicas) },
		"autoscaling": d.readAutoscaling,
		"strategy": func(name string, n *yaml.Node) {
			d.mapping(name, n, fields{
				"type": func(name string, n *yaml.Node) {
					if s := spec.StrategyType(d.oneOf(name, n, string(spec.RollingUpdate), string(spec.Recreate))); s != "" {
						d.strategy = &s
					}
				},
				"rollingUpdate": func(name string, n *yaml.Node) {
					d.mapping(name, n, fields{
						"maxSurge":       func(name string, n *yaml.Node) { d.maxSurge = d.amount(name, n, 999) },
						"maxUnavailable": func(name string, n *yaml.Node) { d.maxUnavailable = d.amount(name, n, 100) },
					})
				},
			})
			d.checkStrategy()
		},
		"minReadySeconds":         func(name string, n *yaml.Node) { d.minReady = d.seconds(name, n, 0) },
		"progressDeadlineSeconds": func(name string, n *yaml.Node) { d.progressDeadline = d.seconds(name, n, 1) },
		"revisionHistoryLimit":    func(name string, n *yaml.Node) { d.revisionHistoryLimit = d.count(name, n, 0, maxReplicas) },
		"paused":                  func(name string, n *yaml.Node) { d.paused = d.boolean(name, n) },
		"onFailure":               d.readOnFailure,
		"drainSeconds":            func(name string, n *yaml.Node) { d.drain = d.seconds(name, n, 0) },
		"preRollout":              d.readHooks,
		"template":                d.readTemplate,
	}
	maps.Copy(known, d.probeFields())
	return known, nil
}

func (d *decoder) databaseFields() (fields, []string) {
	known := fields{
		"engine": func(name string, n *yaml.Node) {
			e := d.oneOf(name, n, "postgres")
			d.engine = &e
		},
		"replicas": func(name string, n *yaml.Node) {
			if r := d.count(name, n, 0, maxReplicas); r != nil && *r != 1 {
				d.fail(n, "two servers on one volume destroy it; a Database has exactly one replica",
					"replicas of a Database must be 1, not %d", *r)
			}
		},
		"progressDeadlineSeconds": func(name string, n *yaml.Node) { d.progressDeadline = d.seconds(name, n, 1) },
		"onFailure":               d.readOnFailure,
		"backup":                  d.readBackup,
		"template":                d.readTemplate,
	}
	maps.Copy(known, d.probeFields())
	return known, []string{"engine"}
}

func (d *decoder) jobFields() (fields, []string) {
	return fields{
		"backoffLimit":          func(name string, n *yaml.Node) { d.backoffLimit = d.count(name, n, 0, maxReplicas) },
		"activeDeadlineSeconds": func(name string, n *yaml.Node) { d.activeDeadline = d.seconds(name, n, 1) },
		"template":              d.readTemplate,
	}, nil
}

func (d *decoder) checkStrategy() {
	path := []string{"spec", "strategy", "rollingUpdate"}
	if d.strategy != nil && *d.strategy == spec.Recreate {
		if n, depth := find(d.root, path...); depth == len(path) {
			d.fail(n, "remove it, or set type: RollingUpdate", "rollingUpdate has no meaning with type: Recreate")
		}
	}
	if d.maxSurge != nil && d.maxSurge.IsZero() && d.maxUnavailable != nil && d.maxUnavailable.IsZero() {
		n, _ := find(d.root, path...)
		d.fail(n, "set one of them to at least 1", "maxSurge and maxUnavailable are both 0, so that no replica could ever be replaced")
	}
}

// readTemplate refuses the keys that belong elsewhere; Compose judges the rest.
func (d *decoder) readTemplate(name string, n *yaml.Node) {
	if n.Kind != yaml.MappingNode {
		d.wrongType(name, n, "a mapping of Compose service keys")
		return
	}
	d.template = n
	for _, misplaced := range []struct {
		path []string
		hint string
	}{
		{[]string{"scale"}, "set spec.replicas"},
		{[]string{"deploy", "replicas"}, "set spec.replicas"},
		{[]string{"deploy", "update_config"}, "set spec.strategy, spec.minReadySeconds and spec.onFailure"},
		{[]string{"profiles"}, "set it in compose.yaml"},
		{[]string{"extends"}, "set it in compose.yaml"},
		{[]string{spec.ExtensionKey}, "set it in compose.yaml"},
	} {
		if key, depth := find(n, misplaced.path...); depth == len(misplaced.path) {
			d.fail(key, misplaced.hint, "%s cannot be set in a template", strings.Join(misplaced.path, "."))
		}
	}
}

// mapping reads a mapping whose keys are all known.
func (d *decoder) mapping(name string, n *yaml.Node, known fields, required ...string) {
	if n.Kind != yaml.MappingNode {
		d.wrongType(name, n, "a mapping")
		return
	}
	for i := 0; i < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		read := known[key.Value]
		if read == nil {
			names := slices.Sorted(maps.Keys(known))
			hint := "known here: " + strings.Join(names, ", ")
			if meant := syntax.Nearest(key.Value, names); meant != "" {
				hint = fmt.Sprintf("did you mean %q?", meant)
			}
			d.fail(key, hint, "unknown field %q in %s", key.Value, name)
			continue
		}
		read(key.Value, value)
	}
	for _, r := range required {
		if key, _ := syntax.Entry(n, r); key == nil {
			d.fail(n, "add it", "%s lacks %q", name, r)
		}
	}
}

// expand returns a copy of a node with each alias replaced by the node that it names.
// syntax.Parse has bounded its size.
func expand(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return expand(n.Alias)
	}
	expanded := *n
	expanded.Anchor = ""
	expanded.Content = make([]*yaml.Node, len(n.Content))
	for i, child := range n.Content {
		expanded.Content[i] = expand(child)
	}
	return &expanded
}
