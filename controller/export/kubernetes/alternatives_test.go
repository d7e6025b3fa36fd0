package kubernetes

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/tools/txtar"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/tendhq/tend/controller/spec/load"
)

type named struct {
	Name string `json:"name"`
}

// gateway and httpRoute have the fields that are written of those that their kinds have:
// https://github.com/kubernetes-sigs/gateway-api/tree/v1.6.1/apis/v1
type gateway struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		GatewayClassName string `json:"gatewayClassName"`
		Listeners        []struct {
			Name     string `json:"name"`
			Port     int32  `json:"port"`
			Protocol string `json:"protocol"`
		} `json:"listeners"`
	} `json:"spec"`
}

type httpRoute struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		ParentRefs []named  `json:"parentRefs"`
		Hostnames  []string `json:"hostnames,omitempty"`
		Rules      []struct {
			BackendRefs []struct {
				Name string `json:"name"`
				Port int32  `json:"port"`
			} `json:"backendRefs"`
		} `json:"rules"`
	} `json:"spec"`
}

// checkAlternatives holds the objects of other projects than Kubernetes to what they refer to.
func checkAlternatives(t require.TestingT, c cluster) {
	for name, r := range c.routes {
		require.Contains(t, c.gateways, r.Spec.ParentRefs[0].Name, name)
		backend := r.Spec.Rules[0].BackendRefs[0]
		require.Contains(t, c.services, backend.Name, name)
		assert.Contains(t, servicePorts(c.services[backend.Name]), backend.Port, name)
	}
}

func servicePorts(s *corev1.Service) (all []int32) {
	for _, p := range s.Spec.Ports {
		all = append(all, p.Port)
	}
	return all
}

// Each story is a project, with what an alternative has it exported as and what of it has no
// counterpart, where that is not so without it.
func TestAlternativesAreExportedAsTheirStoriesSay(t *testing.T) {
	for _, alternative := range []Alternative{GatewayAPI} {
		t.Run(string(alternative), func(t *testing.T) {
			path := filepath.Join("testdata", "alternatives", string(alternative)+".txtar")
			story, err := txtar.ParseFile(path)
			require.NoError(t, err)
			dir := t.TempDir()
			story.Files = slices.DeleteFunc(story.Files, func(f txtar.File) bool { return f.Name == "objects" || f.Name == "unsupported" })
			for _, f := range story.Files {
				write(t, filepath.Join(dir, f.Name), f.Data)
			}
			p, err := load.Project(context.Background(), load.Options{ProjectDirectory: dir, Name: "shop", IngressImage: "tend/ingress"})
			require.NoError(t, err)
			contents := map[string][]byte{}
			for key, config := range p.Configs {
				contents[key] = []byte(config.Content)
			}
			plain, result := Export(p, contents), Export(p, contents, alternative)
			check(t, result)
			result.Objects = slices.DeleteFunc(result.Objects, func(o Object) bool {
				return slices.ContainsFunc(plain.Objects, func(other Object) bool { return reflect.DeepEqual(o, other) })
			})
			stream, err := result.Stream()
			require.NoError(t, err)
			objects := string(stream) // revisions differ by the folder
			for _, w := range p.Workloads {
				if w.Revision != "" {
					objects = strings.ReplaceAll(objects, w.Revision, "REVISION")
					objects = strings.ReplaceAll(objects, "-"+revision(w), "-revision")
				}
			}
			var unsupported strings.Builder
			for _, u := range result.Unsupported {
				if !slices.Contains(plain.Unsupported, u) {
					fmt.Fprintf(&unsupported, "%s %s: %s\n", u.Service, u.Key, u.Reason)
				}
			}
			story.Files = append(story.Files, txtar.File{Name: "objects", Data: []byte(objects)}, txtar.File{Name: "unsupported", Data: []byte(unsupported.String())})
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
