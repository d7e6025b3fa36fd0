//go:build all

package kubernetes

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/api/resource"
	"pgregory.net/rapid"
	"sigs.k8s.io/yaml"

	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/controller/spec/load"
)

// A real API server takes what is exported, strictly checked, and returns it as it was written:
// so does the one that is built, and one of the oldest version that it can stand for.
func TestTheAPIServerTakesWhatIsExported(t *testing.T) {
	for _, version := range []string{"1.34", "1.31"} {
		t.Run(version, func(t *testing.T) { startAPIServer(t, version).takesAll(t) })
	}
}

func (s *apiServer) takesAll(t *testing.T) {
	t.Run("the shop", func(t *testing.T) {
		p, err := loaded(shop(t), load.Options{})
		require.NoError(t, err)
		s.takes(t, s.namespace(t, nil), p)
	})
	for kind, names := range peoplesProjects {
		for _, name := range names {
			t.Run(kind+"/"+name, func(t *testing.T) {
				p, err := loaded(peoplesProject(t, name), load.Options{Profiles: []string{"*"}})
				require.NoError(t, err)
				s.takes(t, s.namespace(t, nil), p)
			})
		}
	}
	for _, folder := range []string{"testdata", loadStories} {
		for name, dir := range stories(t, folder) {
			if p, err := loaded(dir, load.Options{Name: "shop"}); err == nil { // it is no story of a mistake
				t.Run(name, func(t *testing.T) { s.takes(t, s.namespace(t, nil), p) })
			}
		}
	}
	t.Run("kinds of other projects", s.takesAlternatives)
	t.Run("any Deployment", s.takesAnyDeployment)
	t.Run("values of Secrets", s.keepsValuesOfSecrets)
	t.Run("restricted", s.admitsRestricted)
	t.Run("mistakes", s.refusesMistakes)
}

// takes exports a project into a namespace: each object is tried first, as kubectl apply
// --dry-run=server does, then applied, read, and applied again.
func (s *apiServer) takes(t *testing.T, namespace string, p *spec.Project, alternatives ...Alternative) {
	r := exported(t, p, alternatives...)
	for _, o := range r.Objects {
		text, tree := readable(t, o)
		collection, err := s.collection(t, tree["apiVersion"].(string), o.Kind, namespace)
		require.NoError(t, err)
		tried := s.apply(t, collection, o.Name, true, text)
		if !assert.Equal(t, http.StatusCreated, tried.status, "%s %s: %s\n%s", o.Kind, o.Name, tried.message, text) {
			continue
		}
		assert.Empty(t, tried.warnings, "%s %s\n%s", o.Kind, o.Name, text)
		applied := s.apply(t, collection, o.Name, false, text)
		require.Equal(t, http.StatusCreated, applied.status, "%s %s: %s", o.Kind, o.Name, applied.message)
		read := s.do(t, http.MethodGet, collection+"/"+o.Name, "", nil)
		require.Equal(t, http.StatusOK, read.status, "%s %s: %s", o.Kind, o.Name, read.message)
		same(t, r, o, tree, read.object)
		again := s.apply(t, collection, o.Name, false, text)
		require.Equal(t, http.StatusOK, again.status, "%s %s: %s", o.Kind, o.Name, again.message)
		same(t, r, o, tree, again.object)
		if replica := replicaOf(o); replica != nil {
			a := s.makeReplica(t, namespace, replica)
			assert.Equal(t, http.StatusCreated, a.status, "a replica of %s %s: %s", o.Kind, o.Name, a.message)
			assert.Empty(t, a.warnings, "a replica of %s %s", o.Kind, o.Name)
		}
	}
}

// readable is an object as it is exported, and as JSON has it.
func readable(t require.TestingT, o Object) (text []byte, tree map[string]any) {
	text, err := encode(o.fields)
	require.NoError(t, err)
	require.NoError(t, yaml.Unmarshal(text, &tree))
	return text, tree
}

