package plan

import (
	"errors"
	"hash/fnv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/core"
)

// What a registry is asked for, and what is pulled of what it answers.
func TestAnImageIsFollowed(t *testing.T) {
	const has, newest = "sha256:1111111111111111", "sha256:2222222222222222"
	spread := fnv.New32a()
	_, _ = spread.Write([]byte("web:1"))
	// A tenth of the interval is 6 minutes.
	due := time.Hour + 6*time.Minute*time.Duration(spread.Sum32()%1000)/1000
	pullNewest := core.Action{Kind: core.PullImage, Object: "web:1", Cause: "image web:1 is another one in its registry, 222222222222"}
	ask := core.Action{Kind: core.AskRegistry, Object: "web:1"}
	for _, c := range []struct {
		name   string
		change func(*core.Resource)
		want   core.Action
		next   time.Time
	}{
		{"it was never asked for", func(r *core.Resource) { r.AskedAt = time.Time{} }, ask, time.Time{}},
		{"it was asked for a moment ago", func(*core.Resource) {}, core.Action{}, noon.Add(due)},
		{"it was asked for an interval ago", func(r *core.Resource) { r.AskedAt = noon.Add(-due) }, ask, time.Time{}},
		{"its registry has the same", func(r *core.Resource) { r.Newest = has }, core.Action{}, noon.Add(due)},
		{"its registry has another", func(r *core.Resource) { r.Newest = newest }, pullNewest, time.Time{}},
		{"the other one was pulled for", func(r *core.Resource) { r.Newest, r.PulledFor = newest, newest }, core.Action{}, noon.Add(due)},
		{"it is not followed", func(r *core.Resource) { r.Newest, r.PullInterval = newest, 0 }, core.Action{}, time.Time{}},
		{"it is to be pulled", func(r *core.Resource) { r.PullInterval, r.PullAfter = 0, noon }, core.Action{Kind: core.PullImage, Object: "web:1", Cause: "pull_policy of image web:1 is always"}, time.Time{}},
		{"a pull has failed", func(r *core.Resource) {
			r.Newest, r.Attempt = newest, core.Attempt{Count: 1, At: noon.Add(-9 * time.Second)}
		}, core.Action{}, noon.Add(time.Second)},
		{"a pull has failed, and its time has come", func(r *core.Resource) {
			r.Newest, r.Attempt = newest, core.Attempt{Count: 1, At: noon.Add(-10 * time.Second)}
		}, pullNewest, time.Time{}},
		{"two pulls have failed", func(r *core.Resource) {
			r.Newest, r.Attempt = newest, core.Attempt{Count: 2, At: noon}
		}, core.Action{}, noon.Add(20 * time.Second)},
	} {
		r := core.Resource{Kind: core.ImageResource, Name: "web:1", Known: true, Present: true, Digest: has, PullInterval: time.Hour, AskedAt: noon}
		c.change(&r)
		p := ComputeProject(ProjectInput{Now: noon, Resources: []core.Resource{r}})
		if c.want.Kind == "" {
			assert.Empty(t, p.Actions, c.name)
		} else {
			assert.Equal(t, []core.Action{c.want}, p.Actions, c.name)
			assert.Equal(t, core.Attempt{Count: r.Attempt.Count + 1, At: noon}, p.Resources[0].Attempt, c.name)
		}
		assert.Equal(t, c.next, p.Next, c.name)
	}
}

