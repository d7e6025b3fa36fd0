package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"text/template"
	"time"

	"github.com/tendhq/tend/api"
	"github.com/tendhq/tend/api/client"
)

const (
	// renderWait is how long the controller holds a query for a change.
	renderWait = 30 * time.Second
	// renderRetry paces the tries after a failure.
	renderRetry = time.Second
	// onChangeTimeout bounds how long the proxy may take to read its file.
	onChangeTimeout = time.Minute
)

// rendering keeps a file that a proxy reads in step with the endpoints.
type rendering struct{ template, file, onChange string }

// follow keeps the file up to date until ctx ends. Asking for the endpoints after an index
// tells the controller that those of the index are in force, so follow asks only after the
// command has succeeded.
func (r rendering) follow(ctx context.Context, c *client.Client, tell *narrator) error {
	file, err := filepath.Abs(r.file)
	if err != nil {
		return err
	}
	r.file = file
	content, err := os.ReadFile(r.template)
	if err != nil {
		return fmt.Errorf("read the template: %w", err)
	}
	t, err := template.New(filepath.Base(r.template)).Option("missingkey=error").Parse(string(content))
	if err != nil {
		return fmt.Errorf("read the template: %w", err)
	}
	// No other subscriber on this machine has the file's path as its name.
	o := client.EndpointOptions{Subscriber: "file " + r.file, Wait: renderWait}
	said := ""
	for ctx.Err() == nil {
		all, err := c.Endpoints(ctx, o)
		if refused := new(api.Problem); err != nil && !errors.As(err, &refused) {
			o.Index = 0 // the next controller counts from another beginning
		}
		if err == nil && all.Index != o.Index {
			if err = r.apply(ctx, t, all); err == nil {
				tell.say("%s has the endpoints of index %d", r.file, all.Index)
			}
		}
		if err == nil {
			o.Index, said = all.Index, ""
			continue
		}
		if ctx.Err() != nil {
			break
		}
		if err.Error() != said {
			said = err.Error()
			tell.say("%s keeps what it has: %s", r.file, said)
		}
		select {
		case <-ctx.Done():
		case <-time.After(renderRetry):
		}
	}
	return nil // interrupted, which is how following ends
}

// apply writes the file and has the proxy read it.
func (r rendering) apply(ctx context.Context, t *template.Template, all api.Endpoints) error {
	text, err := json.Marshal(all)
	if err != nil {
		return err
	}
	var document any // with the names that people see
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&document); err != nil {
		return err
	}
	var out bytes.Buffer
	if err := t.Execute(&out, document); err != nil {
		return fmt.Errorf("fill in the template: %w", err)
	}
	if err := replaceFile(r.file, out.Bytes()); err != nil {
		return fmt.Errorf("write the file: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, onChangeTimeout)
	defer cancel()
	command := exec.CommandContext(ctx, "sh", "-c", r.onChange)
	command.WaitDelay = time.Second
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", r.onChange, err, bytes.TrimSpace(output))
	}
	return nil
}

// replaceFile replaces a file, whole.
func replaceFile(path string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	err = errors.Join(err, f.Chmod(0o644), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