// replicaOf is the replica that a controller makes of an object; nil where it makes none. It is
// checked more than the template is: a Pod Security Standard is enforced for replicas alone.
func replicaOf(o Object) object {
	fields, _ := o.fields["spec"].(object)
	template, ok := fields["template"].(object)
	if !ok {
		return nil
	}
	meta, replicaSpec := maps.Clone(template["metadata"].(object)), maps.Clone(template["spec"].(object))
	meta["generateName"] = o.Name + "-"
	if claims, ok := fields["volumeClaimTemplates"].([]object); ok {
		volumes, _ := replicaSpec["volumes"].([]object)
		for _, c := range claims {
			name := c["metadata"].(object)["name"]
			volumes = append(slices.Clip(volumes), object{"name": name, "persistentVolumeClaim": object{"claimName": fmt.Sprintf("%s-%s-0", name, o.Name)}})
		}
		replicaSpec["volumes"] = volumes
	}
	return object{"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": replicaSpec}
}

// makeReplica has a replica made that is not kept.
func (s *apiServer) makeReplica(t *testing.T, namespace string, replica object) answer {
	t.Helper()
	text, err := json.Marshal(replica)
	require.NoError(t, err)
	return s.do(t, http.MethodPost, "/api/v1/namespaces/"+namespace+"/pods?fieldValidation=Strict&dryRun=All", "application/json", text)
}

// same holds what the server has of an object to what was written: all of that is there as it
// was, and what else is there is the server's.
func same(t assert.TestingT, r Result, o Object, written, got map[string]any) {
	servers := strings.Fields(serversFields)
	if slices.ContainsFunc(r.Objects, func(a Object) bool { return a.Kind == "HorizontalPodAutoscaler" && a.Name == o.Name }) {
		servers = append(servers, ".spec.replicas")
	}
	// What is filled in of the kinds of other projects stands in their definitions.
	others := slices.Contains([]string{"Cluster", "Gateway", "HTTPRoute"}, o.Kind)
	var differences []string
	compare("", written, got, func(path string, want, got any) {
		if want != nil || !others && !slices.Contains(servers, path) {
			differences = append(differences, fmt.Sprintf("%s: written %v, read %v", path, want, got))
		}
	})
	assert.Empty(t, differences, "%s %s", o.Kind, o.Name)
}

// serversFields are those that the server fills in where they are not written.
const serversFields = `
.metadata.creationTimestamp .metadata.finalizers .metadata.generation .metadata.managedFields .metadata.namespace
.metadata.resourceVersion .metadata.uid .status
.spec.allocateLoadBalancerNodePorts .spec.clusterIP .spec.clusterIPs .spec.externalTrafficPolicy .spec.internalTrafficPolicy
.spec.ipFamilies .spec.ipFamilyPolicy .spec.ports.nodePort .spec.sessionAffinity .spec.type
.spec.backoffLimit .spec.completionMode .spec.completions .spec.manualSelector .spec.parallelism .spec.podReplacementPolicy
.spec.selector .spec.suspend
.spec.template.metadata.labels.batch.kubernetes.io/controller-uid .spec.template.metadata.labels.batch.kubernetes.io/job-name
.spec.template.metadata.labels.controller-uid .spec.template.metadata.labels.job-name
.spec.persistentVolumeClaimRetentionPolicy .spec.podManagementPolicy .spec.volumeMode
.spec.volumeClaimTemplates.apiVersion .spec.volumeClaimTemplates.kind .spec.volumeClaimTemplates.spec.volumeMode
.spec.volumeClaimTemplates.status
.spec.template.spec.dnsPolicy .spec.template.spec.restartPolicy .spec.template.spec.schedulerName
.spec.template.spec.containers.resources .spec.template.spec.initContainers.resources
.spec.template.spec.containers.terminationMessagePath .spec.template.spec.initContainers.terminationMessagePath
.spec.template.spec.containers.terminationMessagePolicy .spec.template.spec.initContainers.terminationMessagePolicy
.spec.template.spec.volumes.configMap.defaultMode .spec.template.spec.volumes.secret.defaultMode .spec.template.spec.volumes.image.pullPolicy
`

