package probe

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/spec"
)

const (
	bin      = "/usr/lib/postgresql/15/bin/" // of Debian's postgresql-15
	password = `test 'password' \ with quotes`
)

// hba lets everybody in with a password, into the database tlsonly with TLS.
const hba = `
local     all     all              trust
hostnossl tlsonly all 127.0.0.1/32 reject
host      all     all 127.0.0.1/32 scram-sha-256
`

// server is the package's Postgres.
var server struct {
	sync.Once
	dir  string
	port int
	cmd  *exec.Cmd
}

// startPostgres starts the server for the first test that asks, and returns
// its port.
func startPostgres(t *testing.T) int {
	t.Helper()
	server.Do(func() {
		dir, err := os.MkdirTemp("", "probe-postgres-")
		require.NoError(t, err)
		server.dir, server.port = dir, freePort(t)
		attr := unprivileged(t, dir)
		data := filepath.Join(dir, "data")
		writeFile(t, filepath.Join(dir, "password"), password+"\n", 0o644) // dir is closed to others
		initdb := exec.Command(bin+"initdb", "--pgdata", data, "--username=postgres", "--pwfile="+filepath.Join(dir, "password"),
			"--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync")
		initdb.SysProcAttr = attr
		output, err := initdb.CombinedOutput()
		require.NoError(t, err, "%s", output)
		writeFile(t, filepath.Join(data, "pg_hba.conf"), hba, 0o644)
		certificate, key := selfSigned(t)
		writeFile(t, filepath.Join(dir, "cert.pem"), certificate, 0o644)
		writeFile(t, filepath.Join(dir, "key.pem"), key, 0o600)
		if attr.Credential != nil {
			require.NoError(t, os.Chown(filepath.Join(dir, "key.pem"), int(attr.Credential.Uid), int(attr.Credential.Gid)))
		}

		server.cmd = exec.Command(bin+"postgres", "-D", data, "-p", strconv.Itoa(server.port),
			"-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="+dir, "-c", "fsync=off", "-c", "ssl=on",
			"-c", "ssl_cert_file="+filepath.Join(dir, "cert.pem"), "-c", "ssl_key_file="+filepath.Join(dir, "key.pem"))
		server.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: attr.Credential, Pdeathsig: syscall.SIGQUIT}
		log, err := os.Create(filepath.Join(dir, "log"))
		require.NoError(t, err)
		defer log.Close()
		server.cmd.Stdout, server.cmd.Stderr = log, log
		require.NoError(t, server.cmd.Start())
		require.Eventually(t, func() bool {
			return administer(t.Context(), "CREATE DATABASE tlsonly") == nil
		}, 30*time.Second, 50*time.Millisecond)
	})
	require.NotNil(t, server.cmd, "the server did not start")
	return server.port
}

func administer(ctx context.Context, sql string) error {
	conn, err := pgconn.Connect(ctx, fmt.Sprintf("host=%s port=%d user=postgres dbname=postgres", server.dir, server.port))
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, sql).ReadAll()
	return errors.Join(err, conn.Close(ctx))
}

func stopPostgres() error {
	if server.cmd == nil || server.cmd.Process == nil {
		return os.RemoveAll(server.dir)
	}
	return errors.Join(server.cmd.Process.Signal(syscall.SIGINT), server.cmd.Wait(), os.RemoveAll(server.dir))
}

// unprivileged has a child run as another user where the test runs as root,
// which Postgres refuses to run as, and gives that user the folder.
func unprivileged(t *testing.T, dir string) *syscall.SysProcAttr {
	t.Helper()
	if os.Geteuid() != 0 {
		return &syscall.SysProcAttr{}
	}
	account, err := user.Lookup("postgres")
	require.NoError(t, err, "run make setup, or apt-get install postgresql-15")
	uid, err := strconv.ParseUint(account.Uid, 10, 32)
	require.NoError(t, err)
	gid, err := strconv.ParseUint(account.Gid, 10, 32)
	require.NoError(t, err)
	require.NoError(t, os.Chown(dir, int(uid), int(gid)))
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
}

func selfSigned(t *testing.T) (certificate, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	require.NoError(t, err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}))
}

func writeFile(t *testing.T, path, content string, mode os.FileMode) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, []byte(content), mode))
}

// freePort is a port on which nothing listens.
func freePort(t *testing.T) int {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port
}

func TestPostgresPassesWhenAQueryIsAnswered(t *testing.T) {
	port := startPostgres(t)
	for name, c := range map[string]struct {
		asked spec.Postgres
		want  string // "" passes
	}{
		"the right account": {spec.Postgres{Port: port, User: "postgres", Database: "postgres", Password: password}, ""},
		"TLS insisted on":   {spec.Postgres{Port: port, User: "postgres", Database: "tlsonly", Password: password}, ""},
		"a wrong password": {spec.Postgres{Port: port, User: "postgres", Database: "postgres", Password: "wrong"},
			`FATAL: password authentication failed for user "postgres" (SQLSTATE 28P01)`},
		"no such database": {spec.Postgres{Port: port, User: "postgres", Database: "nowhere", Password: password},
			`FATAL: database "nowhere" does not exist (SQLSTATE 3D000)`},
	} {
		t.Run(name, func(t *testing.T) {
			passes(t, c.want, spec.Probe{Postgres: &c.asked, Timeout: 10 * time.Second})
		})
	}
}

func TestPostgresEnvironmentIsNotTheProbes(t *testing.T) {
	port := startPostgres(t)
	t.Setenv("PGHOST", "nowhere.invalid")
	t.Setenv("PGDATABASE", "nowhere")
	t.Setenv("PGOPTIONS", "-c no_such_setting=1")
	t.Setenv("PGSSLMODE", "verify-full")
	passes(t, "", spec.Probe{
		Postgres: &spec.Postgres{Port: port, User: "postgres", Database: "postgres", Password: password}, Timeout: 10 * time.Second,
	})
}

func TestAFrozenPostgresFailsInTime(t *testing.T) {
	port := startPostgres(t)
	require.NoError(t, server.cmd.Process.Signal(syscall.SIGSTOP))
	defer func() { require.NoError(t, server.cmd.Process.Signal(syscall.SIGCONT)) }()
	passes(t, fmt.Sprintf("no answer from 127.0.0.1:%d within 200ms", port), spec.Probe{
		Postgres: &spec.Postgres{Port: port, User: "postgres", Database: "postgres", Password: password}, Timeout: 200 * time.Millisecond,
	})
}
