package main

// rollouts marks when rollouts end.
const rollouts = `changes(tend_rollout_duration_seconds_count[1m]) > 0`

// boards are the dashboards. RED: rate, errors and duration of what is asked; USE:
// utilisation, saturation and errors of what answers.
var boards = []board{
	{
		uid: "overview", title: "Overview",
		rows: []row{
			{"The shop", []panel{
				{"Requests", "reqps", `sum by (service) (rate(http_requests_total[1m]))`, "{{service}}"},
				{"Errors", "percentunit", `sum by (service) (rate(http_requests_total{status_code=~"5.."}[1m])) / sum by (service) (rate(http_requests_total[1m])) or sum by (service) (rate(http_requests_total[1m])) * 0`, "{{service}}"},
				{"One in twenty answers takes longer than", "s", `histogram_quantile(0.95, sum by (service, le) (rate(http_request_duration_seconds_bucket[1m])))`, "{{service}}"},
				{"Events of the business", "ops", `sum by (event_type) (rate(business_events_total[1m]))`, "{{event_type}}"},
			}},
			{"What runs", []panel{
				{"Ready replicas", "short", `tend_workload_replicas{state="ready"}`, "{{workload}}"},
				{"Requests at host ports that nobody took", "reqps", `rate(tend_ingress_failures_total[1m])`, "{{ingress}}"},
				{"Processors in use", "percentunit", `1 - avg by (instance) (rate(node_cpu_seconds_total{mode="idle"}[1m]))`, "{{instance}}"},
				{"Memory in use", "percentunit", `1 - node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes`, "{{instance}}"},
			}},
			{"Alerts", []panel{
				{"Alerts that fire, or are about to", "short", `count by (alertname, alertstate) (ALERTS) or vector(0)`, "{{alertname}} {{alertstate}}"},
			}},
		},
	},
	{
		uid: "service", title: "Service", by: "service", of: "http_requests_total",
		rows: []row{
			{"What it is asked", []panel{
				{"Requests", "reqps", `sum by (service, route) (rate(http_requests_total{service=~"$service"}[1m]))`, "{{service}} {{route}}"},
				{"Answers by status", "reqps", `sum by (service, status_code) (rate(http_requests_total{service=~"$service"}[1m]))`, "{{service}} {{status_code}}"},
				{"Half, and one in a hundred, take longer than", "s", `histogram_quantile(0.5, sum by (service, le) (rate(http_request_duration_seconds_bucket{service=~"$service"}[1m]))) or histogram_quantile(0.99, sum by (service, le) (rate(http_request_duration_seconds_bucket{service=~"$service"}[1m])))`, "{{service}}"},
				{"Connections", "short", `sum by (service) (active_connections{service=~"$service"})`, "{{service}}"},
			}},
			{"What it asks", []panel{
				{"Statements", "ops", `sum by (service, operation) (rate(database_queries_total{service=~"$service"}[1m]))`, "{{service}} {{operation}}"},
				{"One statement in twenty takes longer than", "s", `histogram_quantile(0.95, sum by (service, le) (rate(database_query_duration_seconds_bucket{service=~"$service"}[1m])))`, "{{service}}"},
				{"Calls to other services", "reqps", `sum by (service, target_service) (rate(service_calls_total[1m]))`, "{{service}} → {{target_service}}"},
				{"Statements that fail", "ops", `sum by (service) (rate(database_queries_total{service=~"$service",status="error"}[1m])) or sum by (service) (rate(database_queries_total{service=~"$service"}[1m])) * 0`, "{{service}}"},
			}},
			{"What it uses", []panel{
				{"Processors", "short", `sum by (workload) (rate(tend_container_cpu_seconds_total{workload=~"$service"}[1m]))`, "{{workload}}"},
				{"Memory", "bytes", `tend_container_memory_bytes{workload=~"$service"}`, "{{workload}} {{replica}}"},
				{"Time at its limit of processors", "percentunit", `sum by (workload) (rate(tend_container_cpu_throttled_periods_total{workload=~"$service"}[1m])) / sum by (workload) (rate(tend_container_cpu_periods_total{workload=~"$service"}[1m]))`, "{{workload}}"},
				{"Goroutines", "short", `go_goroutines{service=~"$service"}`, "{{instance}}"},
			}},
		},
	},
	{
		uid: "databases", title: "Databases",
		rows: []row{
			{"Postgres", []panel{
				{"All of them answer", "short", `pg_up`, "up"},
				{"Connections", "short", `sum by (datname) (pg_stat_database_numbackends{datname!~"|postgres|template.*"})`, "{{datname}}"},
				{"Transactions", "ops", `sum by (datname) (rate(pg_stat_database_xact_commit{datname!~"|postgres|template.*"}[1m]))`, "{{datname}}"},
				{"Read from its cache", "percentunit", `sum by (datname) (pg_stat_database_blks_hit{datname!~"|postgres|template.*"}) / (sum by (datname) (pg_stat_database_blks_hit{datname!~"|postgres|template.*"}) + sum by (datname) (pg_stat_database_blks_read{datname!~"|postgres|template.*"}))`, "{{datname}}"},
				{"Locks", "short", `sum by (datname, mode) (pg_locks_count{datname!~"postgres|template.*"})`, "{{datname}} {{mode}}"},
				{"Rolled back, and deadlocks", "ops", `sum by (datname) (rate(pg_stat_database_xact_rollback{datname!~"|postgres|template.*"}[1m]) + rate(pg_stat_database_deadlocks{datname!~"|postgres|template.*"}[1m]))`, "{{datname}}"},
			}},
			{"Redis", []panel{
				{"Commands", "ops", `sum by (service) (rate(redis_commands_processed_total[1m]))`, "{{service}}"},
				{"Memory", "bytes", `redis_memory_used_bytes`, "{{service}}"},
				{"Hits of the cache", "percentunit", `rate(redis_keyspace_hits_total{service="redis-cache"}[1m]) / (rate(redis_keyspace_hits_total{service="redis-cache"}[1m]) + rate(redis_keyspace_misses_total{service="redis-cache"}[1m]))`, "{{service}}"},
				{"Clients", "short", `redis_connected_clients`, "{{service}}"},
			}},
		},
	},
	{
		uid: "messaging", title: "Messaging",
		rows: []row{
			{"Events", []panel{
				{"Published", "ops", `sum by (service, event_type) (rate(business_events_total[1m]))`, "{{service}} {{event_type}}"},
				{"Handled", "ops", `sum by (service, result) (rate(events_handled_total[1m]))`, "{{service}} {{result}}"},
			}},
			{"The bus", []panel{
				{"Commands of Redis", "ops", `rate(redis_commands_processed_total{service="redis-events"}[1m])`, "{{service}}"},
				{"Memory of Redis", "bytes", `redis_memory_used_bytes{service="redis-events"}`, "{{service}}"},
			}},
		},
	},
	{
		uid: "tend", title: "tend", by: "workload", of: "tend_workload_replicas",
		rows: []row{
			{"Workloads", []panel{
				{"Replicas", "short", `tend_workload_replicas{workload=~"$workload"}`, "{{workload}} {{state}}"},
				{"Rollouts that ended in the last hour", "short", `sum by (workload, result) (increase(tend_rollout_duration_seconds_count{workload=~"$workload"}[1h])) or sum by (workload) (tend_workload_replicas{workload=~"$workload"}) * 0`, "{{workload}} {{result}}"},
				{"Containers started again in the last hour", "short", `sum by (workload) (increase(tend_restarts_total{workload=~"$workload"}[1h])) or sum by (workload) (tend_workload_replicas{workload=~"$workload"}) * 0`, "{{workload}}"},
				{"Converged", "short", `tend_workload_converged{workload=~"$workload"}`, "{{workload}}"},
			}},
			{"tend itself", []panel{
				{"Planning one workload: one in a hundred takes longer than", "s", `histogram_quantile(0.99, sum by (le) (rate(tend_plan_duration_seconds_bucket[5m])))`, "p99"},
				{"Requests to the engine", "reqps", `sum by (operation, code) (rate(tend_engine_request_duration_seconds_count[1m]))`, "{{operation}} {{code}}"},
				{"Workloads that wait to be planned", "short", `tend_queue_depth`, "waiting"},
				{"Events", "ops", `sum by (type, reason) (rate(tend_events_total[1m]))`, "{{reason}}"},
				{"Probes", "ops", `sum by (probe, result) (rate(tend_probe_duration_seconds_count[1m]))`, "{{probe}} {{result}}"},
				{"Memory", "bytes", `process_resident_memory_bytes{service="tend"}`, "resident"},
			}},
		},
	},
}
