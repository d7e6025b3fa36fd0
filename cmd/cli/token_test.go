//go:build linux

package cli

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/api"
)

func TestTokensAreRotatedInTheDataDirectory(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "compose.yaml"), []byte(oneService), 0o600))
	w := &world{t: t, dir: dir}
	_, err := w.tend("token", "rotate")
	assert.ErrorContains(t, err, "tend run makes it")

	data := filepath.Join(dir, ".tend")
	require.NoError(t, api.MakeTokens(data))
	tokens := func() (read, admin string) {
		for role, token := range map[api.Role]*string{api.Reader: &read, api.Admin: &admin} {
			text, err := os.ReadFile(filepath.Join(data, api.TokenFile(role)))
			require.NoError(t, err)
			*token = string(text)
		}
		return read, admin
	}
	read, admin := tokens()
	said, err := w.tend("token", "rotate", "admin")
	require.NoError(t, err)
	newRead, newAdmin := tokens()
	assert.Equal(t, read, newRead)
	assert.NotEqual(t, admin, newAdmin)
	assert.Contains(t, said, filepath.Join(data, "tokens", "admin"))
	assert.NotContains(t, said, newAdmin)

	_, err = w.tend("token", "rotate")
	require.NoError(t, err)
	lastRead, lastAdmin := tokens()
	assert.NotEqual(t, newRead, lastRead)
	assert.NotEqual(t, newAdmin, lastAdmin)
}
