package kubernetes

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/tools/txtar"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/yaml"

	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/controller/spec/load"
)

var update = flag.Bool("update", false, "write what is exported into the stories")

// Each story is a project, with what it is exported as and what of it has no counterpart.
func TestProjectsAreExportedAsTheirStoriesSay(t *testing.T) {
	for name, dir := range stories(t, "testdata") {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join("testdata", name+".txtar")
			story, err := txtar.ParseFile(path)
			require.NoError(t, err)
			story.Files = slices.DeleteFunc(story.Files, func(f txtar.File) bool { return slices.Contains(told, f.Name) })
			story.Files = append(story.Files, tell(t, dir)...)
			after := txtar.Format(story)
			if *update {
				require.NoError(t, os.WriteFile(path, after, 0o644))
			}
			before, err := os.ReadFile(path)
			require.NoError(t, err)
			assert.Equal(t, string(before), string(after))
		})
	}
}

// The repository's own project is exported as testdata/shop.golden says, but for no secret.
func TestTheShopIsExported(t *testing.T) {
	const golden = "testdata/shop.golden"
	after := txtar.Format(&txtar.Archive{Files: tell(t, shop(t))})
	assert.NotContains(t, string(after), shopSecret)
	if *update {
		require.NoError(t, os.WriteFile(golden, after, 0o644))
	}
	before, err := os.ReadFile(golden)
	require.NoError(t, err)
	assert.Equal(t, string(before), string(after), "go test . -update writes it anew")
}

// told are the files in which a story says what its project is exported as.
var told = []string{"objects", "unsupported"}

// tell exports the project in a folder, and returns what a story says of it. Revisions differ
// by the folder.
func tell(t *testing.T, dir string) []txtar.File {
	t.Helper()
	p, err := loaded(dir, load.Options{Name: "shop"})
	require.NoError(t, err)
	r := exported(t, p)
	check(t, r)
	stream, err := r.Stream()
	require.NoError(t, err)
	text := string(stream)
	for _, w := range p.Workloads {
		if w.Revision != "" {
			text = strings.ReplaceAll(text, w.Revision, "REVISION")
			text = strings.ReplaceAll(text, "-"+revision(w), "-revision")
		}
	}
	var lines strings.Builder
	for _, u := range r.Unsupported {
		fmt.Fprintf(&lines, "%s %s: %s\n", u.Service, u.Key, u.Reason)
	}
	return []txtar.File{{Name: told[0], Data: []byte(text)}, {Name: told[1], Data: []byte(lines.String())}}
}

func write(t *testing.T, path string, content []byte) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(t, os.WriteFile(path, content, 0o644))
}

// cluster are objects as Kubernetes reads them, by name.
type cluster struct {
	deployments  map[string]*appsv1.Deployment
	statefulSets map[string]*appsv1.StatefulSet
	jobs         map[string]*batchv1.Job
	services     map[string]*corev1.Service
	secrets      map[string]*corev1.Secret
	configs      map[string]*corev1.ConfigMap
	claims       map[string]*corev1.PersistentVolumeClaim
	autoscalers  map[string]*autoscalingv2.HorizontalPodAutoscaler
	budgets      map[string]*policyv1.PodDisruptionBudget
	ingresses    map[string]*networkingv1.Ingress
	policies     map[string]*networkingv1.NetworkPolicy
	postgres     map[string]*postgresCluster
	gateways     map[string]*gateway
	routes       map[string]*httpRoute
}

// read decodes objects into Kubernetes' own types, which know every field.
func read(t require.TestingT, r Result) (c cluster) {
	for _, o := range r.Objects {
		text, err := encode(o.fields)
		require.NoError(t, err)
		switch o.Kind {
		case "Deployment":
			decode(t, o, text, &c.deployments)
		case "StatefulSet":
			decode(t, o, text, &c.statefulSets)
		case "Job":
			decode(t, o, text, &c.jobs)
		case "Service":
			decode(t, o, text, &c.services)
		case "Secret":
			decode(t, o, text, &c.secrets)
		case "ConfigMap":
			decode(t, o, text, &c.configs)
		case "PersistentVolumeClaim":
			decode(t, o, text, &c.claims)
		case "HorizontalPodAutoscaler":
			decode(t, o, text, &c.autoscalers)
		case "PodDisruptionBudget":
			decode(t, o, text, &c.budgets)
		case "Ingress":
			decode(t, o, text, &c.ingresses)
		case "NetworkPolicy":
			decode(t, o, text, &c.policies)
		case "Cluster":
			decode(t, o, text, &c.postgres)
		case "Gateway":
			decode(t, o, text, &c.gateways)
		case "HTTPRoute":
			decode(t, o, text, &c.routes)
		default:
			require.Fail(t, "no such kind: "+o.Kind)
		}
	}
	return c
}

func decode[T any](t require.TestingT, o Object, text []byte, all *map[string]*T) {
	into := new(T)
	require.NoError(t, yaml.UnmarshalStrict(text, into), "%s %s:\n%s", o.Kind, o.Name, text)
	if *all == nil {
		*all = map[string]*T{}
	}
	require.NotContains(t, *all, o.Name, "two objects of one kind and name: %s", o.Kind)
	(*all)[o.Name] = into
}

