package load

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/tendhq/tend/controller/spec"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestMalformedComposeFilesAreErrors(t *testing.T) {
	for _, content := range []string{
		"[]", "text", "services", "services: []", "services: {web: }", "services: {web: []}", "services: {web: text}",
		"services: {web: {image: [a]}}", "services: {web: {image: a, extends: {service: b, file: [x]}}}",
		"services: {web: {image: a, extends: {service: [b]}}}", "services: {web: {image: a, extends: 3}}",
		"include: text\nservices: {web: {image: a}}", "include: {path: [[a]]}\nservices: {web: {image: a}}",
		"include: [{path: {a: b}}]\nservices: {web: {image: a}}",
		"services: {web: {image: a, depends_on: 3}}", "services: {web: {image: a, depends_on: {b: 3}}}",
		"services: {web: {image: a, ports: {a: b}}}", "services: {web: {image: a, ports: [[80]]}}",
		"services: {web: {image: a, ports: [\"99999:80\"]}}", "services: {web: {image: a, ports: [\"80:80:80:80:80\"]}}",
		"services: {web: {image: a, volumes: [3]}}", "services: {web: {image: a, env_file: 3}}",
		"services: {web: {image: a, deploy: []}}", "services: {web: {image: a, ulimits: {nofile: {soft: x}}}}",
		"services: {web: {image: a, networks: {default: 3}}}", "services: {? [a, b] : {image: a}}",
		"services: {web: {image: a, x-tend: {managed: {a: b}}}}", "services: {\"\": {image: a}}",
		"networks: {a: 3}\nservices: {web: {image: a}}", "services: {web: {image: a, environment: {A: {b: c}}}}",
		"services: {web: {image: ${A:?}}}", "services: {web: {image: a, build: {context: [a]}}}",
		"services: {web: {image: a, links: [[a]]}}", "services: {web: {image: a, <<: [3]}}", "services: {web: {image: a, <<: 3}}",
		"? {a: b}\n: c", "name: [a]\nservices: {web: {image: a}}", "name: {}\nservices: {web: {image: a}}",
		"services: {web: &a {image: a, extends: *a}}", "services: !!binary aGk=", "services: {web: {image: !custom a, command: [!x {}]}}",
	} {
		t.Run(content, func(t *testing.T) {
			dir := t.TempDir()
			write(t, filepath.Join(dir, "compose.yaml"), content)
			p, err := Project(t.Context(), Options{ProjectDirectory: dir})
			var problems spec.Errors
			require.ErrorAs(t, err, &problems)
			assert.Nil(t, p)
			for _, e := range problems {
				assert.Equal(t, filepath.Join(dir, "compose.yaml"), e.File)
				assert.NotEmpty(t, e.Message)
				t.Log(e)
			}
		})
	}
}

