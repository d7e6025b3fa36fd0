//go:build unix

package datadir

import (
	"os"
	"syscall"
)

// noFollow has an open fail where the name is a symbolic link.
const noFollow = syscall.O_NOFOLLOW

// ownerOf is the user that a file belongs to.
func ownerOf(info os.FileInfo) int { return int(info.Sys().(*syscall.Stat_t).Uid) }

// linksOf is how many names a file has.
func linksOf(info os.FileInfo) int {
	return int(info.Sys().(*syscall.Stat_t).Nlink) //nolint:unconvert // its size differs by platform
}
