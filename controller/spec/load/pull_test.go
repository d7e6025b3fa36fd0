package load

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What pull_policy and x-tend say, and how often the registry is asked by that.
func TestHowAnImageIsFollowed(t *testing.T) {
	const day = 24 * time.Hour
	for service, want := range map[string]struct {
		policy           string
		here, everywhere time.Duration // without and with an interval at the top of the file
	}{
		"image: a":                                                      {types.PullPolicyMissing, 0, 30 * time.Minute},
		"image: a, pull_policy: missing":                                {types.PullPolicyMissing, 0, 30 * time.Minute},
		"image: a, pull_policy: if_not_present":                         {types.PullPolicyMissing, 0, 30 * time.Minute},
		"image: a, pull_policy: never":                                  {types.PullPolicyNever, 0, 0},
		"image: a, pull_policy: always":                                 {types.PullPolicyAlways, 0, 30 * time.Minute},
		"image: a, pull_policy: daily":                                  {types.PullPolicyMissing, day, 30 * time.Minute},
		"image: a, pull_policy: weekly":                                 {types.PullPolicyMissing, 7 * day, 30 * time.Minute},
		"image: a, pull_policy: every_12h":                              {types.PullPolicyMissing, 12 * time.Hour, 30 * time.Minute},
		"image: a, pull_policy: every_1d12h":                            {types.PullPolicyMissing, 36 * time.Hour, 30 * time.Minute},
		"image: a, x-tend: {pullInterval: 1h}":                          {types.PullPolicyMissing, time.Hour, time.Hour},
		"image: a, pull_policy: daily, x-tend: {pullInterval: 1h}":      {types.PullPolicyMissing, time.Hour, time.Hour},
		"image: a, pull_policy: always, x-tend: {pullInterval: 1h}":     {types.PullPolicyAlways, time.Hour, time.Hour},
		"build: ., pull_policy: daily":                                  {types.PullPolicyNever, 0, 0},
		"image: a, build: ., pull_policy: always":                       {types.PullPolicyNever, 0, 0},
		"image: a, build: ., x-tend: {pullInterval: 1h, keepImages: 3}": {types.PullPolicyNever, 0, 0},
	} {
		for top, interval := range map[string]time.Duration{"": want.here, "x-tend: {pullInterval: 30m}\n": want.everywhere} {
			dir := t.TempDir()
			write(t, filepath.Join(dir, "compose.yaml"), top+"services: {web: {"+service+"}}\n")
			p, err := Project(t.Context(), Options{ProjectDirectory: dir})
			require.NoError(t, err, service)
			w := p.Workloads["web"]
			assert.Equal(t, want.policy, w.PullPolicy, service)
			assert.Equal(t, interval, w.PullInterval, "%s%s", top, service)
			assert.Equal(t, w.PullPolicy == types.PullPolicyAlways || interval > 0, w.Pinned(), "%s%s", top, service)
		}
	}
}

func TestAnIntervalThatIsNoneIsRefused(t *testing.T) {
	for service, problem := range map[string]string{
		"pull_policy: every_day":        "pull_policy",
		"pull_policy: hourly":           "pull_policy",
		"x-tend: {pullInterval: 0s}":    "pullInterval must be a duration of 1s or more",
		"x-tend: {pullInterval: 12}":    "pullInterval must be a duration of 1s or more",
		"x-tend: {pullInterval: daily}": "pullInterval must be a duration of 1s or more",
		"x-tend: {keepImages: 0}":       "keepImages must be a whole number of 1 or more",
	} {
		dir := t.TempDir()
		write(t, filepath.Join(dir, "compose.yaml"), "services:\n  web:\n    image: a\n    "+service+"\n")
		_, err := Project(t.Context(), Options{ProjectDirectory: dir})
		require.ErrorContains(t, err, problem, service)
		assert.ErrorContains(t, err, "compose.yaml:4:", service)
	}
}
