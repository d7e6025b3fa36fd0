package cli

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/logs"
)

func TestTheFlagsOfLogsSelectLines(t *testing.T) {
	now := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	o, err := logQuery{}.options(now)
	require.NoError(t, err)
	assert.Equal(t, logs.Options{}, o)
	o, err = logQuery{
		tail: 5, level: "warn", fields: []string{"path=/a=b", "empty="}, correlationID: "c-1", since: "1h", until: "2026-01-02T11:30:00Z",
	}.options(now)
	require.NoError(t, err)
	assert.Equal(t, logs.Options{
		Tail: 5, Since: now.Add(-time.Hour), Until: now.Add(-30 * time.Minute),
		Filter: logs.Filter{Level: logs.Warn, Fields: []logs.Field{
			{Names: []string{"path"}, Value: "/a=b"}, {Names: []string{"empty"}}, logs.CorrelationID("c-1"),
		}},
	}, o)
}
