package watch

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/api"
	"github.com/tendhq/tend/controller/core"
)

var update = flag.Bool("update", false, "write the golden frames")

// plain is a frame without its colours.
func (s *screen) plain() string {
	lines := strings.Split(ansi.Strip(s.model.Frame()), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimRight(line, " ")
	}
	return strings.Join(lines, "\n") + "\n"
}

// goldenly compares a frame with the one that is kept.
func (s *screen) goldenly(name string) {
	s.t.Helper()
	path := filepath.Join("testdata", name+".txt")
	if *update {
		require.NoError(s.t, os.WriteFile(path, []byte(s.plain()), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(s.t, err)
	assert.Equal(s.t, string(want), s.plain())
}

func TestFramesAreTheGoldenOnes(t *testing.T) {
	for _, c := range []struct {
		name          string
		width, height int
		keys          string
	}{
		{"small", 80, 24, ""},
		{"medium", 110, 30, "down"},
		{"large", 200, 60, "end"},
		{"narrow", 60, 15, "end"},
		{"chosen", 80, 24, "end right right"},
		{"filtered", 80, 24, "/ o r enter"},
		{"filter-without-a-match", 80, 24, "/ z z z"},
		{"events-filtered", 80, 24, "tab / b a c k enter"},
		{"events-scrolled", 80, 24, "tab up up"},
		{"by-outcome", 80, 24, "s"},
		{"help", 80, 24, "?"},
		{"kill", 80, 24, "end x"},
		{"pause-all", 120, 30, "P"},
		{"status", 80, 24, "end enter"},
		{"status-large", 200, 60, "end enter"},
		{"replicas", 80, 24, "end enter 2 down"},
		{"revisions", 80, 24, "end enter 3"},
		{"revisions-compared", 80, 24, "end enter 3 down space down"},
		{"workload-events", 80, 24, "end enter 4"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newScreen(t, c.width, c.height, shop()...)
			s.press(strings.Fields(c.keys)...)
			s.goldenly(c.name)
		})
	}
}

func TestAFrameFitsItsScreen(t *testing.T) {
	for _, keys := range []string{"", "end enter", "enter 2", "enter 3", "enter 4", "?", "x", "/ a", "P"} {
		for width := 1; width < 230; width += 7 {
			for _, height := range []int{1, 2, 5, 9, 10, 11, 15, 24, 60} {
				s := newScreen(t, width, height, shop()...)
				s.press(strings.Fields(keys)...)
				lines := strings.Split(s.model.Frame(), "\n")
				require.LessOrEqual(t, len(lines), height, "%q at %d×%d", keys, width, height)
				for _, line := range lines {
					require.LessOrEqual(t, ansi.StringWidth(line), width, "%q at %d×%d: %s", keys, width, height, line)
				}
			}
		}
	}
}

func TestATinyTerminalIsToldWhatIsNeeded(t *testing.T) {
	s := newScreen(t, 20, 5, shop()...)
	assert.Equal(t, "tend watch needs 40×10 characters, and this terminal has 20×5", strings.Join(strings.Fields(s.plain()), " "))
	s.send(tea.WindowSizeMsg{Width: 80, Height: 24})
	assert.Contains(t, s.plain(), "▸ cache")
}

func TestEveryPhaseReadsWithoutColour(t *testing.T) {
	seen := map[string]core.Phase{}
	for _, p := range phases {
		letter := letters[p]
		require.Len(t, letter, 1, p)
		require.NotContains(t, seen, letter)
		seen[letter] = p
		assert.Contains(t, newTheme(true).tiles, p)
	}
	marks := map[string]bool{}
	for _, l := range looks {
		require.False(t, marks[l.mark], l.mark)
		marks[l.mark] = true
	}
}

func TestBothBackgroundsHaveColoursOfTheirOwn(t *testing.T) {
	s := newScreen(t, 80, 24, shop()...)
	dark := s.model.Frame()
	s.send(tea.BackgroundColorMsg{Color: ansi.BrightWhite})
	assert.NotEqual(t, dark, s.model.Frame())
	assert.Equal(t, ansi.Strip(dark), ansi.Strip(s.model.Frame()))
}

func TestAVerbIsDoneAndItsCommandShown(t *testing.T) {
	for _, c := range []struct{ keys, asked, shown string }{
		{"r", "restart cache", "$ tend rollout restart cache  ✔"},
		{"p", "pause cache", "$ tend rollout pause cache  ✔"},
		{"c", "resume cache", "$ tend rollout resume cache  ✔"},
		{"u", "undo cache", "$ tend rollout undo cache  ✔"},
		{"+ + +", "scale cache 6", "$ tend scale cache --replicas 6  ✔"},
		{"down -", "scale db 0", "$ tend scale db --replicas 0  ✔"},
		{"right x y", "kill shop-cache-2", "$ tend kill shop-cache-2  ✔"},
		{"end enter r", "restart web", "$ tend rollout restart web  ✔"},
		{"/ o r d enter P y", "pause cache pause db pause gateway pause orders pause payments pause search pause web", "✔"},
	} {
		s := newScreen(t, 100, 24, shop()...)
		var later []tea.Cmd
		for _, key := range strings.Fields(c.keys) {
			later = append(later, s.send(keyOf(key)))
		}
		for _, cmd := range later {
			s.happen(cmd)
		}
		assert.Equal(t, c.asked, strings.Join(s.asked, " "), c.keys)
		assert.Contains(t, s.plain(), c.shown, c.keys)
	}
}

func TestARefusedQuestionChangesNothing(t *testing.T) {
	for _, key := range []string{"n", "esc", "x"} {
		s := newScreen(t, 80, 24, shop()...)
		s.press("x", key)
		assert.Empty(t, s.asked)
		assert.NotContains(t, s.plain(), "y/n")
	}
}

func TestAVerbThatFailsTellsWhy(t *testing.T) {
	s := newScreen(t, 100, 24, shop()...)
	s.model.verbs = verbs(&s.asked, errors.New("the rollout is paused: resume it first"))
	s.press("r")
	assert.Contains(t, s.plain(), "✖ the rollout is paused: resume it first")
	s.press("+")
	s.press("+")
	assert.Equal(t, []string{"restart cache", "scale cache 4", "scale cache 4"}, s.asked, "what was refused is no number to count on from")
}

func TestTheNumberOfReplicasCountsOnUntilItIsInForce(t *testing.T) {
	s := newScreen(t, 100, 24, shop()...)
	s.press("+")
	s.press("+")
	assert.Equal(t, []string{"scale cache 4", "scale cache 5"}, s.asked)
	s.send(becomes(workload("cache", 5, core.OutcomeMoving, func(*api.Workload) {})))
	s.send(becomes(workload("cache", 1, core.OutcomeMoving, func(*api.Workload) {})))
	s.press("+")
	assert.Equal(t, "scale cache 2", s.asked[2])
}

func TestTheReadTokenHasNoVerbs(t *testing.T) {
	s := newScreen(t, 100, 24, shop()...)
	all := s.model.workloads
	read := everything(all, nil, nil)
	read.session = api.Session{Role: "read"}
	s.send(read)
	for _, key := range []string{"r", "p", "c", "u", "+", "-", "x", "P", "C"} {
		s.press(key)
	}
	assert.Empty(t, s.asked)
	assert.Contains(t, s.plain(), "this token can only read")
	s.send(tickMsg(noon.Add(time.Minute)))
	assert.NotContains(t, s.plain(), "restart")
	assert.Contains(t, s.plain(), "● read-only")
}

// Swarm's API kills no task, so that the key is not offered there.
func TestNothingIsKilledOnASwarm(t *testing.T) {
	s := newScreen(t, 140, 40, shop()...)
	assert.Contains(t, s.plain(), "x kill")
	on := everything(s.model.workloads, nil, nil)
	project := s.model.project
	project.Status.Swarm = true
	on.project = &project
	s.send(on)
	s.press("x")
	assert.NotContains(t, s.plain(), "y/n")
	assert.NotContains(t, s.plain(), "x kill")
	s.press("?")
	assert.NotContains(t, s.plain(), "tend kill")
}

func TestAControllerThatIsAwayIsTold(t *testing.T) {
	s := newScreen(t, 80, 24)
	assert.Contains(t, s.plain(), "connecting")
	for _, msg := range shop() {
		s.send(msg)
	}
	s.send(awayMsg{errors.New("nobody answers")})
	s.send(tickMsg(noon.Add(12 * time.Second)))
	assert.Contains(t, s.plain(), "○ controller away for 12s")
	assert.Contains(t, s.plain(), "▸ cache", "what was known stays")
	s.send(everything([]*api.Workload{workload("db", 1, core.OutcomeConverged, func(*api.Workload) {})}, nil, []api.Event{event(1, core.Normal, "db", "Created", "again")}))
	assert.Contains(t, s.plain(), "● live")
	assert.Contains(t, s.plain(), "▸ db")
	assert.NotContains(t, s.plain(), "cache", "all begins anew")
	assert.NotContains(t, s.plain(), "RolloutStarted", "the events too")
}

func TestAControllerOfAnotherVersionIsTold(t *testing.T) {
	s := newScreen(t, 100, 24, shop()...)
	assert.NotContains(t, s.plain(), "controller 1.0.0")
	s.send(changesMsg{project: project("2.0.0")})
	assert.Contains(t, s.plain(), "controller 2.0.0, this is 1.0.0")
}

func TestLogsAreFollowedUntilThePageIsLeft(t *testing.T) {
	s := newScreen(t, 80, 24, shop()...)
	s.press("end", "enter")
	cmd := s.send(keyOf("5"))
	both := cmd().(tea.BatchMsg)
	ended := make(chan struct{})
	go func() { both[0](); close(ended) }()
	for len(s.model.detail.lines) < 3 {
		s.send(both[1]())
	}
	assert.Contains(t, s.plain(), `12:00:01 shop-web-2 request 1 took \u001b[31m3ms`)
	s.press("/", "2", "enter")
	assert.Contains(t, s.plain(), "request 2")
	assert.NotContains(t, s.plain(), "request 0")
	s.press("esc", "1")
	<-ended
	assert.NotContains(t, s.plain(), "request 1")
}

func TestALogThatCannotBeReadTellsWhy(t *testing.T) {
	s := newScreen(t, 80, 24, shop()...)
	s.model.sources.Logs = func(context.Context, string, func(api.LogLine)) error { return errors.New("no engine answers") }
	s.press("enter", "5")
	assert.Contains(t, s.plain(), "no engine answers")
}

func TestAWorkloadThatIsTakenAwayWhileItIsOpen(t *testing.T) {
	s := newScreen(t, 80, 24, shop()...)
	s.press("end", "enter")
	s.send(changesMsg{workloads: []workloadChange{{Workload: &api.Workload{Metadata: api.Metadata{Name: "web"}}, gone: true}}})
	assert.Contains(t, s.plain(), "web is not kept any more")
	s.press("esc")
	assert.Contains(t, s.plain(), "▸ cache")
	s.send(everything(nil, nil, nil))
	assert.Contains(t, s.plain(), "nothing is kept")
}

func TestManyReplicasAreCountedWhereTheyDoNotFit(t *testing.T) {
	s := newScreen(t, 80, 24, shop()...)
	line := strings.Split(s.plain(), "\n")[4]
	assert.Contains(t, line, "gateway")
	assert.Contains(t, line, "24R")
}

func TestTilesHaveTheRoomThatTheRevisionDoesNotNeed(t *testing.T) {
	for width, tiles := range map[int]string{80: "RRRRRRRRRR", 110: "R R R R R R R R R R", 200: "R R R R R R R R R R"} {
		s := newScreen(t, width, 24, shop()...)
		for n := range 10 {
			r := replica("notification-service", n+1, core.PhaseReady, after)
			s.send(changesMsg{replicas: []replicaChange{{Replica: r}}})
		}
		s.send(becomes(workload("notification-service", 10, core.OutcomeConverged, func(*api.Workload) {})))
		s.press("/", "n", "o", "t", "i", "enter", "esc")
		shown := strings.NewReplacer("[", " ", "]", " ").Replace(s.plain())
		assert.Contains(t, strings.Join(strings.Fields(shown), " "), "10/10 "+tiles, "%d columns", width)
	}
}

func TestReplicasComeChangeAndGo(t *testing.T) {
	s := newScreen(t, 80, 24, shop()...)
	s.press("/", "s", "e", "a", "enter")
	change := func(gone bool, number int, id string, phase core.Phase) {
		r := replica("search", number, phase, after)
		r.Status.ContainerID = id
		s.send(changesMsg{replicas: []replicaChange{{Replica: r, gone: gone}}})
	}
	tiles := func() string { return strings.Join(strings.Fields(strings.Split(s.plain(), "\n")[2])[6:9], " ") }
	assert.Equal(t, "· · ·", tiles())
	change(false, 2, "b", core.PhaseCreating)
	change(false, 1, "a", core.PhaseStarting)
	assert.Equal(t, "[S] C ·", tiles(), "in order of number")
	change(false, 1, "a", core.PhaseReady)
	assert.Equal(t, "[R] C ·", tiles())
	change(true, 1, "a", core.PhaseReady)
	assert.Equal(t, "[C] · ·", tiles())
}

func TestTheCursorStaysOnItsWorkload(t *testing.T) {
	s := newScreen(t, 80, 24, shop()...)
	s.press("end")
	s.press("s")
	assert.Equal(t, "web", s.model.cursor)
	s.press("/", "w", "e", "b", "esc")
	assert.Equal(t, "web", s.model.cursor)
	s.press("/", "d", "b", "enter")
	assert.Equal(t, "db", s.model.cursor)
	s.press("esc")
	assert.Len(t, s.model.rows, 8)
}

func TestOnlyQuitQuits(t *testing.T) {
	s := newScreen(t, 80, 24, shop()...)
	require.NotNil(t, s.send(keyOf("q")))
	assert.IsType(t, tea.QuitMsg{}, s.send(keyOf("q"))())
	s.press("enter")
	assert.Nil(t, s.send(keyOf("q")), "it closes the workload")
	assert.Nil(t, s.model.detail)
}

// BenchmarkFrame measures one change of the largest project, and the frame that follows.
func BenchmarkFrame(b *testing.B) {
	var workloads []*api.Workload
	var replicas []*api.Replica
	traffic := trafficMsg{}
	for i := range 300 {
		name := fmt.Sprintf("workload-%03d", i)
		workloads = append(workloads, workload(name, 10, core.OutcomeMoving, func(w *api.Workload) { w.Status.CurrentRevision = before }))
		for n := range 10 {
			replicas = append(replicas, replica(name, n+1, phases[(i+n)%len(phases)], []string{before, after}[n%2]))
		}
		traffic[name] = rate{requests: float64(i), p99: time.Millisecond}
	}
	for _, size := range []tea.WindowSizeMsg{{Width: 80, Height: 24}, {Width: 200, Height: 60}} {
		b.Run(fmt.Sprintf("%dx%d", size.Width, size.Height), func(b *testing.B) {
			var m tea.Model = newModel(b.Context(), Options{}, noon)
			all := everything(workloads, replicas, nil)
			for _, msg := range []tea.Msg{size, traffic, all} {
				m, _ = m.Update(msg)
			}
			for i := 0; b.Loop(); i++ {
				// A tenth of all replicas changes from one frame to the next.
				from := i % 10 * len(replicas) / 10
				m, _ = m.Update(changesMsg{workloads: all.workloads[i%10*30:][:30], replicas: all.replicas[from:][:len(replicas)/10]})
				_ = m.(Model).Frame()
			}
		})
	}
}
