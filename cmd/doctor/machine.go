package doctor

import (
	"cmp"
	"errors"
	"fmt"

	"github.com/docker/go-units"

	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/engine/docker"
)

// The parts of a file system, in percent, below which its free space is a finding.
const (
	littleSpace = 10
	noSpace     = 2
)

// Engine tells whether the engine answers, and its version.
func Engine(host string, info docker.Info, err error) Finding {
	const check = "engine"
	host = cmp.Or(host, check)
	switch {
	case err == nil:
		return find(OK, check, host, fmt.Sprintf("Docker Engine %s, API %s", info.Version, info.API), "")
	case engine.ClassOf(err) == engine.Invalid:
		return find(Failure, check, host, err.Error(), "what the finding says")
	default:
		return find(Failure, check, host, err.Error(), "start it, or name another one with --host, DOCKER_HOST or docker context use")
	}
}

// Space is how large a file system is, and how much of it is free for everybody, in bytes.
type Space struct{ Free, Size uint64 }

// Disk tells whether a file system has room. err is why that could not be asked.
func Disk(what, path string, s Space, err error, remedy string) Finding {
	const check = "disk"
	object := what + " " + path
	if err != nil || s.Size == 0 {
		return find(NotTried, check, object, cannotBeAsked("this file system", err), "")
	}
	percent := float64(s.Free) / float64(s.Size) * 100
	message := fmt.Sprintf("%s of %s are free (%.0f %%)", units.BytesSize(float64(s.Free)), units.BytesSize(float64(s.Size)), percent)
	switch {
	case percent < noSpace:
		return find(Failure, check, object, message, remedy)
	case percent < littleSpace:
		return find(Warning, check, object, message, remedy)
	default:
		return find(OK, check, object, message, "")
	}
}

// errElsewhere is the reason why something is not tried where the engine is on another machine.
var errElsewhere = errors.New("the engine is not on this machine, or not on this one's network")

// cannotBeAsked says that something could not be asked, and why.
func cannotBeAsked(what string, err error) string {
	if err == nil {
		return what + " cannot be asked"
	}
	return fmt.Sprintf("%s cannot be asked: %v", what, err)
}
