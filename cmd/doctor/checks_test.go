package doctor

import (
	"errors"
	"net"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/api"
	"github.com/tendhq/tend/api/client"
	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/engine/docker"
	"github.com/tendhq/tend/controller/prometheus"
	"github.com/tendhq/tend/controller/spec"
)

var (
	noon    = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	errTest = errors.New("refused")
)

// is holds a finding to its level and a part of its message. What is not as it should be
// has a remedy.
func is(t *testing.T, f Finding, level Level, message string) {
	t.Helper()
	assert.Equal(t, level, f.Level, f)
	assert.Contains(t, f.Message, message)
	assert.NotEmpty(t, f.Check)
	assert.NotEmpty(t, f.Object)
	if level == Failure || level == Warning {
		assert.NotEmpty(t, f.Remedy, f)
	}
}

func TestAnEngineThatIsAwayOrTooOldIsAFailure(t *testing.T) {
	is(t, Engine("unix:///a", docker.Info{Version: "28.1.0", API: "1.47"}, nil), OK, "Docker Engine 28.1.0, API 1.47")
	away := Engine("unix:///a", docker.Info{}, &engine.Error{Class: engine.Unavailable, Err: errTest})
	is(t, away, Failure, "refused")
	assert.Contains(t, away.Remedy, "--host")
	is(t, Engine("", docker.Info{}, errTest), Failure, "refused")
	is(t, Engine("unix:///a", docker.Info{}, &engine.Error{Class: engine.Invalid, Err: errors.New("upgrade it")}), Failure, "upgrade it")
}

func TestADiskIsAFindingBelowATenth(t *testing.T) {
	for free, level := range map[uint64]Level{50: OK, 10: OK, 9: Warning, 2: Warning, 1: Failure, 0: Failure} {
		is(t, Disk("engine", "/var", Space{free, 100}, nil, "free some"), level, "%")
	}
	is(t, Disk("engine", "/var", Space{}, errTest, "free some"), NotTried, "refused")
}

func TestTheSpaceOfAFolderThatIsNotMadeYetIsThatOfTheOneAbove(t *testing.T) {
	dir := t.TempDir()
	above, err := spaceOf(dir)
	require.NoError(t, err)
	below, err := spaceOf(dir + "/not/made")
	require.NoError(t, err)
	assert.Equal(t, above.Size, below.Size)
	assert.Positive(t, above.Size)
}

func TestAPortIsTheProjectsOwnOrFreeOrAFailure(t *testing.T) {
	ours := []engine.Container{{Name: "/shop-web-1", PublishedPorts: []string{"0.0.0.0:80->8080/tcp", "[::]:80->8080/tcp"}}}
	for name, c := range map[string]struct {
		port    Port
		listens error
		level   Level
		message string
	}{
		"held by a container":       {Port{"web", "127.0.0.1", "80", "tcp"}, syscall.EADDRINUSE, OK, "held by shop-web-1"},
		"another protocol":          {Port{"web", "127.0.0.1", "80", "udp"}, nil, OK, "free"},
		"held by another program":   {Port{"web", "", "81", "tcp"}, syscall.EADDRINUSE, Failure, "held by something else"},
		"an address that is not":    {Port{"web", "192.0.2.1", "81", "tcp"}, syscall.EADDRNOTAVAIL, Failure, "no address 192.0.2.1"},
		"a port for root alone":     {Port{"web", "", "81", "tcp"}, syscall.EACCES, NotTried, "permission denied"},
		"an engine on another host": {Port{"web", "", "81", "tcp"}, errElsewhere, NotTried, "not on this machine"},
	} {
		t.Run(name, func(t *testing.T) {
			found := Ports([]Port{c.port}, ours, func(Port) error { return c.listens })
			require.Len(t, found, 1)
			is(t, found[0], c.level, c.message)
		})
	}
}

