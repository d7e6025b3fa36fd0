// Package edit writes spec files: a number in one, and no other byte of it, or a whole
// file.
package edit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/controller/spec/load"
	"github.com/tendhq/tend/controller/spec/syntax"
)

// ReadOnlyError reports that a spec file cannot be written from here.
type ReadOnlyError struct {
	File string
	// Instead is what a person can do.
	Instead string
	Err     error
}

func (e *ReadOnlyError) Error() string {
	return fmt.Sprintf("%s cannot be written (%v): %s", e.File, e.Err, e.Instead)
}

func (e *ReadOnlyError) Unwrap() error { return e.Err }

// ChangedError reports that somebody else wrote a spec file after it was read here.
// Theirs stands, and nothing was written.
type ChangedError struct{ File string }

func (e *ChangedError) Error() string {
	return e.File + " was changed meanwhile, and nothing was written: look at it, and try again"
}

// Scale writes the number of replicas into the spec file of a Deployment, and returns
// the file's path. Every other byte stays as it is; a Deployment without a spec gets a
// file of its name. One call at a time edits a project, also among processes. allow is
// asked with the workload as it is written, and its error is returned; nil allows all.
// Where the project would not be valid with the change, the error is Errors and nothing
// is written. Where the file cannot be written, it is a *ReadOnlyError, and where it was
// changed meanwhile, a *ChangedError.
func Scale(ctx context.Context, o load.Options, workload string, replicas int, allow func(written *spec.Workload) error) (path string, err error) {
	in, err := load.Discover(o)
	if err != nil {
		return "", err
	}
	unlock, err := lock(ctx, filepath.Dir(in.Specs))
	if err != nil {
		return "", fmt.Errorf("lock the project: %w", err)
	}
	defer unlock()
	before, err := load.Project(ctx, o)
	if err != nil {
		return "", err
	}
	w := before.Workloads[workload]
	switch {
	case w == nil:
		return "", spec.Errors{{Workload: workload, Message: syntax.NoWorkload(workload, slices.Collect(maps.Keys(before.Workloads)))}}
	case w.Autoscaling != nil:
		a := w.Autoscaling
		return "", spec.Errors{{Workload: workload, Message: fmt.Sprintf("%s is scaled by its metrics, between %d and %d replicas", workload, a.MinReplicas, a.MaxReplicas),
			Hint: "change minReplicas or maxReplicas of spec.autoscaling, or remove it"}}
	case w.Kind != spec.Deployment:
		return "", spec.Errors{{Workload: workload, Message: fmt.Sprintf("%s is %s: only a Deployment is scaled", workload, w.Kind.WithArticle())}}
	}
	d, err := scaled(in.Specs, before.SpecFiles, workload, replicas)
	if err != nil {
		return "", err
	}
	if allow != nil {
		if err := allow(w); err != nil {
			return "", err
		}
	}
	o.Drafts = []load.Draft{d.Draft}
	after, err := load.Project(ctx, o)
	if err != nil {
		return "", err
	}
	if got := after.Workloads[workload].Replicas; got != replicas {
		return "", fmt.Errorf("%s would have %d replicas and not %d", workload, got, replicas)
	}
	instead := fmt.Sprintf("run `tend scale %s --replicas %d` as its owner, where the project is, or edit the file", workload, replicas)
	if err := saved(save(d), d.Path, instead); err != nil {
		return "", err
	}
	return d.Path, nil
}

// saved makes the error of an edit from that of save.
func saved(err error, path, instead string) error {
	if changed := new(ChangedError); errors.As(err, &changed) {
		return changed
	}
	for _, refused := range []error{syscall.EROFS, syscall.EACCES, syscall.EPERM} {
		if errors.Is(err, refused) {
			return &ReadOnlyError{File: path, Instead: instead, Err: refused}
		}
	}
	if err != nil {
		return fmt.Errorf("write the spec: %w", err)
	}
	return nil
}

// lock waits until nobody else edits a project. The kernel's lock on its folder leaves no
// file behind, needs no right to write there, and ends with the process.
func lock(ctx context.Context, folder string) (unlock func(), err error) {
	f, err := os.Open(folder)
	if err != nil {
		return nil, err
	}
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for {
		err := tryLock(f)
		if err == nil {
			return func() { _ = f.Close() }, nil // nothing was written
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errors.Join(err, f.Close())
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(context.Cause(ctx), f.Close())
		case <-again.C:
		}
	}
}

// draft is the new content of a spec file. before is the content that it was made from, nil
// where there was no file.
type draft struct {
	load.Draft
	before []byte
}

