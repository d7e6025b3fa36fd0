package syntax

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestNearestFindsTyposOnly(t *testing.T) {
	known := []string{"replicas", "strategy", "template", "paused"}
	for written, want := range map[string]string{
		"replica": "replicas", "relpicas": "replicas", "Replicas": "replicas", "templtae": "template",
		"puased": "paused", "readinessProbe": "", "x": "",
	} {
		assert.Equal(t, want, Nearest(written, known), written)
	}
}