func TestAHostPortThatAnotherProgramHoldsIsFound(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := Port{Workload: "web", IP: "127.0.0.1", Number: strconv.Itoa(l.Addr().(*net.TCPAddr).Port), Protocol: "tcp"}
	assert.ErrorIs(t, listen(t.Context(), p), syscall.EADDRINUSE)
	require.NoError(t, l.Close())
	assert.NoError(t, listen(t.Context(), p))
	u, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	defer u.Close()
	p.Number, p.Protocol = strconv.Itoa(u.LocalAddr().(*net.UDPAddr).Port), "udp"
	assert.ErrorIs(t, listen(t.Context(), p), syscall.EADDRINUSE)
}

func TestPortsThatTheEngineChoosesOrNobodyNeedsAreNotAskedFor(t *testing.T) {
	ports := []types.ServicePortConfig{{Published: "80", Protocol: "tcp"}, {Protocol: "tcp"}, {Published: "8000-8010", Protocol: "tcp"}}
	p := &spec.Project{Workloads: map[string]*spec.Workload{
		"web": {Name: "web", Replicas: 1, Template: types.ServiceConfig{Ports: ports}},
		"off": {Name: "off", Template: types.ServiceConfig{Ports: ports}},
		// An ingress holds the port for its service, and tend makes its image.
		"web:80": {Name: "web:80", Kind: spec.Ingress, Replicas: 1, Image: "tend/ingress:1", Template: types.ServiceConfig{Ports: ports}},
	}}
	assert.Equal(t, []Port{{"web", "", "80", "tcp"}}, PortsOf(p))
	for _, i := range imagesOf(p, nil) {
		assert.NotEqual(t, "tend/ingress:1", i.Ref)
	}
}

func TestANameWithoutAnAddressIsAFailure(t *testing.T) {
	found := Names([]Lookup{
		{Replica: "shop-web-1", Name: "db"},
		{Replica: "shop-web-1", Name: "db", Code: 2},
		{Replica: "shop-web-1", Name: "db", Code: noProgram},
		{Replica: "shop-web-1", Name: "db", Err: errTest},
	})
	require.Len(t, found, 4)
	is(t, found[0], OK, "found")
	is(t, found[1], Failure, "db has no address there")
	is(t, found[2], NotTried, "neither getent nor nslookup")
	is(t, found[3], NotTried, "refused")
}

func TestACertificateIsAFindingBeforeItExpires(t *testing.T) {
	const day = 24 * time.Hour
	for name, c := range map[string]struct {
		life, left time.Duration
		level      Level
		message    string
	}{
		"of a year":            {365 * day, 31 * day, OK, "expires in 31 days"},
		"of a year, soon":      {365 * day, 29 * day, Warning, "expires in 29 days"},
		"of 90 days":           {90 * day, 16 * day, OK, "expires in 16 days"},
		"of 90 days, soon":     {90 * day, 14 * day, Warning, "expires in 14 days"},
		"of twelve hours":      {12 * time.Hour, 4 * time.Hour, OK, "expires in 4 hours"},
		"expired":              {90 * day, -2 * day, Failure, "expired 2 days ago"},
		"not valid until then": {90 * day, 91 * day, Failure, "not valid before"},
	} {
		t.Run(name, func(t *testing.T) {
			till := noon.Add(c.left)
			found := Certificates(noon, []Certificate{{"secret tls", till.Add(-c.life), till}})
			require.Len(t, found, 1)
			is(t, found[0], c.level, c.message)
		})
	}
}

func TestAnOldImageAndOneThatIsNotHereAreWarnings(t *testing.T) {
	found := Images(noon, []Image{
		{Ref: "web:1", Here: true, Created: noon.Add(-oldImage + time.Hour)},
		{Ref: "web:1", Here: true, Created: noon.Add(-oldImage - time.Hour)},
		{Ref: "own", Built: true, Here: true, Created: noon.Add(-oldImage - time.Hour)},
		{Ref: "web:1"},
		{Ref: "web:1", Here: true, Created: time.Unix(0, 0)},
	})
	require.Len(t, found, 5)
	is(t, found[0], OK, "built 5 months ago")
	is(t, found[1], Warning, "built 6 months ago")
	assert.Contains(t, found[1].Remedy, "tend pull")
	is(t, found[2], Warning, "built 6 months ago")
	assert.Contains(t, found[2].Remedy, "tend build")
	is(t, found[3], Warning, "not here")
	is(t, found[4], NotTried, "does not tell when it was built")
}

