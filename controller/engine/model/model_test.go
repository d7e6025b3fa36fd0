package model_test

import (
	"fmt"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"github.com/tendhq/tend/controller/engine/enginetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConformance(t *testing.T) {
	var projects atomic.Int64
	enginetest.Run(t, func(t *testing.T) enginetest.Harness {
		image := func(name string) string { return "tend-enginetest/" + name + ":1" }
		return enginetest.Model(t, fmt.Sprintf("model-%d", projects.Add(1)), image)
	})
}