// scaled returns the spec file of a workload with another number of replicas.
func scaled(dir string, files []string, workload string, replicas int) (*draft, error) {
	for _, path := range files {
		content, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		roots, problems := syntax.Parse(path, content)
		if err := problems.OrNil(); err != nil {
			return nil, err
		}
		for _, root := range roots {
			_, metadata := syntax.Entry(root, "metadata")
			if _, name := syntax.Entry(metadata, "name"); name == nil || syntax.Dereference(name).Value != workload {
				continue
			}
			edited, at := setReplicas(content, root, replicas)
			if edited == nil {
				return nil, spec.Errors{{File: path, Line: at.Line, Column: at.Column, Workload: workload,
					Message: "the number of replicas is written in a way that cannot be changed here", Hint: "edit it by hand"}}
			}
			return &draft{load.Draft{Path: path, Content: edited}, content}, nil
		}
	}
	d := &draft{Draft: load.Draft{Path: filepath.Join(dir, workload+".yaml")}}
	if !load.IsSpecFile(filepath.Base(d.Path)) {
		return nil, spec.Errors{{File: d.Path, Workload: workload, Message: "no spec file can have this name", Hint: "write the spec in another file"}}
	}
	d.Content = fmt.Appendf(nil, "apiVersion: %s\nkind: %s\nmetadata: {name: %q}\nspec:\n  replicas: %d\n", spec.APIVersion, spec.Deployment, workload, replicas)
	if slices.Contains(files, d.Path) { // the file has other workloads' specs
		content, err := os.ReadFile(d.Path)
		if err != nil {
			return nil, err
		}
		d.before = content
		d.Content = slices.Concat(bytes.TrimRight(content, "\n"), []byte("\n---\n"), d.Content)
	}
	return d, nil
}

// setReplicas changes or adds spec.replicas of a document, and nothing else. Where it
// cannot, it returns nil and the node that is in the way.
func setReplicas(content []byte, root *yaml.Node, replicas int) (edited []byte, at *yaml.Node) {
	number := strconv.Itoa(replicas)
	var key, fields *yaml.Node
	for i := 0; root.Kind == yaml.MappingNode && i < len(root.Content); i += 2 {
		if root.Content[i].Value == "spec" {
			key, fields = root.Content[i], root.Content[i+1]
		}
	}
	if fields == nil || fields.Kind != yaml.MappingNode {
		return nil, root
	}
	for i := 0; i < len(fields.Content); i += 2 {
		if fields.Content[i].Value == "replicas" {
			old := fields.Content[i+1]
			written := old.Value
			if old.Kind == yaml.AliasNode {
				written = "*" + old.Value
			}
			return replace(content, offset(content, old), written, number), old
		}
	}
	if fields.Style&yaml.FlowStyle != 0 {
		add := "{replicas: " + number
		if len(fields.Content) > 0 {
			add += ", "
		}
		return replace(content, offset(content, fields), "{", add), fields
	}
	// It becomes the first field, right under the key, so that a comment above the
	// former first field stays with that.
	first := fields.Content[0]
	line := offset(content, &yaml.Node{Line: key.Line + 1, Column: 1})
	return replace(content, line, "", strings.Repeat(" ", first.Column-1)+"replicas: "+number+"\n"), fields
}

// offset is the byte at which a node begins. The parser counts columns in characters.
func offset(content []byte, n *yaml.Node) int {
	at := 0
	for range n.Line - 1 {
		at += bytes.IndexByte(content[at:], '\n') + 1
	}
	for range n.Column - 1 {
		_, size := utf8.DecodeRune(content[at:])
		at += size
	}
	return at
}

// replace puts text in the place of written, at an offset. It returns nil where the
// content there is another.
func replace(content []byte, at int, written, text string) []byte {
	if !bytes.HasPrefix(content[at:], []byte(written)) {
		return nil
	}
	return slices.Concat(content[:at], []byte(text), content[at+len(written):])
}

// save puts a draft in place, whole, with the mode and owner of the file before it,
// unless that has changed.
func save(d *draft) error {
	path, err := filepath.EvalSymlinks(d.Path)
	if errors.Is(err, os.ErrNotExist) {
		path, err = d.Path, os.MkdirAll(filepath.Dir(d.Path), 0o755)
	}
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".edit-*") // hidden: not a spec file
	if err != nil {
		return err
	}
	_, err = f.Write(d.Content)
	err = errors.Join(err, likeBefore(f, path), f.Sync(), f.Close(), d.stillBefore())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// stillBefore returns a *ChangedError where the file is no longer what the draft was made
// from.
func (d *draft) stillBefore() error {
	now, err := os.ReadFile(d.Path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if !bytes.Equal(now, d.before) || (err == nil) != (d.before != nil) {
		return &ChangedError{File: d.Path}
	}
	return nil
}

// likeBefore gives a file the mode and owner of the one that it replaces, or
// those of the folder where there is none.
func likeBefore(f *os.File, path string) error {
	mode := os.FileMode(0o644)
	info, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		info, err = os.Stat(filepath.Dir(path))
	} else if err == nil {
		mode = info.Mode().Perm()
	}
	if err != nil {
		return err
	}
	if err := f.Chmod(mode); err != nil {
		return err
	}
	return ownLike(f, info)
}
