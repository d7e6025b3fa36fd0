package docker

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	dockercontext "github.com/docker/cli/cli/context/docker"
	"github.com/docker/cli/cli/context/store"
	"github.com/docker/docker/client"
)

// endpoint is where an engine is: its address, and how to reach it.
type endpoint struct {
	host    string
	options []client.Opt
}

// locate returns the engine that host names; where host is empty the one that the
// Docker command line would take: that of DOCKER_HOST, of the context DOCKER_CONTEXT,
// of the current context, or of the default socket, in this order.
func locate(host string) (endpoint, error) {
	host = cmp.Or(host, os.Getenv(client.EnvOverrideHost))
	if host != "" {
		return at(host)
	}
	name, err := currentContext()
	switch {
	case err != nil:
		return endpoint{}, err
	case name == "" || name == defaultContext:
		return at(client.DefaultDockerHost)
	}
	found, err := ofContext(name)
	if err != nil {
		return endpoint{}, fmt.Errorf("%w; DOCKER_CONTEXT or %s names the context %s, docker context ls lists all, and --host and DOCKER_HOST need none",
			err, configFile(), name)
	}
	return found, nil
}

// defaultContext is the name of the context that stands for no context at all.
const defaultContext = "default"

// at returns the engine at an address, with the certificates of DOCKER_CERT_PATH.
func at(host string) (endpoint, error) {
	switch scheme, _, _ := strings.Cut(host, "://"); scheme {
	case "unix", "tcp", "ssh":
	default:
		return endpoint{}, errors.New("an engine's address is unix:///path, tcp://host:port or ssh://user@host")
	}
	named := dockercontext.Endpoint{EndpointMeta: dockercontext.EndpointMeta{Host: host}}
	options, err := named.ClientOpts()
	return endpoint{host, append([]client.Opt{client.WithTLSClientConfigFromEnv()}, options...)}, err
}

// ofContext returns the engine of a context, with the context's own certificates.
func ofContext(name string) (endpoint, error) {
	contexts := store.New(filepath.Join(configFolder(), "contexts"), store.NewConfig(
		func() any { return &map[string]any{} },
		store.EndpointTypeGetter(dockercontext.DockerEndpoint, func() any { return &dockercontext.EndpointMeta{} })))
	metadata, err := contexts.GetMetadata(name)
	if err != nil {
		return endpoint{}, err
	}
	meta, err := dockercontext.EndpointFromContext(metadata)
	if err != nil {
		return endpoint{}, err
	}
	meta.Host = cmp.Or(meta.Host, client.DefaultDockerHost)
	named, err := dockercontext.WithTLSData(contexts, name, meta)
	if err != nil {
		return endpoint{}, err
	}
	options, err := named.ClientOpts()
	return endpoint{meta.Host, options}, err
}

// currentContext returns the name of the context in use; empty where there is none.
func currentContext() (string, error) {
	if name := os.Getenv("DOCKER_CONTEXT"); name != "" {
		return name, nil
	}
	content, err := os.ReadFile(configFile())
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read the current context: %w", err)
	}
	var config struct{ CurrentContext string }
	if err := json.Unmarshal(content, &config); err != nil {
		return "", fmt.Errorf("read the current context in %s: %w", configFile(), err)
	}
	return config.CurrentContext, nil
}

// configFolder is where the Docker command line keeps its configuration.
func configFolder() string {
	if folder := os.Getenv("DOCKER_CONFIG"); folder != "" {
		return folder
	}
	home, _ := os.UserHomeDir() // where there is none, nor are there contexts
	return filepath.Join(home, ".docker")
}

func configFile() string { return filepath.Join(configFolder(), "config.json") }
