package compare

// asked is what people ask of others.
type asked struct {
	What string
	// Issues are where they ask, as OWNER/REPOSITORY#NUMBER; GitHub leads from an issue's
	// address to a pull request of that number.
	Issues []string
	// Tend is what tend does about it.
	Tend string
}

// Asked is what people ask of Docker and of the tools beside it.
var Asked = []asked{
	{
		"A rolling update of one service on one host, gated by health",
		[]string{"docker/compose#1786", "docker/compose#5124", "docker/compose#13149", "docker/compose#14232"},
		"[yes](reference/spec.md#deployment)",
	},
	{
		"An unhealthy container is restarted",
		[]string{"moby/moby#28400", "moby/moby#42693", "moby/moby#49161", "docker/compose#4826", "docker/compose#11588"},
		"yes, one that has been healthy ([ADR 22](adr/" + healthy + "))",
	},
	{
		"A back-off and limits for that, and dependents that follow",
		[]string{"willfarrell/docker-autoheal#149", "willfarrell/docker-autoheal#102", "willfarrell/docker-autoheal#49", "willfarrell/docker-autoheal#91"},
		"[yes](reference/spec.md#restarts); what shares a namespace follows, what only depends does not",
	},
	{
		"No request goes to a container that is about to stop",
		[]string{"traefik/traefik#41", "psviderski/uncloud#38", "wowu/docker-rollout#21", "hashicorp/nomad#2441"},
		"yes: the endpoint is withdrawn and that acknowledged before the stop signal ([ports](reference/ports.md#what-is-drained))",
	},
	{
		"A failed update is taken back",
		[]string{"docker/compose#13149", "containrrr/watchtower#90", "containrrr/watchtower#444"},
		"yes, of each workload",
	},
	{
		"That of a whole stack",
		[]string{"docker/cli#595"},
		"no",
	},
	{
		"An image that follows its tag counts as updated only when it is healthy",
		[]string{"crazy-max/diun#2", "containrrr/watchtower#1257"},
		"[yes](reference/spec.md#images)",
	},
	{
		"A rollout of the whole file, removed services taken away, another number of replicas meanwhile",
		[]string{"wowu/docker-rollout#49", "wowu/docker-rollout#50", "wowu/docker-rollout#45"},
		"yes",
	},
	{
		"Another content of a config has the service updated",
		[]string{"docker/compose#13045", "docker/compose#11931"},
		"[yes](reference/spec.md#revisions)",
	},
	{
		"Several replicas of a service on one host, behind one port",
		[]string{"basecamp/kamal#1190"},
		"[yes](reference/ports.md)",
	},
	{
		"A volume for each replica",
		[]string{"docker/compose#9026", "docker/compose#9153", "moby/moby#25446"},
		"anonymous volumes only, which belong to a replica's number",
	},
	{
		"Names that resolve to healthy containers only",
		[]string{"moby/moby#30029", "docker/compose#11467"},
		"not names: ports and [endpoints](reference/http.md)",
	},
	{
		"The number of replicas follows the load",
		[]string{"docker/compose#10822"},
		"no",
	},
	{
		"A Postgres counts as ready only when it takes queries",
		[]string{"docker-library/postgres#880", "docker-library/postgres#146"},
		"yes, by the probe `postgres` ([probes](reference/spec.md#probes))",
	},
	{
		"A Postgres that is brought to another major version",
		[]string{"docker-library/postgres#37"},
		"not by itself: it is refused, and [moves through a dump](runbook.md#change-the-major-version)",
	},
}
