//go:build all

package e2e_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/e2e/kit"
)

// sooner makes an alert's windows and patience seconds, where they are minutes and hours.
var sooner = []struct{ of, by string }{
	{`\[(5m|10m|15m|30m|1h|6h)\]`, "[30s]"},
	{`for: \d+[sm]`, "for: 5s"},
	{`_interval: 10s`, "_interval: 2s"},
	{`scrape_timeout: 5s`, "scrape_timeout: 2s"},
	{`group_interval: 1m`, "group_interval: 5s"},
	{`group_wait: 10s`, "group_wait: 2s"},
}

// observed is a shop with the profile observability.
type observed struct {
	*project
	gateway, prometheus, alertmanager, jaeger string
}

// query returns the values of a query by the value of a label.
func (o *observed) query(query, label string) map[string]string {
	o.t.Helper()
	var answer struct {
		Data struct {
			Result []struct {
				Metric map[string]string
				Value  [2]any
			}
		}
	}
	o.get(o.prometheus+"/api/v1/query?query="+url.QueryEscape(query), &answer)
	values := map[string]string{}
	for _, r := range answer.Data.Result {
		values[r.Metric[label]] = fmt.Sprint(r.Value[1])
	}
	return values
}

func (o *observed) get(address string, into any) {
	o.t.Helper()
	response, err := http.Get(address)
	require.NoError(o.t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(o.t, err)
	require.Equal(o.t, http.StatusOK, response.StatusCode, "%s: %s", address, body)
	require.NoError(o.t, json.Unmarshal(body, into), "%s", body)
}

// told returns the alerts that the webhook was told of, as "status alertname service".
func (o *observed) told() (all []string) {
	text := o.compose("exec", "-T", "redis-cache", "bash", "-c",
		`exec 3<>/dev/tcp/mailbox/8025; printf "GET /webhook HTTP/1.0\r\n\r\n" >&3; cat <&3`)
	_, body, _ := strings.Cut(text, "\r\n\r\n")
	var calls []struct {
		Alerts []struct {
			Status string
			Labels map[string]string
		}
	}
	require.NoError(o.t, json.Unmarshal([]byte(body), &calls), "%s", text)
	for _, c := range calls {
		for _, a := range c.Alerts {
			all = append(all, strings.TrimSpace(a.Status+" "+a.Labels["alertname"]+" "+a.Labels["service"]))
		}
	}
	return all
}

// fires brings something about, waits until Alertmanager has delivered the alerts, mends
// it, and waits until it has delivered that they are over.
func (o *observed) fires(name string, cause, mend func(), alerts ...string) {
	o.step(name, func() {
		before := len(o.told())
		await := func(status string) {
			began, seen := time.Now(), map[string]bool{}
			o.await(func() error {
				now := o.told()[before:]
				for _, a := range alerts {
					if !seen[a] && slices.Contains(now, status+" "+a) {
						seen[a] = true
						o.t.Logf("%s: %s after %s", a, status, time.Since(began).Round(time.Second))
					}
				}
				if len(seen) < len(alerts) {
					return fmt.Errorf("of %q only %v were delivered as %s: %q", alerts, seen, status, now)
				}
				return nil
			})
		}
		mended := false
		defer func() {
			if !mended {
				mend()
			}
		}()
		cause()
		await("firing")
		mend()
		mended = true
		await("resolved")
	})
}

// pause pauses the containers of services, as what hangs.
func (o *observed) pause(services ...string) {
	for _, s := range services {
		for _, r := range o.replicas(s) {
			require.NoError(o.t, o.engine.ContainerPause(o.t.Context(), r.ID))
		}
	}
}

// unpause ends that, where tend has not done so by starting a container again.
func (o *observed) unpause(services ...string) {
	for _, s := range services {
		for _, r := range o.replicas(s) {
			_ = o.engine.ContainerUnpause(o.t.Context(), r.ID)
		}
	}
}

// repeatedly does something five times a second, until the function that it returns is called.
func (o *observed) repeatedly(do func()) (stop func()) {
	ended := make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() {
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ended:
				return
			case <-tick.C:
				all.Go(do)
			}
		}
	})
	return sync.OnceFunc(func() {
		close(ended)
		all.Wait()
	})
}

