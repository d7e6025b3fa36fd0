package edit

import "os"

// tryLock locks nothing: Windows has no lock of a folder, and a controller, which edits
// besides people, runs on Linux.
func tryLock(*os.File) error { return nil }

// ownLike changes nothing, as a file belongs to whoever makes it.
func ownLike(*os.File, os.FileInfo) error { return nil }
