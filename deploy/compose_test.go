package deploy

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/controller/spec/load"
)

// Without tend, docker compose must start what tend would. It can publish a fixed port
// from one container only.
func TestComposeFileAndSpecsAgreeOnReplicas(t *testing.T) {
	withSpecs, err := load.Project(t.Context(), load.Options{ProjectDirectory: "..", IngressImage: "tend/ingress"})
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile("../compose.yaml")
	if err != nil {
		t.Fatal(err)
	}
	alone := filepath.Join(t.TempDir(), "compose.yaml")
	if err := os.WriteFile(alone, content, 0o644); err != nil {
		t.Fatal(err)
	}
	withoutSpecs, err := load.Project(t.Context(), load.Options{Files: []string{alone}})
	if err != nil {
		t.Fatal(err)
	}

	if len(withSpecs.Workloads) == 0 {
		t.Fatal("the shop has no workloads")
	}
	for name, workload := range withSpecs.Workloads {
		if workload.Kind == spec.Ingress {
			continue
		}
		want := workload.Replicas
		if len(workload.FixedHostPorts) > 0 || len(workload.HostPorts()) > 0 {
			want = 1
		}
		if got := withoutSpecs.Workloads[name].Replicas; got != want {
			t.Errorf("%s: %d replicas in compose.yaml, %d in specs/", name, got, want)
		}
	}
}

// shop is compose.yaml as it is written, with the defaults of its variables, and with the
// profiles that are named.
func shop(t *testing.T, profiles ...string) *types.Project {
	t.Helper()
	options, err := cli.NewProjectOptions([]string{"../compose.yaml"}, cli.WithProfiles(profiles))
	require.NoError(t, err)
	project, err := options.LoadProject(t.Context())
	require.NoError(t, err)
	return project
}

// No container takes the machine from the others.
func TestEveryContainerIsBounded(t *testing.T) {
	for name, s := range shop(t, "*").Services {
		assert.Positive(t, s.CPUS, "cpus of %s", name)
		assert.LessOrEqual(t, s.CPUS, float32(1), "cpus of %s: the engine refuses more than the machine has", name)
		assert.Positive(t, s.MemLimit, "mem_limit of %s", name)
		assert.Positive(t, s.PidsLimit, "pids_limit of %s", name)
	}
}

// A process that breaks out of its container is nobody else's, and nobody's superior.
func TestEveryProgramHasAUserOfItsOwn(t *testing.T) {
	owners := map[string]string{}
	for name, s := range shop(t).Services {
		switch s.User {
		case "postgres", "redis": // the owners of the data in their images
			continue
		}
		uid, gid, _ := strings.Cut(s.User, ":")
		assert.NotContains(t, []string{"", "0", "root"}, uid, "user of %s", name)
		assert.NotContains(t, []string{"", "0", "root"}, gid, "group of %s", name)
		assert.Empty(t, owners[uid], "%s and %s have the user %s", name, owners[uid], uid)
		owners[uid] = name
	}
	assert.Len(t, owners, 9)
}

// What changes something is asked for over the socket in tend's data directory: no port of
// tend's can, on whatever network.
func TestNoNetworkReachesTheControlAPI(t *testing.T) {
	tend := shop(t).Services["tend"]
	assert.NotContains(t, tend.Command, "--listen")
	assert.Empty(t, tend.Ports)
}

// Each service has the password of its own database and of no other.
func TestSecretsAreGivenToWhoNeedsThem(t *testing.T) {
	holders := map[string][]string{}
	for name, s := range shop(t).Services {
		for _, secret := range s.Secrets {
			holders[secret.Source] = append(holders[secret.Source], name)
		}
	}
	for _, names := range holders {
		slices.Sort(names)
	}
	assert.Equal(t, map[string][]string{
		"monitor_password":         {"notification-db", "order-db", "payment-db", "product-db", "user-db"},
		"postgres_password":        {"notification-db", "order-db", "payment-db", "product-db", "user-db"},
		"user_db_password":         {"user-db", "user-service"},
		"product_db_password":      {"product-db", "product-service"},
		"order_db_password":        {"order-db", "order-service"},
		"payment_db_password":      {"payment-db", "payment-service"},
		"notification_db_password": {"notification-db", "notification-service"},
		"redis_password":           {"gateway", "product-service", "redis-cache"},
		"event_bus_password":       {"notification-service", "order-service", "payment-service", "product-service", "redis-events", "user-service"},
	}, holders)
}

// What is optional is loaded by tend, too, and starts with its profile alone.
func TestTheSearchEngineHasAProfile(t *testing.T) {
	for _, test := range []struct {
		profiles []string
		there    bool
	}{{[]string{"search"}, true}, {[]string{"observability"}, false}} {
		project, err := load.Project(t.Context(), load.Options{ProjectDirectory: "..", IngressImage: "tend/ingress", Profiles: test.profiles})
		require.NoError(t, err)
		assert.Equal(t, test.there, project.Workloads["elasticsearch"] != nil, "with the profiles %v", test.profiles)
	}
}