// check holds objects to the rules of Kubernetes that types do not say, and to each other.
func check(t require.TestingT, r Result) cluster {
	c := read(t, r)
	for _, o := range r.Objects {
		if o.Kind == "Service" {
			assert.Empty(t, validation.IsDNS1035Label(o.Name), "the name of a Service")
		}
		assert.Empty(t, validation.IsDNS1123Subdomain(o.Name), "the name of %s", o.Kind)
	}
	for name, d := range c.deployments {
		checkTemplate(t, c, name, d.Spec.Template)
		checkSelector(t, d.Spec.Selector, d.Spec.Template)
		assert.Greater(t, *d.Spec.ProgressDeadlineSeconds, d.Spec.MinReadySeconds, name)
	}
	for name, s := range c.statefulSets {
		for _, claimed := range s.Spec.VolumeClaimTemplates {
			s.Spec.Template.Spec.Volumes = append(s.Spec.Template.Spec.Volumes, corev1.Volume{Name: claimed.Name})
		}
		checkTemplate(t, c, name, s.Spec.Template)
		checkSelector(t, s.Spec.Selector, s.Spec.Template)
		assert.Contains(t, c.services, s.Spec.ServiceName, name)
	}
	for name, j := range c.jobs {
		checkTemplate(t, c, name, j.Spec.Template)
		assert.Contains(t, []corev1.RestartPolicy{corev1.RestartPolicyNever, corev1.RestartPolicyOnFailure}, j.Spec.Template.Spec.RestartPolicy, name)
		for service, s := range c.services {
			assert.False(t, selects(s.Spec.Selector, j.Spec.Template.Labels), "%s sends to the Job %s", service, name)
		}
	}
	for name, i := range c.ingresses {
		for _, rule := range i.Spec.Rules {
			to := rule.HTTP.Paths[0].Backend.Service
			require.Contains(t, c.services, to.Name, name)
			assert.True(t, slices.ContainsFunc(c.services[to.Name].Spec.Ports, func(p corev1.ServicePort) bool { return p.Port == to.Port.Number }), name)
		}
	}
	for name, a := range c.autoscalers {
		assert.Contains(t, c.deployments, a.Spec.ScaleTargetRef.Name, name)
		for _, container := range c.deployments[a.Spec.ScaleTargetRef.Name].Spec.Template.Spec.Containers {
			for _, m := range a.Spec.Metrics {
				assert.Contains(t, container.Resources.Requests, m.Resource.Name, "%s: what a metric is a percentage of", name)
			}
		}
	}
	for name, s := range c.secrets {
		delete(s.Data, corev1.BasicAuthUsernameKey) // which is no secret
		assert.Empty(t, s.Data, name)
		assert.Empty(t, s.StringData, name)
	}
	checkAlternatives(t, c)
	return c
}

func checkSelector(t require.TestingT, selector *metav1.LabelSelector, template corev1.PodTemplateSpec) {
	assert.NotEmpty(t, selector.MatchLabels)
	assert.True(t, selects(selector.MatchLabels, template.Labels))
}

func selects(selector, labels map[string]string) bool {
	for key, value := range selector {
		if labels[key] != value {
			return false
		}
	}
	return true
}

// checkTemplate holds a template to what it refers to.
func checkTemplate(t require.TestingT, c cluster, name string, template corev1.PodTemplateSpec) {
	for key, value := range template.Labels {
		assert.Empty(t, validation.IsQualifiedName(key), name)
		assert.Empty(t, validation.IsValidLabelValue(value), name)
	}
	for key := range template.Annotations {
		assert.Empty(t, validation.IsQualifiedName(strings.ToLower(key)), name)
	}
	volumes := map[string]bool{}
	for _, v := range template.Spec.Volumes {
		assert.Empty(t, validation.IsDNS1123Label(v.Name), name)
		assert.False(t, volumes[v.Name], "%s has two volumes %s", name, v.Name)
		volumes[v.Name] = true
		if v.ConfigMap != nil {
			assert.Contains(t, c.configs, v.ConfigMap.Name, name)
		}
		if v.Secret != nil {
			assert.Contains(t, c.secrets, v.Secret.SecretName, name)
		}
	}
	for _, container := range append(template.Spec.InitContainers, template.Spec.Containers...) {
		assert.Empty(t, validation.IsDNS1123Label(container.Name), name)
		for _, m := range container.VolumeMounts {
			assert.True(t, volumes[m.Name], "%s mounts %s, which is no volume of it", name, m.Name)
		}
		for _, v := range container.Env {
			if v.ValueFrom != nil {
				assert.Contains(t, c.secrets, v.ValueFrom.SecretKeyRef.Name, name)
			}
		}
		for resource, request := range container.Resources.Requests {
			if limit, ok := container.Resources.Limits[resource]; ok {
				assert.LessOrEqual(t, request.Cmp(limit), 0, "%s requests more %s than it may have", name, resource)
			}
		}
	}
}

// A config that is no text is exported byte by byte.
func TestAConfigMayBeBinary(t *testing.T) {
	content := []byte{0xff, 0x00, '\n'}
	w := &spec.Workload{Name: "web", Kind: spec.Deployment}
	w.Template.Configs = []types.ServiceConfigObjConfig{{Source: "key"}}
	p := &spec.Project{Name: "shop", Workloads: map[string]*spec.Workload{"web": w}, Configs: types.Configs{"key": {}}}
	c := check(t, Export(p, map[string][]byte{"key": content}))
	assert.Equal(t, content, c.configs["key"].BinaryData["key"])
}