// compare tells each difference between two values. An item has the path of its list.
func compare(path string, want, got any, differs func(path string, want, got any)) {
	switch w := want.(type) {
	case map[string]any:
		g, _ := got.(map[string]any)
		if g == nil && len(w) > 0 {
			differs(path, want, got)
			return
		}
		for key := range keysOf(w) {
			compare(path+"."+key, w[key], g[key], differs)
		}
		for key, value := range g {
			if _, known := w[key]; !known {
				differs(path+"."+key, nil, value)
			}
		}
	case []any:
		g, _ := got.([]any)
		if len(g) != len(w) {
			differs(path, want, got)
			return
		}
		for i := range w {
			compare(path, w[i], g[i], differs)
		}
	default:
		if want != got && !(got == nil && isZero(want)) && !sameQuantity(path, want, got) {
			differs(path, want, got)
		}
	}
}

// isZero reports whether the server may leave out a value, as it says nothing.
func isZero(v any) bool { return v == "" || v == false || v == 0.0 }

// sameQuantity reports whether two texts at a path of quantities are one, as 1024Gi and 1Ti.
func sameQuantity(path string, a, b any) bool {
	first, isText := a.(string)
	second, isTextToo := b.(string)
	if !isText || !isTextToo || !strings.Contains(path, ".resources.") && !strings.HasSuffix(path, ".sizeLimit") {
		return false
	}
	q, err := resource.ParseQuantity(first)
	r, otherErr := resource.ParseQuantity(second)
	return err == nil && otherErr == nil && q.Cmp(r) == 0
}

// takesAlternatives exports as Clusters of CloudNativePG and as HTTPRoutes, whose definitions
// come from their projects' own modules.
func (s *apiServer) takesAlternatives(t *testing.T) {
	s.define(t, "github.com/cloudnative-pg/cloudnative-pg@v1.30.0", "config/crd/bases/postgresql.cnpg.io_clusters.yaml")
	s.define(t, "sigs.k8s.io/gateway-api@v1.6.1", "config/crd/standard/gateway.networking.k8s.io_gateways.yaml", "config/crd/standard/gateway.networking.k8s.io_httproutes.yaml")
	projects := stories(t, "testdata/alternatives")
	projects["the shop"] = shop(t)
	for name, dir := range projects {
		t.Run(name, func(t *testing.T) {
			p, err := loaded(dir, load.Options{Name: "shop"})
			require.NoError(t, err)
			s.takes(t, s.namespace(t, nil), p, CloudNativePG, GatewayAPI)
		})
	}
}

// takesAnyDeployment has objects of Deployments made that nobody would write, and not kept.
func (s *apiServer) takesAnyDeployment(t *testing.T) {
	namespace := s.namespace(t, nil)
	rapid.Check(t, func(rt *rapid.T) {
		w := deployments.Draw(rt, "workload")
		r := Export(&spec.Project{Name: "shop", Workloads: map[string]*spec.Workload{w.Name: w}}, nil)
		for _, o := range r.Objects {
			text, tree := readable(rt, o)
			collection, err := s.collection(t, tree["apiVersion"].(string), o.Kind, namespace)
			require.NoError(rt, err)
			a := s.apply(t, collection, o.Name, true, text)
			require.Equal(rt, http.StatusCreated, a.status, "%s %s: %s\n%s", o.Kind, o.Name, a.message, text)
			same(rt, r, o, tree, a.object)
		}
	})
}