func TestWhatIsKnownOfAnImageAfterAnAction(t *testing.T) {
	tried := core.Attempt{Count: 3, At: noon}
	before := core.Resource{Present: true, Newest: "a", AskedAt: noon, RegistryError: "gone", Attempt: tried}
	later := noon.Add(time.Minute)
	failed := errors.New("no route to host")
	for _, c := range []struct {
		kind core.ActionKind
		err  error
		want core.Resource
	}{
		{core.AskRegistry, nil, core.Resource{Present: true, Newest: "b", AskedAt: later}},
		{core.AskRegistry, failed, core.Resource{Present: true, Newest: "a", AskedAt: noon, RegistryError: "no route to host", Attempt: tried}},
		{core.PullImage, nil, core.Resource{Present: true, Newest: "a", AskedAt: noon, PulledAt: later, PulledFor: "a"}},
		{core.PullImage, failed, core.Resource{Present: true, Newest: "a", AskedAt: noon, RegistryError: "gone", Attempt: core.Attempt{Count: 3, At: noon, Error: "no route to host"}}},
		{core.CreateNetwork, nil, core.Resource{Present: true, Newest: "a", AskedAt: noon}},
		{core.CreateNetwork, failed, core.Resource{Present: true, Newest: "a", AskedAt: noon, RegistryError: "gone", Attempt: core.Attempt{Count: 3, At: noon, Error: "no route to host"}}},
	} {
		assert.Equal(t, c.want, ResourceActed(before, core.Action{Kind: c.kind}, core.RegistryAnswer{Digest: "b"}, c.err, later), "%s %v", c.kind, c.err)
	}
}

// Where an engine says that it has pulled an image, or made a network, and it is not there,
// nothing is gained by doing so again at once.
func TestWhatWasMadeAndIsNotThereIsMadeAgainNoSoonerThanAfterAFailure(t *testing.T) {
	r := core.Resource{Kind: core.ImageResource, Name: "web:1", Known: true}
	at := noon
	for _, wait := range []time.Duration{10 * time.Second, 20 * time.Second, 40 * time.Second} {
		p := ComputeProject(ProjectInput{Now: at, Resources: []core.Resource{r}})
		require.Len(t, p.Actions, 1)
		r = ResourceActed(p.Resources[0], p.Actions[0], core.RegistryAnswer{}, nil, at)
		p = ComputeProject(ProjectInput{Now: at.Add(time.Second), Resources: []core.Resource{r}})
		assert.Empty(t, p.Actions)
		assert.Equal(t, at.Add(wait), p.Next)
		at = p.Next
	}
}

// A registry that asks to be left alone is, however short the back-off would be.
func TestARegistryIsLeftAloneForAsLongAsItAsks(t *testing.T) {
	r := core.Resource{Kind: core.ImageResource, Name: "web:1", Known: true, Present: true, Digest: "a", PullInterval: time.Hour}
	r.Attempt = core.Attempt{Count: 1, At: noon}
	r = ResourceActed(r, core.Action{Kind: core.AskRegistry}, core.RegistryAnswer{RetryAfter: 2 * time.Hour}, errors.New("429 Too Many Requests"), noon)
	p := ComputeProject(ProjectInput{Now: noon.Add(2*time.Hour - time.Second), Resources: []core.Resource{r}})
	assert.Empty(t, p.Actions)
	assert.Equal(t, noon.Add(2*time.Hour), p.Next)
	p = ComputeProject(ProjectInput{Now: noon.Add(2 * time.Hour), Resources: []core.Resource{r}})
	assert.Equal(t, []core.Action{{Kind: core.AskRegistry, Object: "web:1"}}, p.Actions)
}

func TestEachProblemOfAResourceHasItsRemedy(t *testing.T) {
	for _, c := range []struct {
		r               core.Resource
		problem, remedy string
	}{
		{core.Resource{Present: true, External: true}, "", ""},
		{core.Resource{External: true, NoPull: true}, "network back is external and does not exist", "create it with docker network create back"},
		{core.Resource{DataOf: "db", NoPull: true}, "network back held the data of db and is gone", "bring it back, or for an empty database make one with docker volume create back"},
		{core.Resource{NoPull: true, Attempt: core.Attempt{Error: "x"}}, "network back is not there and its pull_policy is never or build", "build it with tend build, or pull it"},
		{core.Resource{Attempt: core.Attempt{Error: "x"}}, "network back: x", correctTry},
		{core.Resource{}, "network back", ""},
	} {
		c.r.Kind, c.r.Name = core.NetworkResource, "back"
		assert.Equal(t, c.problem, resourceProblem(c.r))
		assert.Equal(t, c.remedy, resourceRemedy(c.r))
	}
}

