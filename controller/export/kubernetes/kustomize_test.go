package kubernetes

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/spec/load"
)

// The overlay has each image, and each value that no project says, as the base has it.
func TestTheOverlayHasWhatAPersonChooses(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "compose.yaml"), []byte(`
services:
  web: {image: "registry.example:5000/web:1.2", restart: always, ports: ["8080:80"]}
  admin: {image: "registry.example:5000/admin", restart: always, ports: ["9000:80"]}
  blue: {image: "both:blue", restart: always, volumes: ["files:/files"]}
  green: {image: "both:green@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", restart: always}
  fixed: {image: "fixed@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", restart: always}
  db: {image: "postgres:17", environment: {POSTGRES_PASSWORD: hush}, volumes: ["data:/var/lib/postgresql/data"]}
volumes: {data: , files: }
`))
	write(t, filepath.Join(dir, "specs/web.yaml"), []byte(`{apiVersion: tend/v1, kind: Deployment, metadata: {name: web}, spec: {readinessProbe: {httpGet: {port: 80}}}}`))
	write(t, filepath.Join(dir, "specs/admin.yaml"), []byte(`{apiVersion: tend/v1, kind: Deployment, metadata: {name: admin}, spec: {readinessProbe: {httpGet: {port: 80}}}}`))
	write(t, filepath.Join(dir, "specs/db.yaml"), []byte(`{apiVersion: tend/v1, kind: Database, metadata: {name: db}, spec: {engine: postgres}}`))
	p, err := load.Project(context.Background(), load.Options{ProjectDirectory: dir, Name: "shop", IngressImage: "tend/ingress"})
	require.NoError(t, err)

	overlay, err := Export(p, nil).Overlay("../../base")
	require.NoError(t, err)
	assert.Equal(t, `# What a cluster wants otherwise. Each value here is that of the base; an image takes newTag and digest, too.
apiVersion: kustomize.config.k8s.io/v1beta1
images:
  - name: both
    newName: both
  - name: fixed
    newName: fixed
  - name: postgres
    newName: postgres
  - name: registry.example:5000/admin
    newName: registry.example:5000/admin
  - name: registry.example:5000/web
    newName: registry.example:5000/web
kind: Kustomization
patches:
  - patch: |
      - op: replace
        path: /spec/resources/requests/storage
        value: 1Gi
    target:
      kind: PersistentVolumeClaim
      name: files
  - patch: |
      - op: replace
        path: /spec/volumeClaimTemplates/0/spec/resources/requests/storage
        value: 1Gi
    target:
      kind: StatefulSet
      name: db
  - patch: |
      - op: replace
        path: /spec/rules/0/host
        value: admin-9000.shop.example
    target:
      kind: Ingress
      name: admin.9000
  - patch: |
      - op: replace
        path: /spec/rules/0/host
        value: web-8080.shop.example
    target:
      kind: Ingress
      name: web.8080
resources:
  - ../../base
`, string(overlay))

	overlay, err = Export(p, nil, CloudNativePG, GatewayAPI).Overlay("../../base")
	require.NoError(t, err)
	for _, patched := range []struct{ path, value, kind, name string }{
		{"/spec/storage/size", "1Gi", "Cluster", "db"},
		{"/spec/gatewayClassName", "example", "Gateway", "shop"},
		{"/spec/hostnames/0", "web-8080.shop.example", "HTTPRoute", "web.8080"},
	} {
		assert.Contains(t, string(overlay), fmt.Sprintf("path: %s\n        value: %s\n    target:\n      kind: %s\n      name: %s\n", patched.path, patched.value, patched.kind, patched.name))
	}
	assert.NotContains(t, string(overlay), "name: postgres\n", "no container of the base names it")
}

// A single port that speaks HTTP has no host, and so no placeholder for one.
func TestTheOverlayPatchesWhatIsThere(t *testing.T) {
	r := Result{Objects: []Object{
		{Kind: "Ingress", Name: "web.8080", fields: object{"spec": object{"rules": []object{{"http": object{}}}}}},
		{Kind: "HTTPRoute", Name: "web.8080", fields: object{"spec": object{"rules": []object{}}}},
	}}
	overlay, err := r.Overlay("../../base")
	require.NoError(t, err)
	assert.NotContains(t, string(overlay), "patches:")
}
