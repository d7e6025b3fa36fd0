//go:build linux || darwin

package doctor

import (
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// spaceOf asks for the space of the file system of a path, or where there is no such path
// yet, of the nearest folder above.
func spaceOf(path string) (Space, error) {
	for {
		var s unix.Statfs_t
		err := unix.Statfs(path, &s)
		if parent := filepath.Dir(path); os.IsNotExist(err) && parent != path {
			path = parent
			continue
		}
		if err != nil {
			return Space{}, err
		}
		return Space{Free: s.Bavail * uint64(s.Bsize), Size: s.Blocks * uint64(s.Bsize)}, nil //nolint:gosec // a block's size is positive
	}
}
