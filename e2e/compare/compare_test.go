package compare_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/e2e/compare"
)

var update = flag.Bool("update", false, "write docs/comparison.md")

const page = "../../docs/comparison.md"

func TestThePageIsUpToDate(t *testing.T) {
	if *update {
		require.NoError(t, os.WriteFile(page, []byte(compare.Document()), 0o644))
	}
	got, err := os.ReadFile(page)
	require.NoError(t, err)
	assert.Equal(t, compare.Document(), string(got), "run go generate ./e2e/compare")
	for _, m := range compare.Meant {
		assert.FileExists(t, filepath.Join("../../docs/adr", m.ADR), m.What)
		assert.NotEmpty(t, m.Source, m.What)
	}
	for _, w := range compare.Asked {
		assert.NotEmpty(t, w.Issues, w.What)
		for _, issue := range w.Issues {
			assert.Regexp(t, `^[\w-]+/[\w-]+#\d+$`, issue, w.What)
		}
	}
}

const (
	id      = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	otherID = "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"
	volume  = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	// inspect is what the engine says of a container, in short.
	inspect = `{
		"Id": "` + id + `", "Created": "2024-01-01T00:00:00Z", "Name": "/shop-web-1", "RestartCount": 0,
		"State": {"Status": "exited", "ExitCode": 3, "Health": {"Status": "unhealthy"}},
		"Config": {
			"Hostname": "0123456789ab", "Env": ["B=2", "A=1=1"],
			"Labels": {"com.docker.compose.service": "web", "com.docker.compose.container-number": "1",
				"com.docker.compose.depends_on": "db:service_started:false,api:service_started:false", "tend.revision": "x"}
		},
		"HostConfig": {
			"Binds": ["b:/b", "a:/a"], "NetworkMode": "container:` + otherID + `", "RestartPolicy": {"Name": "", "MaximumRetryCount": 0},
			"PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": ""}], "81/tcp": [{"HostIp": "", "HostPort": "8081"}]}
		},
		"Mounts": [{"Type": "volume", "Name": "` + volume + `", "Source": "/var/lib/docker/volumes/x", "Destination": "/data"}],
		"NetworkSettings": {
			"IPAddress": "172.17.0.2",
			"Ports": {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "49153"}], "81/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8081"}]},
			"Networks": {"shop_default": {"IPAddress": "172.20.0.2", "Aliases": ["web", "0123456789ab"]}}
		}
	}`
)

func containerOf(t *testing.T, text string, starts int) compare.Record {
	t.Helper()
	r := compare.Record{}
	require.NoError(t, r.Container([]byte(text), compare.Names(map[string]string{id: "/shop-web-1", otherID: "/shop-db-1"}), compare.Past{Starts: starts, WasHealthy: true}))
	return r
}

func TestAContainerIsRecordedWithoutWhatItsLikeHaveOfTheirOwn(t *testing.T) {
	assert.Equal(t, compare.Record{"container web-1": {
		"State": "exited 3", "Health": "unhealthy", "Starts": "2", "WasHealthy": "true", "Error": "", "OOMKilled": "false", "RestartCount": "0",
		"Name":            `"/shop-web-1"`,
		"Config.Hostname": `"short ID of shop-web-1"`,
		"Config.Env.A":    `"1=1"`,
		"Config.Env.B":    `"2"`,
		"Config.Labels.com.docker.compose.service":          `"web"`,
		"Config.Labels.com.docker.compose.container-number": `"1"`,
		"Config.Labels.com.docker.compose.depends_on":       `"api:service_started:false,db:service_started:false"`,
		"HostConfig.Binds":                              `["a:/a","b:/b"]`,
		"HostConfig.NetworkMode":                        `"container:ID of shop-db-1"`,
		"HostConfig.RestartPolicy.Name":                 `""`,
		"HostConfig.RestartPolicy.MaximumRetryCount":    "0",
		"HostConfig.PortBindings.80/tcp":                `[{"HostIp":"","HostPort":""}]`,
		"HostConfig.PortBindings.81/tcp":                `[{"HostIp":"","HostPort":"8081"}]`,
		"Mounts./data.Type":                             `"volume"`,
		"Mounts./data.Name":                             `"anonymous"`,
		"Mounts./data.Source":                           `""`,
		"Mounts./data.Destination":                      `"/data"`,
		"NetworkSettings.Ports.80/tcp":                  `[{"HostIp":"0.0.0.0","HostPort":"chosen by the engine"}]`,
		"NetworkSettings.Ports.81/tcp":                  `[{"HostIp":"0.0.0.0","HostPort":"8081"}]`,
		"NetworkSettings.Networks.shop_default.Aliases": `["short ID of shop-web-1","web"]`,
	}}, containerOf(t, inspect, 2))
}

