package main

import (
	"bufio"
	"context"
	"io"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTheDemoPlaysInMemoryWithoutAnythingSetUp(t *testing.T) {
	require.NoError(t, rehearse(t.Context(), "../..", false))
}

func TestAStepWaitsForEnter(t *testing.T) {
	in, keys := io.Pipe()
	s := &screen{step: true, enter: bufio.NewReader(in)}
	paused := make(chan error, 1)
	go func() { paused <- s.pause(t.Context()) }()
	_, err := io.WriteString(keys, "x")
	require.NoError(t, err)
	assert.Empty(t, paused)
	_, err = io.WriteString(keys, "\n")
	require.NoError(t, err)
	require.NoError(t, <-paused)

	require.NoError(t, keys.Close())
	require.ErrorContains(t, s.pause(t.Context()), "nobody can press Enter")

	blocked, _ := io.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, (&screen{step: true, enter: bufio.NewReader(blocked)}).pause(ctx), context.Canceled)
}
