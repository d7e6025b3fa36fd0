//go:build !linux && !darwin

package doctor

import "errors"

// spaceOf is for other systems.
func spaceOf(string) (Space, error) { return Space{}, errors.ErrUnsupported }
