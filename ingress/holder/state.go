package holder

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/tendhq/tend/ingress"
)

// loadConfig reads the last configuration; nil where there is none.
func loadConfig(path string) (*ingress.Config, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	config := &ingress.Config{}
	if err := json.Unmarshal(text, config); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return config, nil
}

// saveConfig keeps a configuration for the next start of the container.
func saveConfig(path string, config ingress.Config) error {
	text, err := json.Marshal(config)
	if err != nil {
		return err
	}
	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
