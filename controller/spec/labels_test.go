package spec

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestOneFolderByTwoPathsIsNoOtherFolder(t *testing.T) {
	t.Parallel()
	dir, other := t.TempDir(), t.TempDir()
	link, gone := filepath.Join(t.TempDir(), "link"), filepath.Join(dir, "gone")
	require.NoError(t, os.Symlink(dir, link))
	for _, c := range []struct{ label, want string }{
		{"", ""}, {dir, ""}, {dir + "/", ""}, {link, ""}, {other, other}, {gone, gone},
	} {
		assert.Equal(t, c.want, OtherFolder(dir, map[string]string{LabelWorkingDir: c.label}), "%q", c.label)
	}
	assert.Empty(t, OtherFolder(link, map[string]string{LabelWorkingDir: dir}))
	assert.Empty(t, OtherFolder("", map[string]string{LabelWorkingDir: other}), "nobody says which folder is the project's")
}

func TestComposeFilesAreComparedAsSeenFromTheirFolder(t *testing.T) {
	t.Parallel()
	p := &Project{WorkingDir: "/srv/shop", ConfigFiles: []string{"/srv/shop/compose.yaml", "/srv/shop/more.yaml"}}
	for _, c := range []struct {
		dir, files string
		shared     bool
	}{
		{"/srv/shop", "/srv/shop/compose.yaml", true},
		{"/srv/shop", "/srv/shop/other.yaml,/srv/shop/more.yaml", true},
		{"/srv/moved", "/srv/moved/compose.yaml", true},
		{"/srv/shop", "/srv/shop/other.yaml", false},
		{"/srv/shop", "/srv/compose.yaml", false},
		{"/srv/shop", "", true},
	} {
		labels := map[string]string{LabelWorkingDir: c.dir, LabelConfigFiles: c.files}
		assert.Equal(t, c.shared, p.SharesFiles(ConfigFilesOf(labels)), "%s of %s", c.files, c.dir)
	}
}