// TestObservability runs the shop with the profile observability, makes happen what each of
// the alerts is for, and reads at the webhook that Alertmanager has told of it, and that it
// is over. Windows and patience are shorter than in the rules of the repository, which tests of
// their own hold.
func TestObservability(t *testing.T) {
	images := exec.Command("bash", "-euo", "pipefail", "-c", "for f in common packages images; do . deploy/lib/$f.sh; done; ensure_images compose.yaml observability")
	images.Dir = repository
	output, err := images.CombinedOutput()
	require.NoError(t, err, "%s", output)

	o := new(observed)
	for _, address := range []*string{&o.prometheus, &o.alertmanager, &o.jaeger} {
		*address, err = kit.FreeAddress()
		require.NoError(t, err)
	}
	o.project, o.gateway = newShop(t, fmt.Sprintf(`  prometheus: {ports: !override ["%s:9090"]}
  alertmanager: {ports: !override ["%s:9093"]}
  jaeger: {ports: !override ["%s:16686"]}
`, o.prometheus, o.alertmanager, o.jaeger), "observability")
	socket, _ := engineSocket(t)
	engine := newCable(t, o.path("engine.sock"), socket)
	o.edit(".env", "SOCKET="+socket, "SOCKET="+o.path("engine.sock"))
	o.onSmallDisk()
	o.write(".env", o.read(".env")+"OTEL_EXPORTER_OTLP_ENDPOINT=http://jaeger:4318\n")
	for _, file := range []string{"prometheus.yml", "alertmanager.yml", "rules/shop.yml", "rules/tend.yml"} {
		path := filepath.Join("deploy/observability", file)
		text := o.read(path)
		for _, s := range sooner {
			text = regexp.MustCompile(s.of).ReplaceAllString(text, s.by)
		}
		o.write(path, text)
	}
	o.prometheus, o.alertmanager, o.jaeger = "http://"+o.prometheus, "http://"+o.alertmanager, "http://"+o.jaeger
	up := o.tend("up", "--timeout", "4m")
	require.Zero(t, up.code, "%s", up)

	o.step("every replica is found, and measured", func() {
		want := map[string]string{
			"tend": "1", "user-service": "3", "product-service": "4", "order-service": "3", "payment-service": "2", "notification-service": "1", "web": "2", "gateway": "2",
			"prometheus": "1", "alertmanager": "1", "jaeger": "1", "node-exporter": "1", "postgres-exporter": "1", "redis-cache": "1", "redis-events": "1",
		}
		o.await(func() error {
			if got := o.query(`sum by (service) (up)`, "service"); !assert.ObjectsAreEqual(want, got) {
				return fmt.Errorf("up: %v", got)
			}
			return nil
		})
	})

	client := http.Client{Timeout: 20 * time.Second}
	look := o.repeatedly(func() { // somebody looks at the shop all the while
		for _, path := range []string{"/api/products", "/api/users/00000000-0000-0000-0000-000000000000"} {
			if response, err := client.Get(o.gateway + path); err == nil {
				_ = response.Body.Close()
			}
		}
	})
	defer look()

	var customer struct{ UserID, Token string }
	o.step("what the documents ask for is measured", func() {
		call(o.t, o.gateway+"/api/users/register", "", `{"email":"ada@example.com","password":"correct horse","firstName":"Ada","lastName":"Lovelace"}`, http.StatusCreated, &customer)
		var order struct{ OrderID string }
		call(o.t, o.gateway+"/api/orders", customer.Token, `{"items":[{"productId":"espresso-cup","quantity":2}]}`, http.StatusCreated, &order)
		for _, query := range []string{
			`http_requests_total{service="user-service",route!="",status_code!=""}`,
			`http_request_duration_seconds_bucket{service="product-service",route!=""}`,
			`database_queries_total{service="order-service",operation="insert",status="success"}`,
			`database_query_duration_seconds_count{service="order-service"}`,
			`service_calls_total{service="order-service",target_service="payment-service"}`,
			`business_events_total{service="order-service",event_type="order.created"}`,
			`active_connections{service="user-service"}`,
			`pg_stat_database_numbackends{datname="users"}`,
			`redis_up{service="redis-events"} == 1`,
			`node_memory_MemAvailable_bytes`,
			`caddy_http_requests_total{service="gateway"}`,
			`tend_workload_condition{workload="user-db",condition="Available"} == 1`,
			`tend_container_memory_bytes{workload="user-service"}`,
			`service:http_requests:rate5m{service="user-service"}`,
		} {
			o.await(func() error {
				if len(o.query(query, "__name__")) == 0 {
					return fmt.Errorf("%s has no answer", query)
				}
				return nil
			})
		}
		o.await(func() error {
			if up := o.query(`count by (server) (pg_static)`, "server"); len(up) != 5 {
				return fmt.Errorf("databases: %v", up)
			}
			return nil
		})
	})

	o.step("an order is one trace", func() {
		o.followsAnOrder(&client, customer.Token)
		share := `sum(otelcol_processor_tail_sampling_global_count_traces_sampled_total{sampled="true"}) / sum(otelcol_processor_tail_sampling_global_count_traces_sampled_total)`
		o.await(func() error {
			kept, err := strconv.ParseFloat(o.query(share, "")[""], 64)
			if err == nil && (kept == 0 || kept > 0.3) {
				err = fmt.Errorf("of the traces a tenth should be kept, not %v", kept)
			}
			return err
		})
	})

	o.step("every query of every dashboard is answered", func() {
		o.mustTend("rollout", "restart", "notification-service") // the queries about rollouts need one that has ended
		files, err := filepath.Glob(filepath.Join(repository, "deploy/observability/dashboards/*.json"))
		require.NoError(o.t, err)
		queries := 0
		for _, file := range files {
			text, err := os.ReadFile(file)
			require.NoError(o.t, err)
			for _, m := range regexp.MustCompile(`"(?:expr|query)": ("(?:[^"\\]|\\.)*")`).FindAllSubmatch(text, -1) {
				var query string
				require.NoError(o.t, json.Unmarshal(m[1], &query))
				query = regexp.MustCompile(`\$(service|workload)`).ReplaceAllString(query, ".+")
				if label := regexp.MustCompile(`^label_values\((.*), (.*)\)$`).FindStringSubmatch(query); label != nil {
					query = fmt.Sprintf("count by (%s) (%s)", label[2], label[1])
				}
				queries++
				o.await(func() error {
					if len(o.query(query, "")) == 0 {
						return fmt.Errorf("%s: %s has no answer", filepath.Base(file), query)
					}
					return nil
				})
			}
		}
		assert.Greater(o.t, queries, 40)
	})

	o.fires("a database that hangs", func() { o.pause("user-db") }, func() { o.unpause("user-db") },
		"ServiceDown user-db", "ServiceDown user-service")

	var stop func()
	o.fires("a database that breaks its connections", func() {
		stop = o.repeatedly(func() {
			_ = o.exec("docker", "exec", o.name+"-product-db-1", "psql", "-U", "postgres", "-d", "products", "-c", `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'product_service'`)
		})
	}, func() { stop() }, "DatabaseConnectionIssues product-service")

	const slow = 2 * time.Second
	var made atomic.Int64
	o.fires("payments that hang while orders are made", func() {
		o.pause("payment-service")
		stop = o.repeatedly(func() {
			if o.order(&client, customer.Token) > slow {
				made.Add(1)
			}
		})
	}, func() {
		stop()
		o.unpause("payment-service")
	}, "HighResponseTime order-service")

	o.step("each trace of a slow order is kept", func() {
		require.Positive(o.t, made.Load())
		o.await(func() error {
			kept := int64(0)
			for _, t := range o.traces() {
				if t.took() > slow {
					kept++
				}
			}
			if kept < made.Load() {
				return fmt.Errorf("%d traces are kept of %d slow orders", kept, made.Load())
			}
			return nil
		})
	})

	written := o.read("specs/web.yaml")
	o.fires("a spec with a mistake", func() { o.write("specs/web.yaml", written+"  replica: 2\n") },
		func() { o.write("specs/web.yaml", written) }, "SpecInvalid tend")

	o.fires("an update that cannot start", func() { o.edit("compose.yaml", `PORT: "3005"`, `PORT: "none"`) },
		func() { o.edit("compose.yaml", `PORT: "none"`, `PORT: "3005"`) }, "RolloutFailed tend", "RolloutStalled tend")

	o.step("what is silenced is not told", func() {
		at := func(d time.Duration) string { return time.Now().Add(d).UTC().Format(time.RFC3339) }
		text := fmt.Sprintf(`{"matchers":[{"name":"alertname","value":"SpecInvalid","isRegex":false,"isEqual":true}],"startsAt":"%s","endsAt":"%s","createdBy":"test","comment":"an edit in several steps"}`, at(0), at(10*time.Minute))
		response, err := http.Post(o.alertmanager+"/api/v2/silences", "application/json", strings.NewReader(text))
		require.NoError(o.t, err)
		var silence struct{ SilenceID string }
		require.NoError(o.t, json.NewDecoder(response.Body).Decode(&silence))
		_ = response.Body.Close()
		before := len(o.told())
		o.write("specs/web.yaml", written+"  replica: 2\n")
		o.await(func() error {
			var alerts []struct {
				Labels map[string]string
				Status struct{ SilencedBy []string }
			}
			o.get(o.alertmanager+"/api/v2/alerts", &alerts)
			for _, a := range alerts {
				if a.Labels["alertname"] == "SpecInvalid" && slices.Equal(a.Status.SilencedBy, []string{silence.SilenceID}) {
					return nil
				}
			}
			return fmt.Errorf("no alert is silenced: %v", alerts)
		})
		o.write("specs/web.yaml", written)
		assert.NotContains(o.t, o.told()[before:], "firing SpecInvalid tend")
	})

	o.harm(&client, engine, customer.Token)

	o.mustTend("down", "-v")
	assert.Empty(t, o.leftovers())
}
