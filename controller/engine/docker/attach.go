package docker

import (
	"context"
	"io"

	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"
	"github.com/docker/docker/pkg/stdcopy"
)

// attachment is a connection to the standard input and output of a process.
type attachment struct {
	stream types.HijackedResponse
	// output is what comes from it, without the engine's frames.
	output *io.PipeReader
}

// Attach connects to the standard input and output of a running container.
func (e *Engine) Attach(ctx context.Context, id string) (io.ReadWriteCloser, error) {
	var a *attachment
	err := e.Do(ctx, "attach to container", id, func(ctx context.Context) error {
		stream, err := e.cli.ContainerAttach(ctx, id, container.AttachOptions{Stream: true, Stdin: true, Stdout: true})
		if err != nil {
			return err
		}
		reader, writer := io.Pipe()
		a = &attachment{stream: stream, output: reader}
		go func() {
			_, err := stdcopy.StdCopy(writer, io.Discard, stream.Reader)
			_ = writer.CloseWithError(err) // which cannot fail
		}()
		return nil
	})
	if err != nil {
		return nil, err
	}
	return a, nil
}

func (a *attachment) Read(p []byte) (int, error) { return a.output.Read(p) }

func (a *attachment) Write(p []byte) (int, error) { return a.stream.Conn.Write(p) }

// Close ends the connection, and the goroutine that reads it.
func (a *attachment) Close() error {
	a.stream.Close()
	return a.output.Close()
}

// CopyTo unpacks an archive into a folder of a container.
func (e *Engine) CopyTo(ctx context.Context, id, folder string, archive io.Reader) error {
	return e.Do(ctx, "copy files into container", id, func(ctx context.Context) error {
		return e.cli.CopyToContainer(ctx, id, folder, archive, container.CopyToContainerOptions{})
	})
}

// LoadImage makes the images of an archive local.
func (e *Engine) LoadImage(ctx context.Context, archive io.Reader) error {
	return e.Do(ctx, "load image", "", func(ctx context.Context) error {
		loaded, err := e.cli.ImageLoad(ctx, archive, client.ImageLoadWithQuiet(true))
		if err != nil {
			return err
		}
		defer loaded.Body.Close()
		return readMessages(loaded.Body, func(struct{}) {})
	})
}
