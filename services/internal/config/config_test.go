package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tendhq/tend/services/internal/config"
)

func newEnv(variables map[string]string) *config.Env {
	return config.NewEnv(func(name string) (string, bool) { value, ok := variables[name]; return value, ok })
}

func TestAllProblemsAreReportedTogether(t *testing.T) {
	env := newEnv(map[string]string{"PORT": "70000", "URL": "user-service:3001", "SECRET": "/no/such/file"})
	env.Required("MISSING")
	env.Port("PORT", 1)
	env.URL("URL")
	env.Secret("SECRET")
	err := env.Err()
	if err == nil {
		t.Fatal("no error")
	}
	for _, name := range []string{"MISSING", "PORT", "URL", "SECRET"} {
		if !strings.Contains(err.Error(), name) {
			t.Errorf("%q does not name %s", err, name)
		}
	}
}

func TestValuesAndFallbacks(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte("hush \r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	env := newEnv(map[string]string{"PORT": "3001", "URL": "http://user-service:3001/", "SECRET": path, "EMPTY": ""})
	if got := env.Port("PORT", 1); got != 3001 {
		t.Errorf("PORT = %d", got)
	}
	if got := env.Port("EMPTY", 5432); got != 5432 {
		t.Errorf("fallback port = %d", got)
	}
	if got := env.URL("URL").String(); got != "http://user-service:3001" {
		t.Errorf("URL = %q", got)
	}
	if got := env.Secret("SECRET"); got != "hush " {
		t.Errorf("SECRET = %q", got)
	}
	if got := env.String("EMPTY", "info"); got != "info" {
		t.Errorf("EMPTY = %q", got)
	}
	if err := env.Err(); err != nil {
		t.Error(err)
	}
}