func TestABackupIsAFindingWhereItIsOldOrMissing(t *testing.T) {
	found := Backups(noon, []Backup{
		{Workload: "db", At: noon.Add(-time.Hour)},
		{Workload: "db", At: noon.Add(-oldBackup - time.Hour)},
		{Workload: "db"},
		{Workload: "db", Err: errTest},
	})
	require.Len(t, found, 4)
	is(t, found[0], OK, "hour old")
	is(t, found[1], Warning, "7 days old")
	is(t, found[2], Warning, "there is none")
	assert.Equal(t, "`tend backup db`", found[2].Remedy)
	is(t, found[3], NotTried, "refused")
}

func TestFilesThatAreNotValidAreAFailure(t *testing.T) {
	is(t, Files(&spec.Project{Name: "shop"}, nil), OK, "valid")
	is(t, Files(nil, errors.New("compose.yaml:3:5: no such key")), Failure, "compose.yaml:3:5")
}

func TestAControllerThatIsAwayIsAWarningAndOneThatCannotWorkAFailure(t *testing.T) {
	is(t, Controller(api.Health{Version: "1.0", Project: "shop"}, nil, nil), OK, "tend 1.0 keeps shop")
	is(t, Controller(api.Health{}, nil, client.ErrNotRunning), Warning, "none is running")
	is(t, Controller(api.Health{}, nil, errTest), Failure, "refused")
	is(t, Controller(api.Health{}, errors.New("the engine does not answer"), nil), Failure, "the engine does not answer")
}

func TestAWorkloadIsToldInTheWordsOfItsStatus(t *testing.T) {
	workload := func(kind spec.Kind, outcome core.Outcome, obstacle, remedy string, conditions ...api.Condition) []api.Workload {
		return []api.Workload{{
			TypeMeta: api.TypeMeta{Kind: string(kind)}, Metadata: api.Metadata{Name: "web"}, Spec: api.WorkloadSpec{Replicas: 2},
			Status: api.WorkloadStatus{ReadyReplicas: 1, Outcome: string(outcome), Obstacle: obstacle, Remedy: remedy, Conditions: conditions},
		}}
	}
	for name, c := range map[string]struct {
		workloads []api.Workload
		level     Level
		message   string
	}{
		"converged":      {workload(spec.Deployment, core.OutcomeConverged, "", ""), OK, "Converged, 1 of 2 ready"},
		"complete":       {workload(spec.Job, core.OutcomeComplete, "", ""), OK, "Complete"},
		"wrong in place": {workload(spec.Deployment, core.OutcomeConverged, "a stranger is there", "remove it"), Warning, "Converged, 1 of 2 ready: a stranger is there"},
		"under way":      {workload(spec.Deployment, core.OutcomeMoving, "1 of 2 updated", "wait"), Warning, "Moving, 1 of 2 ready: 1 of 2 updated"},
		"stalled":        {workload(spec.Deployment, core.OutcomeStalled, "it crashes", "mend it"), Failure, "it crashes"},
		"too few":        {workload(spec.Deployment, core.OutcomeMoving, "none is there", "wait", api.Condition{Type: "Available", Status: "False"}), Failure, "none is there"},
	} {
		t.Run(name, func(t *testing.T) {
			found := Workloads(c.workloads)
			require.Len(t, found, 1)
			is(t, found[0], c.level, c.message)
			assert.Equal(t, c.workloads[0].Status.Remedy, found[0].Remedy)
		})
	}
	is(t, Workloads(workload(spec.Deployment, "", "", ""))[0].with("wait"), Warning, "not planned yet")
}

// with gives a finding a remedy that its status does not have.
func (f Finding) with(remedy string) Finding {
	f.Remedy = remedy
	return f
}