// keepsValuesOfSecrets fills in a Secret, as the reference says, and applies it again.
func (s *apiServer) keepsValuesOfSecrets(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "token"), []byte(shopSecret))
	write(t, filepath.Join(dir, "compose.yaml"), []byte(`{services: {web: {image: web, restart: always, secrets: [token]}}, secrets: {token: {file: token}}}`))
	p, err := loaded(dir, load.Options{})
	require.NoError(t, err)
	r := exported(t, p)
	require.Equal(t, "Secret", r.Objects[0].Kind)
	text, _ := readable(t, r.Objects[0])
	collection, err := s.collection(t, "v1", "Secret", s.namespace(t, nil))
	require.NoError(t, err)
	require.Equal(t, http.StatusCreated, s.apply(t, collection, "token", false, text).status)
	filled := s.do(t, http.MethodPatch, collection+"/token", "application/merge-patch+json", []byte(`{"stringData": {"token": "123"}}`))
	require.Equal(t, http.StatusOK, filled.status, filled.message)
	again := s.apply(t, collection, "token", false, text)
	require.Equal(t, http.StatusOK, again.status, again.message)
	assert.Equal(t, map[string]any{"token": "MTIz"}, again.object["data"])
}

// admitsRestricted has what tend's policy restricted allows made where the API server enforces
// the Pod Security Standard of that name.
func (s *apiServer) admitsRestricted(t *testing.T) {
	// Who makes a Deployment is warned that its replicas will be refused.
	enforced := map[string]string{"pod-security.kubernetes.io/enforce": "restricted", "pod-security.kubernetes.io/warn": "restricted"}
	s.takes(t, s.namespace(t, enforced), restrictedProject(t))
	allowed := 0
	for kind, names := range peoplesProjects {
		for _, name := range names {
			t.Run(kind+"/"+name, func(t *testing.T) {
				dir := peoplesProject(t, name)
				p, err := loaded(dir, load.Options{Profiles: []string{"*"}})
				require.NoError(t, err)
				p, err = loaded(dir, load.Options{Profiles: []string{"*"}, Policy: spec.Restricted, Overlay: restrictions(t, p)})
				if err != nil {
					return // it has what the policy refuses, as a path of this machine
				}
				allowed++
				s.takes(t, s.namespace(t, enforced), p)
			})
		}
	}
	t.Logf("%d of the projects are allowed without their privileges", allowed)
	assert.Greater(t, allowed, 10)
}

// restrictions are a Compose file that takes from each service what the policy restricted
// wants to be taken.
func restrictions(t *testing.T, p *spec.Project) []byte {
	t.Helper()
	services := object{}
	for name, w := range p.Workloads {
		if w.Kind != spec.Ingress {
			services[name] = object{"user": "1000:1000", "cap_drop": []string{"ALL"}, "security_opt": []string{"no-new-privileges:true"}}
		}
	}
	text, err := json.Marshal(object{"services": services})
	require.NoError(t, err)
	return text
}

// refusesMistakes shows that the server would not take just anything.
func (s *apiServer) refusesMistakes(t *testing.T) {
	restricted := s.namespace(t, map[string]string{"pod-security.kubernetes.io/enforce": "restricted"})
	r := exported(t, restrictedProject(t))
	web := r.Objects[slices.IndexFunc(r.Objects, func(o Object) bool { return o.Kind == "Deployment" })]
	collection, err := s.collection(t, "apps/v1", "Deployment", restricted)
	require.NoError(t, err)
	for mistake, text := range map[string]string{
		"field not declared in schema": `{spec: {replica: 2}}`,
		"expected numeric":             `{spec: {replicas: two}}`,
		"spec.selector: Required":      `{spec: {replicas: 2}}`,
	} {
		a := s.apply(t, collection, "web", true, []byte("{apiVersion: apps/v1, kind: Deployment, metadata: {name: web}, "+text[1:]))
		assert.Contains(t, a.message, mistake)
		assert.NotEqual(t, http.StatusCreated, a.status)
	}

	replica := replicaOf(web)
	delete(replica["spec"].(object), "securityContext")
	a := s.makeReplica(t, restricted, replica)
	assert.Equal(t, http.StatusForbidden, a.status)
	assert.Contains(t, a.message, "violates PodSecurity")

	_, err = s.collection(t, "nobody.example/v1", "Cluster", restricted)
	assert.ErrorContains(t, err, "its CustomResourceDefinition comes first")
}
