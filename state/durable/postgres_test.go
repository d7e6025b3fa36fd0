package durable_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/tendhq/tend/state/durable"
	"github.com/tendhq/tend/state/durable/durabletest"
)

// holderURL makes the test's program a process that takes the lease and tells,
// each time it is asked by a line, whether it still has it.
const holderURL = "DURABLE_TEST_HOLDER"

func TestMain(m *testing.M) {
	if url := os.Getenv(holderURL); url != "" {
		if err := hold(url); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

func hold(url string) error {
	pool, err := durable.Connect(context.Background(), url)
	if err != nil {
		return err
	}
	l, err := durable.TakeLease(context.Background(), pool, "p")
	if err != nil {
		return err
	}
	fmt.Println("taken")
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		fmt.Println(errors.Is(l.Check(), durable.ErrLost), errors.Is(durable.NewPostgres(l).Commit(context.Background(), some), durable.ErrLost))
	}
	return nil
}

// holder is another process that has the lease.
type holder struct {
	*exec.Cmd
	ask func() string
}

func startHolder(t *testing.T, url string) *holder {
	t.Helper()
	cmd := exec.Command(os.Args[0]) //nolint:gosec // the test's own program
	cmd.Env = append(os.Environ(), holderURL+"="+url)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	lines := bufio.NewScanner(out)
	read := func() string {
		require.True(t, lines.Scan())
		return lines.Text()
	}
	require.Equal(t, "taken", read())
	return &holder{Cmd: cmd, ask: func() string {
		_, err := fmt.Fprintln(in)
		require.NoError(t, err)
		return read()
	}}
}

func connect(t *testing.T, url string) *pgxpool.Pool {
	t.Helper()
	pool, err := durable.Connect(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	return pool
}

// take waits until the lease is free, and returns how long that took.
func take(t *testing.T, pool *pgxpool.Pool) (*durable.PostgresLease, time.Duration) {
	t.Helper()
	began := time.Now()
	for {
		l, err := durable.TakeLease(t.Context(), pool, "p")
		if err == nil {
			t.Cleanup(func() { _ = l.Release() })
			return l, time.Since(began)
		}
		var held *durable.HeldError
		require.ErrorAs(t, err, &held)
		require.Less(t, time.Since(began), time.Minute)
		time.Sleep(50 * time.Millisecond)
	}
}

func TestPostgres(t *testing.T) {
	server := durabletest.StartPostgres(t)
	pool := connect(t, server.URL())
	l, _ := take(t, pool)

	durabletest.Run(t, func() durable.Store { return durable.NewPostgres(l) })

	t.Run("rows of another format are not read", func(t *testing.T) {
		s := durable.NewPostgres(l)
		for format, want := range map[int]durable.Damage{0: durable.Older, 2: durable.Newer} {
			require.NoError(t, s.Replace(t.Context(), some))
			_, err := pool.Exec(t.Context(), `UPDATE tend_rows SET format = $1`, format)
			require.NoError(t, err)
			_, err = s.Load(t.Context())
			assert.Equal(t, want, damage(t, err))
		}
	})
	t.Run("projects are kept apart", func(t *testing.T) {
		other, err := durable.TakeLease(t.Context(), pool, "another")
		require.NoError(t, err)
		defer func() { require.NoError(t, other.Release()) }()
		require.NoError(t, durable.NewPostgres(l).Replace(t.Context(), some))
		require.NoError(t, durable.NewPostgres(other).Replace(t.Context(), nil))
		rows, err := durable.NewPostgres(l).Load(t.Context())
		require.NoError(t, err)
		assert.Equal(t, some, rows)
	})
}

func TestOneProcessHoldsTheLease(t *testing.T) {
	server := durabletest.StartPostgres(t)
	pool := connect(t, server.URL())
	first, _ := take(t, pool)

	_, err := durable.TakeLease(t.Context(), pool, "p")
	var held *durable.HeldError
	require.ErrorAs(t, err, &held)
	assert.Equal(t, durable.Self(), held.Holder)
	require.NoError(t, first.Check())

	require.NoError(t, first.Release())
	require.ErrorIs(t, first.Check(), durable.ErrLost)
	second, waited := take(t, pool)
	assert.Less(t, waited, 5*time.Second, "what was released is free")
	require.NoError(t, second.Check())
	assert.ErrorIs(t, durable.NewPostgres(first).Commit(t.Context(), some), durable.ErrLost, "a former holder writes nothing")
	rows, err := durable.NewPostgres(second).Load(t.Context())
	require.NoError(t, err)
	assert.Empty(t, rows)
}

func TestADeadHoldersLeaseIsFreeWithinTenSeconds(t *testing.T) {
	server := durabletest.StartPostgres(t)
	pool := connect(t, server.URL())
	h := startHolder(t, server.URL())
	require.NoError(t, h.Process.Kill())
	_, waited := take(t, pool)
	assert.Less(t, waited, 10*time.Second)
}

func TestAFrozenHolderHasLostTheLeaseWhenItWakesUp(t *testing.T) {
	server := durabletest.StartPostgres(t)
	pool := connect(t, server.URL())
	h := startHolder(t, server.URL())
	require.Equal(t, "false false", h.ask())
	require.NoError(t, h.Process.Signal(syscall.SIGSTOP))
	l, waited := take(t, pool)
	assert.Less(t, waited, 10*time.Second)
	require.NoError(t, h.Process.Signal(syscall.SIGCONT))
	assert.Equal(t, "true true", h.ask(), "it may neither act nor write")
	require.NoError(t, l.Check())
}

// While the database does not answer, its holder stops before another one could
// have taken the lease, and Guard tells.
func TestAHolderThatIsCutOffStopsInTime(t *testing.T) {
	server := durabletest.StartPostgres(t)
	pool := connect(t, server.URL())
	l, _ := take(t, pool)
	ctx, stop := durable.Guard(t.Context(), l)
	defer stop()
	server.Freeze()
	began := time.Now()
	<-ctx.Done()
	assert.Less(t, time.Since(began), 6*time.Second, "the lease stands for six")
	require.ErrorIs(t, context.Cause(ctx), durable.ErrLost)
	server.Thaw()
	_, _ = take(t, pool)
	require.ErrorIs(t, l.Check(), durable.ErrLost)
}

func TestNoErrorTellsThePassword(t *testing.T) {
	url := "postgres://tend:" + "c4n4ry" + "@127.0.0.1:1/none?connect_timeout=1"
	_, err := durable.Connect(t.Context(), url)
	require.Error(t, err)
	assert.NotContains(t, err.Error(), "c4n4ry")
	_, err = durable.Connect(t.Context(), strings.Replace(url, "127.0.0.1:1", "127.0.0.1:port", 1))
	require.Error(t, err)
	assert.NotContains(t, err.Error(), "c4n4ry")
}

func TestOneProcessHoldsTheLock(t *testing.T) {
	dir := t.TempDir()
	first, err := durable.TakeLock(dir)
	require.NoError(t, err)
	require.NoError(t, first.Check())
	_, err = durable.TakeLock(dir)
	var held *durable.HeldError
	require.ErrorAs(t, err, &held)
	assert.Equal(t, durable.Self(), held.Holder)

	require.NoError(t, os.Remove(dir+"/lock"))
	require.ErrorIs(t, first.Check(), durable.ErrLost, "the file's removal lets another one in")
	second, err := durable.TakeLock(dir)
	require.NoError(t, err)
	require.NoError(t, first.Release())
	require.NoError(t, second.Check())
	require.NoError(t, second.Release())
}