func TestAReplicaThatIsBlockedIsToldOf(t *testing.T) {
	found := Replicas([]api.Replica{
		{Metadata: api.Metadata{Name: "shop-web-1"}},
		{Metadata: api.Metadata{Name: "shop-web-2"}, Spec: api.ReplicaSpec{Workload: "web"}, Status: api.ReplicaStatus{Blocker: "its probe fails"}},
	})
	require.Len(t, found, 1)
	is(t, found[0], Warning, "its probe fails")
	assert.Equal(t, "`tend explain web`", found[0].Remedy)
}

func TestWithoutAControllerContainersAreCounted(t *testing.T) {
	labels := map[string]string{spec.LabelService: "web"}
	hook := map[string]string{spec.LabelService: "web", spec.LabelHook: "migrate"}
	p := &spec.Project{Workloads: map[string]*spec.Workload{
		"web": {Name: "web", Kind: spec.Deployment, Replicas: 2}, "once": {Name: "once", Kind: spec.Job, Replicas: 1},
	}}
	one := engine.Container{Labels: labels, State: engine.Running}
	sick := engine.Container{Labels: labels, State: engine.Running, Health: engine.Unhealthy}
	for name, c := range map[string]struct {
		containers []engine.Container
		level      Level
		message    string
	}{
		"all run":      {[]engine.Container{one, one}, OK, "2 of 2 containers run"},
		"too few":      {[]engine.Container{one, {Labels: labels, State: engine.Exited}, {Labels: hook, State: engine.Running}}, Failure, "1 of 2 containers run"},
		"an unhealthy": {[]engine.Container{one, sick}, Failure, "1 unhealthy"},
	} {
		t.Run(name, func(t *testing.T) {
			found := Containers(p, c.containers)
			require.Len(t, found, 1)
			is(t, found[0], c.level, c.message)
		})
	}
}

func TestAHealthEndpointThatFailsIsAFailure(t *testing.T) {
	found := Health([]Answer{
		{Workload: "web", Replica: "shop-web-1", Path: "/health"},
		{Workload: "web", Replica: "shop-web-1", Path: "/health", Err: errors.New("503 Service Unavailable")},
		{Workload: "web", Replica: "shop-web-1", Path: "/health", Unasked: errElsewhere},
	})
	require.Len(t, found, 3)
	is(t, found[0], OK, "answers")
	is(t, found[1], Failure, "503")
	is(t, found[2], NotTried, "not on this machine")
}

func TestTargetsThatAreDownAndAlertsThatFireAreFindings(t *testing.T) {
	const server = "http://localhost:9090"
	up, down := prometheus.Target{Health: "up"}, prometheus.Target{Labels: map[string]string{"job": "shop"}, ScrapeURL: "http://a/metrics", Health: "down", LastError: "refused"}
	found := Targets(server, []prometheus.Target{up, {Health: "unknown"}}, nil)
	require.Len(t, found, 1)
	is(t, found[0], OK, "none of 2 targets is down")
	found = Targets(server, []prometheus.Target{up, down}, nil)
	require.Len(t, found, 1)
	is(t, found[0], Failure, "refused")
	assert.Equal(t, "shop http://a/metrics", found[0].Object)
	is(t, Targets(server, nil, errTest)[0], Failure, "refused")

	alert := func(state, severity string) prometheus.Alert {
		return prometheus.Alert{
			State: state, Labels: map[string]string{"alertname": "ServiceDown", "severity": severity, "service": "web"},
			Annotations: map[string]string{"summary": "web is down", "runbook_url": "https://runbook#down"},
		}
	}
	found = Alerts(server, []prometheus.Alert{alert("pending", "critical")}, nil)
	require.Len(t, found, 1)
	is(t, found[0], OK, "none fires")
	found = Alerts(server, []prometheus.Alert{alert("firing", "critical"), alert("firing", "warning"), {State: "firing"}}, nil)
	require.Len(t, found, 3)
	is(t, found[0], Failure, "web is down")
	assert.Equal(t, [2]string{"ServiceDown web", "https://runbook#down"}, [2]string{found[0].Object, found[0].Remedy})
	is(t, found[1], Warning, "web is down")
	assert.Equal(t, "look at http://localhost:9090/alerts", found[2].Remedy)
	is(t, Alerts(server, nil, errTest)[0], Failure, "refused")
}
