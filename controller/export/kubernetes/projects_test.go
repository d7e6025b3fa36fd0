package kubernetes

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/tools/txtar"

	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/controller/spec/load"
)

// peoplesProjects are folders of e2e/compare/testdata, which are written as people write them,
// by kind.
var peoplesProjects = map[string][]string{
	"a site with its database":    {"bookstack", "django", "freshrss", "ghost", "laravel", "nextcloud", "rails", "umami", "wikijs", "wordpress"},
	"queues and workers":          {"airflow", "event-tracker", "glitchtip", "kafka", "mastodon", "n8n-queue", "paperless"},
	"jobs and migrations":         {"crashed-once", "failed-migration", "init-containers", "migrations", "nightly-jobs", "retries"},
	"monitoring and search":       {"broken-plugin", "elk", "monitoring", "plausible", "unhealthy-gate"},
	"proxies and ports":           {"pihole", "ports", "signals", "traefik"},
	"accounts and secrets":        {"authentik", "hardened", "keycloak", "secrets", "vaultwarden"},
	"networks":                    {"host-network", "networks", "synapse"},
	"files and volumes":           {"immich", "media-library", "minio", "office", "storage"},
	"databases and caches":        {"postgres-pair", "redis-replicas", "strapi", "supabase", "wedged"},
	"several files, and old ones": {"extends", "interpolation", "monorepo", "profiles", "swarm-style"},
	"tools of one household":      {"cameras", "gitea", "homeassistant", "n8n", "penpot"},
}

// peoplesProject copies one of them, names the image that it leaves open, and goes into its
// folder, as people do.
func peoplesProject(t *testing.T, name string) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), name)
	require.NoError(t, os.CopyFS(dir, os.DirFS(filepath.Join("../../../e2e/compare/testdata", name))))
	env, err := os.ReadFile(filepath.Join(dir, ".env"))
	if err != nil {
		require.ErrorIs(t, err, os.ErrNotExist)
	}
	write(t, filepath.Join(dir, ".env"), append(env, "\nPROBE=registry.example/probe:1\n"...))
	t.Chdir(dir)
	return dir
}

// shopSecret is what each secret file of a copied shop holds.
const shopSecret = "none of your business"

// shop copies the repository's own project.
func shop(t *testing.T) (dir string) {
	t.Helper()
	const root = "../../.."
	dir = t.TempDir()
	require.NoError(t, os.CopyFS(filepath.Join(dir, "specs"), os.DirFS(filepath.Join(root, "specs"))))
	for _, name := range []string{"compose.yaml", "deploy/postgres/service-role.sh", "deploy/rabbitmq/shop.conf"} {
		content, err := os.ReadFile(filepath.Join(root, name))
		require.NoError(t, err)
		write(t, filepath.Join(dir, name), content)
	}
	compose, err := os.ReadFile(filepath.Join(root, "compose.yaml"))
	require.NoError(t, err)
	secrets := regexp.MustCompile(`file: (deploy/secrets/\w+)`).FindAllStringSubmatch(string(compose), -1)
	require.NotEmpty(t, secrets)
	for _, file := range secrets {
		write(t, filepath.Join(dir, file[1]), []byte(shopSecret))
	}
	return dir
}

// stories unpacks the projects of a folder's stories, by the names of their files. What a
// story says of its project is not a file of it.
func stories(t *testing.T, folder string) (dirs map[string]string) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(folder, "*.txtar"))
	require.NoError(t, err)
	require.NotEmpty(t, paths)
	dirs = map[string]string{}
	for _, path := range paths {
		story, err := txtar.ParseFile(path)
		require.NoError(t, err)
		name := strings.TrimSuffix(filepath.Base(path), ".txtar")
		dirs[name] = filepath.Join(t.TempDir(), name)
		for _, f := range story.Files {
			if !slices.Contains(told, f.Name) {
				write(t, filepath.Join(dirs[name], f.Name), f.Data)
			}
		}
	}
	return dirs
}

// loaded loads the project in a folder.
func loaded(dir string, o load.Options) (*spec.Project, error) {
	o.ProjectDirectory, o.IngressImage = dir, "tend/ingress"
	return load.Project(context.Background(), o)
}

// exported exports a project.
func exported(t *testing.T, p *spec.Project, alternatives ...Alternative) Result {
	t.Helper()
	contents := map[string][]byte{}
	for _, w := range p.Workloads {
		for _, used := range w.Template.Configs { // those of services whose profile is off may not be there
			c := p.Configs[used.Source]
			contents[used.Source] = []byte(c.Content)
			if c.File != "" {
				var err error
				contents[used.Source], err = os.ReadFile(c.File)
				require.NoError(t, err)
			}
		}
	}
	return Export(p, contents, alternatives...)
}
