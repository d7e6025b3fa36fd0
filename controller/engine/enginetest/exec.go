package enginetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/engine/enginetest/process"
)

var execCases = []testCase{
	{"a command's code and outputs come back", func(f *fixture) {
		id := f.runs("1", Runs)
		var stdout, stderr bytes.Buffer
		e := command("-say=out", "-warn=err", "-code=7")
		e.Stdout, e.Stderr = &stdout, &stderr
		code, err := f.Engine.Exec(f.Context(), id, e)
		require.NoError(f, err)
		require.Equal(f, 7, code)
		require.Equal(f, "out", stdout.String())
		require.Equal(f, "err", stderr.String())
	}},
	{"outputs that nobody wants are discarded", func(f *fixture) {
		code, err := f.Engine.Exec(f.Context(), f.runs("1", Runs), command("-say=out", "-warn=err"))
		require.NoError(f, err)
		require.Zero(f, code)
	}},
	{"a command has the user and the variables that it is given", func(f *fixture) {
		id := f.runs("1", Runs)
		var stdout bytes.Buffer
		e := command("-env=COLOUR", "-user")
		e.Stdout, e.User, e.Env = &stdout, "1234", []string{"COLOUR=red "}
		code, err := f.Engine.Exec(f.Context(), id, e)
		require.NoError(f, err)
		require.Zero(f, code)
		require.Equal(f, "red 1234", stdout.String())
	}},
	{"a command reads its input to the end and writes as much", func(f *fixture) {
		id := f.runs("1", Runs)
		input := make([]byte, 5<<20)
		_, _ = rand.NewChaCha8([32]byte{}).Read(input)
		var stdout bytes.Buffer
		e := command("-echo")
		e.Stdin, e.Stdout = bytes.NewReader(input), &stdout
		code, err := f.Engine.Exec(f.Context(), id, e)
		require.NoError(f, err)
		require.Zero(f, code)
		require.True(f, bytes.Equal(input, stdout.Bytes()), "%d bytes came back of %d", stdout.Len(), len(input))
	}},
	{"a command need not read its input", func(f *fixture) {
		id := f.runs("1", Runs)
		e := command("-code=5")
		e.Stdin = strings.NewReader(strings.Repeat("x", 5<<20))
		code, err := f.Engine.Exec(f.Context(), id, e)
		require.NoError(f, err)
		require.Equal(f, 5, code)
	}},
	{"an input that fails fails the call", func(f *fixture) {
		id := f.runs("1", Runs)
		broken := errors.New("broken")
		e := command("-echo")
		e.Stdin = iotest.ErrReader(broken)
		_, err := f.Engine.Exec(f.Context(), id, e)
		f.fails(engine.Unknown, err)
		require.ErrorIs(f, err, broken)
	}},
	{"an output that cannot be written fails the call", func(f *fixture) {
		id := f.runs("1", Runs)
		e := command("-say=out")
		e.Stdout = full{}
		_, err := f.Engine.Exec(f.Context(), id, e)
		f.fails(engine.Unknown, err)
		require.ErrorIs(f, err, errFull)
	}},
	{"commands side by side have their own codes and outputs", func(f *fixture) {
		id := f.runs("1", Runs)
		var running sync.WaitGroup
		for i := range 4 {
			running.Go(func() {
				var stdout bytes.Buffer
				e := command(fmt.Sprintf("-say=%d", i), fmt.Sprintf("-code=%d", i))
				e.Stdout = &stdout
				code, err := f.Engine.Exec(f.Context(), id, e)
				assert.NoError(f, err)
				assert.Equal(f, i, code)
				assert.Equal(f, strconv.Itoa(i), stdout.String())
			})
		}
		running.Wait()
	}},
	{"an absent program is a code and says why", func(f *fixture) {
		id := f.runs("1", Runs)
		var output bytes.Buffer
		code, err := f.Engine.Exec(f.Context(), id, engine.ExecSpec{Command: []string{"/absent"}, Stdout: &output, Stderr: &output})
		require.NoError(f, err)
		require.Contains(f, []int{126, 127}, code)
		require.Contains(f, output.String(), "/absent")
	}},
	{"a command in an absent container is NotFound", func(f *fixture) {
		_, err := f.Engine.Exec(f.Context(), f.named("none"), command())
		f.fails(engine.NotFound, err)
	}},
	{"a command in a container that does not run is a Conflict", func(f *fixture) {
		created := f.create("created", f.service(Runs))
		exited := f.runs("exited", Exits)
		f.awaitExit(exited)
		paused := f.runs("paused", Runs)
		f.Outsider.Pause(f.T, paused)
		for _, id := range []string{created, exited, paused} {
			_, err := f.Engine.Exec(f.Context(), id, command())
			f.fails(engine.Conflict, err)
		}
	}},
	{"a command ends with its container", func(f *fixture) {
		id := f.runs("1", Runs)
		var running sync.WaitGroup
		var code int
		var err error
		running.Go(func() { code, err = f.Engine.Exec(f.Context(), id, command("-after=1h")) })
		f.stop(id)
		running.Wait()
		if err == nil {
			require.NotZero(f, code)
			return
		}
		// The stop came first, or the engine has forgotten the command with its
		// container.
		require.Contains(f, []engine.Class{engine.Conflict, engine.Unknown}, engine.ClassOf(err), "%v", err)
	}},
	{"a caller can leave a command", func(f *fixture) {
		id := f.runs("1", Runs)
		ctx, cancel := context.WithTimeout(f.Context(), 500*time.Millisecond)
		defer cancel()
		_, err := f.Engine.Exec(ctx, id, command("-after=1h"))
		f.fails(engine.Unknown, err)
		require.ErrorIs(f, err, context.DeadlineExceeded)
		require.Equal(f, engine.Running, f.inspect(id).State)
	}},
}

// command is the suite's process with flags.
func command(flags ...string) engine.ExecSpec {
	return engine.ExecSpec{Command: append([]string{process.Program, "exec"}, flags...)}
}

var errFull = errors.New("full")

// full is a writer that has no room.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, errFull }
