package logs

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAFilterSelectsLinesByTheirFields(t *testing.T) {
	const line = `{"level":"warn","status":500,"path":"/a b","text":"say \"x\"","nothing":null,"correlationId":"c-1"}`
	field := func(name, value string) Filter { return Filter{Fields: []Field{{[]string{name}, value}}} }
	for name, c := range map[string]struct {
		filter Filter
		line   string
		want   bool
	}{
		"no filter, no JSON":            {Filter{}, "plain", true},
		"a field, no JSON":              {field("status", "500"), "status=500", false},
		"a field, half of JSON":         {field("status", "500"), `{"status":500`, false},
		"a level, no JSON":              {Filter{Level: Debug}, "error", false},
		"a string":                      {field("path", "/a b"), line, true},
		"another string":                {field("path", "/a"), line, false},
		"a number":                      {field("status", "500"), line, true},
		"null":                          {field("nothing", "null"), line, true},
		"a string with escapes":         {field("text", `say "x"`), line, true},
		"a string that is escaped":      {field("path", "/<b>"), `{"path":"/\u003cb\u003e"}`, true},
		"the value of another field":    {field("path", "500"), line, false},
		"a field that is not there":     {field("none", ""), line, false},
		"both of two":                   {Filter{Level: Warn, Fields: []Field{{[]string{"status"}, "500"}, CorrelationID("c-1")}}, line, true},
		"one of two":                    {Filter{Fields: []Field{{[]string{"status"}, "500"}, CorrelationID("c-2")}}, line, false},
		"the other name":                {Filter{Fields: []Field{CorrelationID("c-1")}}, `{"correlation_id":"c-1"}`, true},
		"the level":                     {Filter{Level: Warn}, line, true},
		"a graver level than the least": {Filter{Level: Info}, line, true},
		"a level below":                 {Filter{Level: Error}, line, false},
		"a level in capitals":           {Filter{Level: Error}, `{"level":"ERROR"}`, true},
		"a graver level than an error":  {Filter{Level: Error}, `{"level":"fatal"}`, true},
		"a level after another one":     {Filter{Level: Error}, `{"of":{"level":"info"},"level" : "error"}`, true},
		"a level after a number":        {Filter{Level: Error}, `{"of":{"level":3},"level":"error"}`, true},
		"a level that is no text":       {Filter{Level: Debug}, `{"level":3}`, false},
		"no level":                      {Filter{Level: Debug}, `{"status":500}`, false},
	} {
		t.Run(name, func(t *testing.T) { assert.Equal(t, c.want, c.filter.Selects(c.line)) })
	}
}

func TestALevelIsOneOfFour(t *testing.T) {
	for _, text := range Levels {
		_, err := ParseLevel(text)
		assert.NoError(t, err)
	}
	_, err := ParseLevel("loud")
	assert.EqualError(t, err, `a level is one of debug, info, warn, error, and not "loud"`)
}

func TestATimeIsAnInstantOrHowLongAgo(t *testing.T) {
	now := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Time{"10m": now.Add(-10 * time.Minute), "2026-01-02T11:00:00Z": now.Add(-time.Hour)} {
		at, err := ParseTime(text, now)
		require.NoError(t, err)
		assert.Equal(t, want, at)
	}
	for _, text := range []string{"-1m", "noon", ""} {
		_, err := ParseTime(text, now)
		assert.Error(t, err)
	}
}

func TestOnlyLinesThatAreAskedForAreRead(t *testing.T) {
	e, l, out := newRecording()
	e.add("web-1", "web", at(1, `{"level":"error","n":1}`)+at(2, `{"level":"info","n":2}`)+at(4, `{"level":"error","n":4}`))
	e.add("db-1", "db", at(3, `{"level":"error","n":3}`))
	l.Workload, l.Options = "", Options{Until: time.Unix(3, 0), Filter: Filter{Level: Error}}
	containers, err := l.Containers(t.Context())
	require.NoError(t, err)
	require.NoError(t, l.Read(t.Context(), containers))
	assert.Equal(t, "shop-web-1 | {\"level\":\"error\",\"n\":1}\nshop-db-1 | {\"level\":\"error\",\"n\":3}\n", out.String())
}

func BenchmarkSelects(b *testing.B) {
	const line = `{"level":"info","ts":"2026-01-02T12:00:00.000Z","msg":"request","service":"order-service","method":"GET","path":"/orders","status":200,"duration":0.0123,"requestId":"0b8c7f0e-6a57-4d3c-9d6a-5f0b5d8a2a11","correlationId":"9a1f6f0e-5a52-4f8e-9a39-6b1f6d2c7e42"}`
	for name, f := range map[string]Filter{
		"level": {Level: Error}, "correlation id": {Fields: []Field{CorrelationID("c-1")}},
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(line)))
			for b.Loop() {
				f.Selects(line)
			}
		})
	}
}