func TestOptionsAreThoseOfDockerCompose(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a", "compose.yaml"), "services: {web: {image: \"${IMAGE:-none}\"}, off: {image: x, profiles: [p]}}\n")
	write(t, filepath.Join(dir, "a", "b", "README"), "")
	write(t, filepath.Join(dir, "a", "compose.override.yaml"), "services: {web: {scale: 2}}\n")
	write(t, filepath.Join(dir, "other.env"), "IMAGE=web:2\nCOMPOSE_PROFILES=p\n")
	write(t, filepath.Join(dir, "x.yaml"), "services: {web: {scale: 3}}\n")

	t.Run("discovery above the folder", func(t *testing.T) {
		p, err := Project(t.Context(), Options{ProjectDirectory: filepath.Join(dir, "a", "b")})
		require.NoError(t, err)
		assert.Equal(t, []string{filepath.Join(dir, "a", "compose.yaml"), filepath.Join(dir, "a", "compose.override.yaml")}, p.ConfigFiles)
		assert.Equal(t, 2, p.Workloads["web"].Replicas)
		assert.Equal(t, "none", p.Workloads["web"].Image)
		assert.Equal(t, []string{"off"}, p.Disabled)
	})
	t.Run("files, name, env files, profiles", func(t *testing.T) {
		p, err := Project(t.Context(), Options{
			Files:    []string{filepath.Join(dir, "a", "compose.yaml"), filepath.Join(dir, "x.yaml")},
			Name:     "named",
			EnvFiles: []string{filepath.Join(dir, "other.env")},
		})
		require.NoError(t, err)
		assert.Equal(t, "named", p.Name)
		assert.Equal(t, filepath.Join(dir, "a"), p.WorkingDir)
		assert.Equal(t, 3, p.Workloads["web"].Replicas)
		assert.Equal(t, "web:2", p.Workloads["web"].Image)
		assert.Empty(t, p.Disabled, "COMPOSE_PROFILES of the env file")
	})
	t.Run("PWD without a shell", func(t *testing.T) {
		t.Setenv("PWD", "")
		write(t, filepath.Join(dir, "pwd", "compose.yaml"), "services: {web: {image: \"web:1\", volumes: [\"${PWD}/x:/x\"]}}\n")
		p, err := Project(t.Context(), Options{ProjectDirectory: filepath.Join(dir, "pwd")})
		require.NoError(t, err)
		assert.Equal(t, filepath.Join(dir, "pwd", "x"), p.Workloads["web"].Template.Volumes[0].Source)
	})
	t.Run("a name that Compose refuses", func(t *testing.T) {
		_, err := Project(t.Context(), Options{ProjectDirectory: dir, Name: "Not Valid"})
		require.ErrorContains(t, err, "invalid project name")
	})
	t.Run("an env file that is missing", func(t *testing.T) {
		_, err := Project(t.Context(), Options{ProjectDirectory: filepath.Join(dir, "a"), EnvFiles: []string{"missing.env"}})
		require.ErrorContains(t, err, "missing.env")
	})
}

func TestAComposeFileMayComeFromTheStandardInput(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "specs", "web.yaml"), "apiVersion: tend/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {replicas: 3}\n")
	write(t, filepath.Join(dir, "more.yaml"), "services: {web: {volumes: [\"./x:/x\"]}}\n")
	input := func(content string, err error) Options {
		return Options{ProjectDirectory: dir, Files: []string{"-", filepath.Join(dir, "more.yaml")}, Stdin: func(context.Context) ([]byte, error) {
			return []byte(content), err
		}}
	}
	p, err := Project(t.Context(), input("services: {web: {image: web:1}}\n", nil))
	require.NoError(t, err)
	assert.Equal(t, []string{"-", filepath.Join(dir, "more.yaml")}, p.ConfigFiles, "as Compose labels it")
	assert.Equal(t, "web:1", p.Workloads["web"].Image)
	assert.Equal(t, 3, p.Workloads["web"].Replicas, "specs are looked for in the project directory")
	assert.Equal(t, filepath.Join(dir, "x"), p.Workloads["web"].Template.Volumes[0].Source)

	_, err = Project(t.Context(), input("services:\n  web: {image: web:1, restart: sometimes}\n", nil))
	require.ErrorContains(t, err, "-:2:23: restart cannot be")
	_, err = Project(t.Context(), input("", errors.New("gone")))
	require.ErrorContains(t, err, "-: gone; pipe a Compose file into it")
	_, err = Project(t.Context(), Options{ProjectDirectory: dir, Files: []string{"-"}})
	require.ErrorContains(t, err, "there is no standard input here")
}

// Whoever has a tend that cannot hold ports is told why, as the project is right.
func TestAPortThatNoIngressHoldsIsRefusedWithTheReason(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "compose.yaml"), []byte(`services: {web: {image: a, ports: ["8080:80"], scale: 2}}`), 0o600))
	_, err := Project(t.Context(), Options{ProjectDirectory: dir, NoIngress: "it was built with cgo"})
	require.ErrorContains(t, err, "no ingress holds it for them: it was built with cgo")
	_, err = Project(t.Context(), Options{ProjectDirectory: dir, IngressImage: "tend/ingress:1"})
	require.NoError(t, err)
}
