package docker

import (
	"bytes"
	"cmp"
	"fmt"
	"os"

	"github.com/docker/cli/cli/config"
	"github.com/docker/cli/cli/config/configfile"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
)

// Logins returns a configuration of Docker's that has the logins of this user's, and nothing
// else, for a tend that cannot see that one; nil where there are none. It fails where the
// registry of an image has its login in a credential helper: nothing but a process of this
// user can ask that, and what it keeps is not written down.
func Logins(images []string) ([]byte, error) {
	found, err := config.Load(os.Getenv("DOCKER_CONFIG"))
	if err != nil {
		return nil, fmt.Errorf("read Docker's configuration: %w", err)
	}
	for _, ref := range images {
		at, err := name.ParseReference(ref, name.WeakValidation)
		if err != nil {
			continue // it cannot be pulled either
		}
		registry := at.Context().RegistryStr()
		if registry == name.DefaultRegistry {
			registry = authn.DefaultAuthKey
		}
		helper := cmp.Or(found.CredentialHelpers[registry], found.CredentialsStore)
		if helper == "" {
			continue
		}
		// Where the helper knows nothing, or is not installed, there is no login.
		if login, err := authn.DefaultKeychain.Resolve(at.Context()); err == nil && login != authn.Anonymous {
			return nil, fmt.Errorf("the login for the image %s is kept by docker-credential-%s, which a controller in a container cannot ask: use tend run", ref, helper)
		}
	}
	if len(found.AuthConfigs) == 0 {
		return nil, nil
	}
	logins := configfile.New("")
	logins.AuthConfigs = found.AuthConfigs
	var out bytes.Buffer
	if err := logins.SaveToWriter(&out); err != nil {
		return nil, fmt.Errorf("write the logins: %w", err)
	}
	return out.Bytes(), nil
}
