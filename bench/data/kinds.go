package main

import (
	"fmt"
	"slices"
	"strings"
)

// probeImage is the image of the stores of files.
const probeImage = "tend-data/probe:dev"

// kind is a kind of project: a service that keeps data, and how it is mounted.
type kind struct {
	Name, Title string
	// store is which of the stores it runs.
	store string
	// service is the YAML of the service, without its volumes and environment.
	service string
	// environment is its YAML, without the value that is changed.
	environment string
	// mounts is the YAML of the service's volumes, or empty where it names none.
	mounts string
	// named is whether the volume data is declared at the top.
	named bool
	// anonymous is whether the volume has no name that a later container could know.
	anonymous bool
	// replicas is how many containers it has.
	replicas int
	// shared is whether its replicas share a volume, as they are written.
	shared bool
}

// services are as people write them: health checks, too, are those of READMEs.
var services = map[string]struct{ service, environment, folder string }{
	"postgres": {`
    image: postgres:15-bookworm
    restart: unless-stopped
    healthcheck:
      test: ["CMD-SHELL", "pg_isready -U postgres"]
      interval: 2s
      timeout: 5s
      retries: 10
`, `      POSTGRES_PASSWORD: secret
`, "/var/lib/postgresql/data"},
	"mariadb": {`
    image: mariadb:10.11-bookworm
    restart: always
    healthcheck:
      test: mysqladmin ping -h localhost -u root -p$$MARIADB_ROOT_PASSWORD
      interval: 3s
      timeout: 10s
      retries: 10
      start_period: 20s
`, `      MARIADB_ROOT_PASSWORD: secret
      MARIADB_DATABASE: app
`, "/var/lib/mysql"},
	"redis": {`
    image: redis:7-bookworm
    restart: unless-stopped
    command: redis-server --appendonly yes --appendfsync always
    healthcheck:
      test: ["CMD", "redis-cli", "--raw", "incr", "ping"]
      interval: 2s
`, "", "/data"},
	"files": {`
    image: ` + probeImage + `
    restart: unless-stopped
`, `      DATA: /data
`, "/data"},
}

// stores are the names of the services, in the order of the report.
var stores = []string{"postgres", "mariadb", "redis", "files"}

var titles = map[string]string{"postgres": "Postgres", "mariadb": "MariaDB", "redis": "Redis with AOF", "files": "files"}

const fileHealth = `    healthcheck:
      test: ["CMD", "/probe", "health"]
      interval: 2s
`

// kinds are all there are.
func kinds() (all []kind) {
	for _, store := range stores {
		s := services[store]
		base := kind{store: store, service: s.service, environment: s.environment, replicas: 1}
		named, anonymous, bind := base, base, base
		named.Name, named.Title = store+"-named", titles[store]+", named volume"
		named.mounts, named.named = "data:"+s.folder, true
		// Who does not know of volumes has that of the image.
		anonymous.anonymous = true
		anonymous.Name, anonymous.Title = store+"-anonymous", titles[store]+", anonymous volume"
		if store != "postgres" {
			anonymous.mounts = s.folder
		}
		bind.Name, bind.Title = store+"-bind", titles[store]+", bind mount"
		bind.mounts = "./data:" + s.folder
		all = append(all, named, anonymous, bind)
	}
	shared := kind{
		Name: "files-shared", Title: "files, 3 replicas on a named volume", store: "files", replicas: 3, shared: true,
		service: services["files"].service + fileHealth + "    deploy: {replicas: 3}\n", environment: services["files"].environment + "      DATA_FILES: 1\n",
		mounts: "data:/data", named: true,
	}
	each := shared
	each.Name, each.Title = "files-each", "files, 3 replicas with an anonymous volume each"
	each.mounts, each.named, each.anonymous, each.shared, each.environment = "/data", false, true, false, services["files"].environment
	return append(all, shared, each)
}

// kindsNamed returns the kinds of these names, or all.
func kindsNamed(names ...string) ([]kind, error) {
	all := kinds()
	if len(names) == 0 {
		return all, nil
	}
	var chosen []kind
	for _, name := range names {
		i := slices.IndexFunc(all, func(k kind) bool { return k.Name == name })
		if i < 0 {
			var known []string
			for _, k := range all {
				known = append(known, k.Name)
			}
			return nil, fmt.Errorf("no kind of project is named %q; there are %s", name, strings.Join(known, ", "))
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}

// service is the service whose data is watched; settingName is what is changed
// in its environment.
const (
	service     = "store"
	settingName = "SETTING"
)

// compose is the Compose file, with a value of the setting.
func (k kind) compose(setting int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "services:\n  %s:%s    environment:\n%s      %s: \"%d\"\n", service, k.service, k.environment, settingName, setting)
	if k.mounts != "" {
		fmt.Fprintf(&b, "    volumes:\n      - %s\n", k.mounts)
	}
	if k.named {
		b.WriteString("volumes:\n  data:\n")
	}
	return b.String()
}

// strangerCompose is a Compose file with another service, which is not the
// project's own.
func strangerCompose(name string) string {
	return fmt.Sprintf("services:\n  %[1]s:\n    image: %[2]s\n    network_mode: none\n    environment: {DATA: /data}\n    volumes: [\"%[1]s:/data\"]\nvolumes:\n  %[1]s:\n", name, probeImage)
}
