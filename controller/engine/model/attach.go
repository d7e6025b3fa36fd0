package model

import (
	"archive/tar"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"runtime"

	"github.com/tendhq/tend/controller/engine"
)

// Attach connects to a process. Its image's behaviour speaks for it.
func (e *Engine) Attach(ctx context.Context, id string) (io.ReadWriteCloser, error) {
	var ours net.Conn
	err := e.do(ctx, OpAttach, id, func() error {
		c, err := e.find(id)
		switch {
		case err != nil:
			return err
		case c.State == engine.Paused:
			return failure(engine.Conflict, "container %s is paused, unpause the container before attach", id)
		case !c.hasProcess():
			return failure(engine.Conflict, "cannot attach to a stopped container, start it first")
		}
		var theirs net.Conn
		ours, theirs = net.Pipe()
		c.attached = append(c.attached, theirs)
		go func() {
			defer theirs.Close()
			if c.behavior.Attached != nil {
				c.behavior.Attached(c.ID, theirs)
				return
			}
			_, _ = io.Copy(io.Discard, theirs) // until the connection ends
		}()
		return nil
	})
	return ours, err
}

// CopyTo unpacks an archive into a folder of a container. Nobody can see its files.
func (e *Engine) CopyTo(ctx context.Context, id, _ string, archive io.Reader) error {
	if _, err := io.Copy(io.Discard, archive); err != nil {
		return &engine.Error{Op: string(OpCopyTo), Object: id, Class: engine.Unknown, Err: err}
	}
	return e.do(ctx, OpCopyTo, id, func() error {
		_, err := e.find(id)
		return err
	})
}

// Architecture is the machine's own, unless SetArchitecture has given another one.
func (e *Engine) Architecture(ctx context.Context) (string, error) {
	return ask(ctx, e, OpArchitecture, "", func() (string, error) { return cmp.Or(e.architecture, runtime.GOARCH), nil })
}

// SetArchitecture has the engine run on another machine.
func (e *Engine) SetArchitecture(arch string) {
	e.agenda.Lock()
	defer e.agenda.Unlock()
	e.architecture = arch
}

// LoadImage makes the images of an archive local: those that it names, with the
// behaviour that was published under the same name.
func (e *Engine) LoadImage(ctx context.Context, archive io.Reader) error {
	names, err := namesOf(archive)
	if err != nil {
		return &engine.Error{Op: string(OpLoadImage), Class: engine.Invalid, Err: err}
	}
	return e.do(ctx, OpLoadImage, "", func() error {
		for _, name := range names {
			i := e.registry[name]
			if i == nil {
				i = e.newImage(Behavior{})
			}
			e.images[name] = i
			e.emitResource("load")
		}
		return nil
	})
}

// namesOf returns the names of the images in an archive as docker save writes it.
func namesOf(archive io.Reader) (names []string, err error) {
	for files := tar.NewReader(archive); ; {
		header, err := files.Next()
		if errors.Is(err, io.EOF) {
			return names, nil
		}
		if err != nil {
			return nil, err
		}
		if header.Name != "manifest.json" {
			continue
		}
		var images []struct{ RepoTags []string }
		if err := json.NewDecoder(files).Decode(&images); err != nil {
			return nil, err
		}
		for _, i := range images {
			names = append(names, i.RepoTags...)
		}
	}
}
