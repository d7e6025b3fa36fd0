package engine

import (
	"context"
	"io"
	"time"
)

// Fence returns an engine that asks check immediately before each call that
// changes something, or may, and does not make the call where check returns an
// error.
func Fence(e Engine, check func() error) Engine { return &fenced{Engine: e, check: check} }

type fenced struct {
	Engine
	check func() error
}

func (f *fenced) allow(op, object string) error {
	if err := f.check(); err != nil {
		return &Error{Op: op, Object: object, Class: Unavailable, Err: err}
	}
	return nil
}

func (f *fenced) Create(ctx context.Context, c ContainerSpec) (string, error) {
	if err := f.allow("create container", c.Name); err != nil {
		return "", err
	}
	return f.Engine.Create(ctx, c)
}

func (f *fenced) Start(ctx context.Context, id string) error {
	if err := f.allow("start container", id); err != nil {
		return err
	}
	return f.Engine.Start(ctx, id)
}

func (f *fenced) Stop(ctx context.Context, id string, grace time.Duration) error {
	if err := f.allow("stop container", id); err != nil {
		return err
	}
	return f.Engine.Stop(ctx, id, grace)
}

func (f *fenced) KillProcess(ctx context.Context, id string) error {
	if err := f.allow("kill container", id); err != nil {
		return err
	}
	return f.Engine.KillProcess(ctx, id)
}

func (f *fenced) Remove(ctx context.Context, id string, volumes bool) error {
	if err := f.allow("remove container", id); err != nil {
		return err
	}
	return f.Engine.Remove(ctx, id, volumes)
}

func (f *fenced) SetRestartPolicy(ctx context.Context, id, policy string) error {
	if err := f.allow("update container", id); err != nil {
		return err
	}
	return f.Engine.SetRestartPolicy(ctx, id, policy)
}

func (f *fenced) ConnectNetwork(ctx context.Context, id, network string, aliases ...string) error {
	if err := f.allow("connect container", id); err != nil {
		return err
	}
	return f.Engine.ConnectNetwork(ctx, id, network, aliases...)
}

func (f *fenced) DisconnectNetwork(ctx context.Context, id, network string) error {
	if err := f.allow("disconnect container", id); err != nil {
		return err
	}
	return f.Engine.DisconnectNetwork(ctx, id, network)
}

func (f *fenced) Exec(ctx context.Context, id string, e ExecSpec) (int, error) {
	if err := f.allow("run a command in container", id); err != nil {
		return 0, err
	}
	return f.Engine.Exec(ctx, id, e)
}

// Attach is fenced, as what is written to the connection has its effects. They are those
// of the one whose right it is at that time.
func (f *fenced) Attach(ctx context.Context, id string) (io.ReadWriteCloser, error) {
	if err := f.allow("attach to container", id); err != nil {
		return nil, err
	}
	return f.Engine.Attach(ctx, id)
}

func (f *fenced) CopyTo(ctx context.Context, id, folder string, archive io.Reader) error {
	if err := f.allow("copy files into container", id); err != nil {
		return err
	}
	return f.Engine.CopyTo(ctx, id, folder, archive)
}

func (f *fenced) PruneImage(ctx context.Context, id string) error {
	if err := f.allow("prune image", id); err != nil {
		return err
	}
	return f.Engine.PruneImage(ctx, id)
}

func (f *fenced) LoadImage(ctx context.Context, archive io.Reader) error {
	if err := f.allow("load image", ""); err != nil {
		return err
	}
	return f.Engine.LoadImage(ctx, archive)
}

func (f *fenced) Build(ctx context.Context, b BuildSpec, progress func(string)) error {
	if err := f.allow("build image", b.Ref); err != nil {
		return err
	}
	return f.Engine.Build(ctx, b, progress)
}

func (f *fenced) Pull(ctx context.Context, ref string, progress func(string)) error {
	if err := f.allow("pull image", ref); err != nil {
		return err
	}
	return f.Engine.Pull(ctx, ref, progress)
}

func (f *fenced) CreateNetwork(ctx context.Context, n NetworkSpec) error {
	if err := f.allow("create network", n.Name); err != nil {
		return err
	}
	return f.Engine.CreateNetwork(ctx, n)
}

func (f *fenced) RemoveNetwork(ctx context.Context, id string) error {
	if err := f.allow("remove network", id); err != nil {
		return err
	}
	return f.Engine.RemoveNetwork(ctx, id)
}

func (f *fenced) CreateVolume(ctx context.Context, v VolumeSpec) error {
	if err := f.allow("create volume", v.Name); err != nil {
		return err
	}
	return f.Engine.CreateVolume(ctx, v)
}

func (f *fenced) RemoveVolume(ctx context.Context, name string) error {
	if err := f.allow("remove volume", name); err != nil {
		return err
	}
	return f.Engine.RemoveVolume(ctx, name)
}
