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
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/tendhq/tend/controller/spec/load"
)

type named struct {
	Name string `json:"name"`
	Key  string `json:"key,omitempty"`
}

type configMapRefs struct {
	ConfigMapRefs []named `json:"configMapRefs,omitempty"`
}

type probeTiming struct {
	InitialDelaySeconds int32 `json:"initialDelaySeconds,omitempty"`
	PeriodSeconds       int32 `json:"periodSeconds,omitempty"`
	TimeoutSeconds      int32 `json:"timeoutSeconds,omitempty"`
	SuccessThreshold    int32 `json:"successThreshold,omitempty"`
	FailureThreshold    int32 `json:"failureThreshold,omitempty"`
}

// postgresCluster has the fields that are written of those that a Cluster has:
// https://github.com/cloudnative-pg/cloudnative-pg/blob/v1.30.0/api/v1/cluster_types.go
type postgresCluster struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		Instances             int               `json:"instances"`
		ImageName             string            `json:"imageName,omitempty"`
		ImagePullPolicy       corev1.PullPolicy `json:"imagePullPolicy,omitempty"`
		EnableSuperuserAccess *bool             `json:"enableSuperuserAccess,omitempty"`
		SuperuserSecret       *named            `json:"superuserSecret,omitempty"`
		InheritedMetadata     struct {
			Labels      map[string]string `json:"labels,omitempty"`
			Annotations map[string]string `json:"annotations,omitempty"`
		} `json:"inheritedMetadata"`
		Bootstrap struct {
			InitDB struct {
				Database                   string         `json:"database"`
				Owner                      string         `json:"owner"`
				Secret                     named          `json:"secret"`
				LocaleCollate              string         `json:"localeCollate,omitempty"`
				LocaleCType                string         `json:"localeCType,omitempty"`
				PostInitSQLRefs            *configMapRefs `json:"postInitSQLRefs,omitempty"`
				PostInitApplicationSQLRefs *configMapRefs `json:"postInitApplicationSQLRefs,omitempty"`
			} `json:"initdb"`
		} `json:"bootstrap"`
		Storage struct {
			Size resource.Quantity `json:"size"`
		} `json:"storage"`
		Resources                 corev1.ResourceRequirements `json:"resources,omitempty"`
		EphemeralVolumesSizeLimit *struct {
			Shm resource.Quantity `json:"shm"`
		} `json:"ephemeralVolumesSizeLimit,omitempty"`
		Postgresql struct {
			Parameters             map[string]string `json:"parameters,omitempty"`
			SharedPreloadLibraries []string          `json:"shared_preload_libraries,omitempty"`
		} `json:"postgresql,omitempty"`
		Probes struct {
			Startup   *probeTiming `json:"startup,omitempty"`
			Readiness *probeTiming `json:"readiness,omitempty"`
			Liveness  *probeTiming `json:"liveness,omitempty"`
		} `json:"probes,omitempty"`
		Affinity struct {
			NodeSelector map[string]string `json:"nodeSelector,omitempty"`
		} `json:"affinity,omitempty"`
		StopDelay            int32  `json:"stopDelay,omitempty"`
		SmartShutdownTimeout *int32 `json:"smartShutdownTimeout,omitempty"`
	} `json:"spec"`
}

// gateway and httpRoute have the same of their kinds:
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
	for name, p := range c.postgres {
		initdb := p.Spec.Bootstrap.InitDB
		require.Contains(t, c.secrets, initdb.Secret.Name, name)
		assert.Equal(t, corev1.SecretTypeBasicAuth, c.secrets[initdb.Secret.Name].Type, name)
		for _, refs := range []*configMapRefs{initdb.PostInitSQLRefs, initdb.PostInitApplicationSQLRefs} {
			if refs != nil {
				for _, ref := range refs.ConfigMapRefs {
					require.Contains(t, c.configs, ref.Name, name)
					assert.Contains(t, c.configs[ref.Name].Data, ref.Key, name)
				}
			}
		}
		primary := map[string]string{"cnpg.io/cluster": name, "cnpg.io/instanceRole": "primary"}
		require.Contains(t, c.services, name)
		assert.Equal(t, primary, c.services[name].Spec.Selector, name)
		for _, port := range c.services[name].Spec.Ports {
			assert.Equal(t, 5432, port.TargetPort.IntValue(), name)
		}
		for key := range p.Spec.InheritedMetadata.Labels {
			if network, ok := strings.CutPrefix(key, labelNetwork); ok {
				assert.Contains(t, c.policies, "network."+network, name)
			}
		}
		assert.Contains(t, c.policies, "cluster."+name, "the operator is let in")
	}
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

// Each story is a project and what an alternative changes of its export: the objects that are
// new, those that are gone, and the keys that lose their counterpart.
func TestAlternativesAreExportedAsTheirStoriesSay(t *testing.T) {
	for _, alternative := range []Alternative{CloudNativePG, GatewayAPI} {
		t.Run(string(alternative), func(t *testing.T) {
			path := filepath.Join("testdata", "alternatives", string(alternative)+".txtar")
			story, err := txtar.ParseFile(path)
			require.NoError(t, err)
			dir := t.TempDir()
			story.Files = slices.DeleteFunc(story.Files, func(f txtar.File) bool { return slices.Contains([]string{"objects", "gone", "unsupported"}, f.Name) })
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
			var gone, unsupported strings.Builder
			for _, o := range plain.Objects {
				if !slices.ContainsFunc(result.Objects, func(other Object) bool { return o.Kind == other.Kind && o.Name == other.Name }) {
					fmt.Fprintf(&gone, "%s %s\n", o.Kind, o.Name)
				}
			}
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
			for _, u := range result.Unsupported {
				if !slices.Contains(plain.Unsupported, u) {
					fmt.Fprintf(&unsupported, "%s %s: %s\n", u.Service, u.Key, u.Reason)
				}
			}
			story.Files = append(story.Files, txtar.File{Name: "objects", Data: []byte(objects)}, txtar.File{Name: "gone", Data: []byte(gone.String())}, txtar.File{Name: "unsupported", Data: []byte(unsupported.String())})
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
