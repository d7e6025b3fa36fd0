package enginetest

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAlikeForgivesWhatItSaysAndNothingElse(t *testing.T) {
	for _, c := range []struct {
		engine, model string
		alike         bool
	}{
		{"create start die destroy", "create start die destroy", true},
		{"", "", true},

		{"pause kill die", "pause kill unpause die", true},
		{"pause kill unpause die", "pause kill unpause die", true},
		{"pause kill kill unpause die", "pause kill unpause kill die", true},
		{"pause kill kill die", "pause kill unpause kill die", true},
		{"pause kill die unpause", "pause kill unpause die", false},
		{"pause die", "pause unpause die", false},
		{"pause kill unpause die", "pause kill die", false},

		{"pause kill unpause health_status die", "pause kill unpause health_status die", true},
		{"pause kill unpause die", "pause kill unpause health_status die", true},
		{"pause kill die", "pause kill unpause health_status die", true},
		{"pause kill unpause kill die", "pause kill unpause health_status kill die", true},
		{"pause kill kill unpause die", "pause kill unpause health_status kill die", true},
		{"pause unpause die", "pause unpause health_status die", false},
		{"start kill die", "start kill health_status die", false},

		{"start health_status health_status die", "start health_status die", true},
		{"start health_status die", "start health_status health_status die", false},
		{"start health_status health_status kill die", "start health_status kill die", false},
		{"start health_status", "start", false},

		{"pause unpause pause unpause health_status", "pause unpause health_status", true},
		{"pause unpause health_status pause unpause health_status die", "pause unpause health_status die", true},
		{"pause unpause health_status pause unpause health_status kill die", "pause unpause health_status kill die", true},
		{"pause unpause health_status pause unpause health_status", "pause unpause health_status pause unpause health_status", true},
		{"pause unpause", "pause unpause pause unpause", false},
		{"start pause unpause", "start", false},
		{"pause unpause pause die", "pause unpause die", false},

		{"start die stop", "start stop die", false},
		{"start die", "start die destroy", false},
		{"start die destroy", "start die", false},
	} {
		require.Equal(t, c.alike, alike(strings.Fields(c.engine), strings.Fields(c.model)), "%s; the model: %s", c.engine, c.model)
	}
}