// Each field of a container that the list does not excuse fails a comparison.
func TestADifferenceThatIsNotMeantIsTold(t *testing.T) {
	up := strings.NewReplacer(`"exited", "ExitCode": 3`, `"running", "ExitCode": 0`, `"unhealthy"`, `"healthy"`).Replace(inspect)
	for _, test := range []struct{ name, before, after, field string }{
		{"another value", "B=2", "B=3", "Config.Env.B"},
		{"another state", `"running"`, `"exited"`, "State"},
		{"another health", `"healthy"`, `"unhealthy"`, "Health"},
		{"another mount", `"Destination": "/data"`, `"Destination": "/d"`, "Mounts./d.Destination"},
		{"another port", `"HostPort": "8081"}]}`, `"HostPort": "8082"}]}`, "HostConfig.PortBindings.81/tcp"},
		{"another number", `"com.docker.compose.container-number": "1"`, `"com.docker.compose.container-number": "2"`, compare.Number},
	} {
		t.Run(test.name, func(t *testing.T) {
			require.Contains(t, up, test.before)
			changed := strings.Replace(up, test.before, test.after, 1)
			unmeant, _ := compare.Split(compare.Compare(compare.ByTend, containerOf(t, up, 1), containerOf(t, changed, 1)))
			var fields []string
			for _, d := range unmeant {
				fields = append(fields, d.Field)
			}
			assert.Contains(t, fields, test.field)
		})
	}
}

func TestARestartPolicyThatIsTakenAwayIsMeantOfAJobAlone(t *testing.T) {
	written := containerOf(t, strings.Replace(inspect, `"Name": "", "Max`, `"Name": "always", "Max`, 1), 1)
	off := containerOf(t, strings.Replace(inspect, `"Name": "", "Max`, `"Name": "no", "Max`, 1), 1)
	for _, direction := range []compare.Direction{compare.ByTend, compare.TakenOver, compare.HandedBack} {
		unmeant, _ := compare.Split(compare.Compare(direction, written, off))
		assert.Len(t, unmeant, 1)
	}
}

func TestReplacingOrRestartingWhatRanIsTold(t *testing.T) {
	before := map[string]compare.Identity{
		"same":      {ID: "1", StartedAt: "a", Stands: true},
		"restarted": {ID: "2", StartedAt: "a", Stands: true},
		"replaced":  {ID: "3", StartedAt: "a"},
		"loops":     {ID: "4", StartedAt: "a"},
		"gone":      {ID: "5", StartedAt: "a", Stands: true},
	}
	after := map[string]compare.Identity{
		"same":      {ID: "1", StartedAt: "a"},
		"restarted": {ID: "2", StartedAt: "b"},
		"replaced":  {ID: "30", StartedAt: "b"},
		"loops":     {ID: "4", StartedAt: "b"},
	}
	var told []string
	for _, d := range compare.Replaced(compare.TakenOver, nil, nil, before, after) {
		told = append(told, d.Object+" "+d.Field)
	}
	assert.Equal(t, []string{"replaced Id", "restarted StartedAt"}, told)
}

func TestARestartOfWhatWasNeverHealthyIsNotMeant(t *testing.T) {
	left := compare.Object{compare.State: "running", compare.Health: "unhealthy", compare.WasHealthy: "true", compare.Starts: "1"}
	again := compare.Object{compare.State: "running", compare.Health: "healthy", compare.WasHealthy: "true", compare.Starts: "2"}
	unmeant, _ := compare.Split(compare.Compare(compare.ByTend, compare.Record{"x": left}, compare.Record{"x": again}))
	assert.Empty(t, unmeant)
	left[compare.WasHealthy] = "false"
	unmeant, _ = compare.Split(compare.Compare(compare.ByTend, compare.Record{"x": left}, compare.Record{"x": again}))
	assert.Len(t, unmeant, 3, "the health, the starts, and that it was healthy")
}

// A container that has another number is the same one under another name, and that is
// meant of one that was wedged alone.
func TestAnotherNumberIsMeantOfWhatWasWedgedAlone(t *testing.T) {
	for health, meant := range map[string]bool{"unhealthy": true, "healthy": false} {
		one := compare.Object{compare.State: "running", compare.Health: health, compare.WasHealthy: "true", "Name": "/a-web-1", "Config.Hostname": "short ID of a-web-1"}
		two := compare.Object{compare.State: "running", compare.Health: health, compare.WasHealthy: "true", "Name": "/a-web-2", "Config.Hostname": "short ID of a-web-2"}
		all := compare.Compare(compare.ByTend, compare.Record{"container web-1": one}, compare.Record{"container web-2": two})
		require.Len(t, all, 1, health)
		assert.Equal(t, compare.Number, all[0].Field)
		unmeant, _ := compare.Split(all)
		assert.Equal(t, meant, len(unmeant) == 0, health)
	}
}