// Of four images of one repository two are to be kept.
func TestOldImagesGoThatNobodyNeeds(t *testing.T) {
	image := func(id string, minutes int, names ...string) core.LocalImage {
		return core.LocalImage{ID: id, Names: names, Created: noon.Add(time.Duration(minutes) * time.Minute)}
	}
	all := func() []core.LocalImage {
		return []core.LocalImage{
			image("b", 1, "docker.io/shop/web:2"), image("d", 3, "docker.io/shop/web:4"),
			image("a", 0, "docker.io/shop/web:1"), image("c", 2, "docker.io/shop/web:3"),
			image("other", -9, "docker.io/shop/api:1"), image("both", -9, "docker.io/shop/web:0", "docker.io/shop/api:0"),
		}
	}
	pruned := func(change func(*ProjectInput, []core.LocalImage)) (removed []string, next time.Time) {
		in := ProjectInput{Now: noon, Images: all(), Keep: map[string]int{"docker.io/shop/web": 2}}
		change(&in, in.Images)
		p := ComputeProject(in)
		for _, a := range p.Actions {
			assert.Equal(t, core.RemoveImage, a.Kind)
			assert.Equal(t, "keepImages is 2, and nothing needs it", a.Cause)
			removed = append(removed, a.ID+" "+a.Object)
		}
		assert.Len(t, p.Images, len(removed))
		return removed, p.Next
	}
	const first, second = "a docker.io/shop/web:1", "b docker.io/shop/web:2"
	for _, c := range []struct {
		name   string
		change func(*ProjectInput, []core.LocalImage)
		want   []string
	}{
		{"the oldest go", func(*ProjectInput, []core.LocalImage) {}, []string{second, first}},
		{"a revision names it", func(in *ProjectInput, _ []core.LocalImage) { in.History = []string{"shop/web:1"} }, []string{second}},
		{"a revision has its ID", func(in *ProjectInput, _ []core.LocalImage) { in.History = []string{"b"} }, []string{first}},
		{"a workload names it", func(in *ProjectInput, _ []core.LocalImage) {
			in.Resources = []core.Resource{{Kind: core.ImageResource, Name: "shop/web:1"}}
		}, []string{second}},
		{"a workload's name stands for it", func(in *ProjectInput, _ []core.LocalImage) {
			in.Resources = []core.Resource{{Kind: core.ImageResource, Name: "web:9", ID: "b"}}
		}, []string{first}},
		{"a network has its name", func(in *ProjectInput, _ []core.LocalImage) {
			in.Resources = []core.Resource{{Kind: core.NetworkResource, Name: "shop/web:1", ID: "b", Known: true, Present: true}}
		}, []string{second, first}},
		{"a container was made from it", func(_ *ProjectInput, i []core.LocalImage) { i[0].InUse = true }, []string{first}},
		{"it is being removed", func(_ *ProjectInput, i []core.LocalImage) { i[0].InFlight = true }, []string{first}},
		{"it has two tags", func(_ *ProjectInput, i []core.LocalImage) {
			i[0].Names = append(i[0].Names, "docker.io/shop/web:two")
		}, []string{first}},
		{"it has a tag and a digest", func(_ *ProjectInput, i []core.LocalImage) {
			i[0].Names = append(i[0].Names, "docker.io/shop/web@sha256:"+strings.Repeat("1", 64))
		}, []string{second, first}},
		{"more are kept than there are", func(in *ProjectInput, _ []core.LocalImage) { in.Keep["docker.io/shop/web"] = 9 }, nil},
	} {
		removed, _ := pruned(c.change)
		assert.Equal(t, c.want, removed, c.name)
	}
	removed, next := pruned(func(_ *ProjectInput, i []core.LocalImage) { i[0].Attempt = core.Attempt{Count: 1, At: noon} })
	assert.Equal(t, []string{first}, removed, "what could not be removed is tried again later")
	assert.Equal(t, noon.Add(10*time.Second), next)
}
