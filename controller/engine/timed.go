package engine

import (
	"context"
	"io"
	"time"
)

// Timed returns an engine that tells of each call whose context it had, which operation it
// was, how long it took, and why it failed. A stream, as events or followed logs, lasts as
// long as somebody reads it: of events and of an attached process only the beginning is
// told, and of logs nothing.
func Timed(e Engine, tell func(ctx context.Context, op string, took time.Duration, err error)) Engine {
	return &timed{Engine: e, tell: tell}
}

type timed struct {
	Engine
	tell func(ctx context.Context, op string, took time.Duration, err error)
}

// do makes a call that returns nothing but an error.
func (t *timed) do(ctx context.Context, op string, call func() error) error {
	began := time.Now()
	err := call()
	t.tell(ctx, op, time.Since(began), err)
	return err
}

// ask makes a call that returns a value.
func ask[T any](ctx context.Context, t *timed, op string, call func() (T, error)) (T, error) {
	began := time.Now()
	v, err := call()
	t.tell(ctx, op, time.Since(began), err)
	return v, err
}

func (t *timed) Ping(ctx context.Context) error {
	return t.do(ctx, "ping", func() error { return t.Engine.Ping(ctx) })
}

func (t *timed) Containers(ctx context.Context, project string) ([]Container, error) {
	return ask(ctx, t, "list_containers", func() ([]Container, error) { return t.Engine.Containers(ctx, project) })
}

func (t *timed) Container(ctx context.Context, id string) (Container, error) {
	return ask(ctx, t, "inspect_container", func() (Container, error) { return t.Engine.Container(ctx, id) })
}

func (t *timed) Stats(ctx context.Context, id string) (Stats, error) {
	return ask(ctx, t, "container_stats", func() (Stats, error) { return t.Engine.Stats(ctx, id) })
}

func (t *timed) Create(ctx context.Context, c ContainerSpec) (string, error) {
	return ask(ctx, t, "create_container", func() (string, error) { return t.Engine.Create(ctx, c) })
}

func (t *timed) Start(ctx context.Context, id string) error {
	return t.do(ctx, "start_container", func() error { return t.Engine.Start(ctx, id) })
}

func (t *timed) Stop(ctx context.Context, id string, grace time.Duration) error {
	return t.do(ctx, "stop_container", func() error { return t.Engine.Stop(ctx, id, grace) })
}

func (t *timed) KillProcess(ctx context.Context, id string) error {
	return t.do(ctx, "kill_container", func() error { return t.Engine.KillProcess(ctx, id) })
}

func (t *timed) Remove(ctx context.Context, id string, volumes bool) error {
	return t.do(ctx, "remove_container", func() error { return t.Engine.Remove(ctx, id, volumes) })
}

func (t *timed) SetRestartPolicy(ctx context.Context, id, policy string) error {
	return t.do(ctx, "update_container", func() error { return t.Engine.SetRestartPolicy(ctx, id, policy) })
}

func (t *timed) ConnectNetwork(ctx context.Context, id, network string, aliases ...string) error {
	return t.do(ctx, "connect_container", func() error { return t.Engine.ConnectNetwork(ctx, id, network, aliases...) })
}

func (t *timed) DisconnectNetwork(ctx context.Context, id, network string) error {
	return t.do(ctx, "disconnect_container", func() error { return t.Engine.DisconnectNetwork(ctx, id, network) })
}

func (t *timed) Exec(ctx context.Context, id string, e ExecSpec) (int, error) {
	return ask(ctx, t, "exec", func() (int, error) { return t.Engine.Exec(ctx, id, e) })
}

func (t *timed) Attach(ctx context.Context, id string) (io.ReadWriteCloser, error) {
	return ask(ctx, t, "attach", func() (io.ReadWriteCloser, error) { return t.Engine.Attach(ctx, id) })
}

func (t *timed) CopyTo(ctx context.Context, id, folder string, archive io.Reader) error {
	return t.do(ctx, "copy_to_container", func() error { return t.Engine.CopyTo(ctx, id, folder, archive) })
}

func (t *timed) Image(ctx context.Context, ref string) (Image, error) {
	return ask(ctx, t, "inspect_image", func() (Image, error) { return t.Engine.Image(ctx, ref) })
}

func (t *timed) Digest(ctx context.Context, ref string) (string, error) {
	return ask(ctx, t, "ask_registry", func() (string, error) { return t.Engine.Digest(ctx, ref) })
}

func (t *timed) Images(ctx context.Context) ([]LocalImage, error) {
	return ask(ctx, t, "list_images", func() ([]LocalImage, error) { return t.Engine.Images(ctx) })
}

func (t *timed) PruneImage(ctx context.Context, id string) error {
	return t.do(ctx, "prune_image", func() error { return t.Engine.PruneImage(ctx, id) })
}

func (t *timed) Architecture(ctx context.Context) (string, error) {
	return ask(ctx, t, "architecture", func() (string, error) { return t.Engine.Architecture(ctx) })
}

func (t *timed) LoadImage(ctx context.Context, archive io.Reader) error {
	return t.do(ctx, "load_image", func() error { return t.Engine.LoadImage(ctx, archive) })
}

func (t *timed) Build(ctx context.Context, b BuildSpec, progress func(string)) error {
	return t.do(ctx, "build_image", func() error { return t.Engine.Build(ctx, b, progress) })
}

func (t *timed) Pull(ctx context.Context, ref string, progress func(string)) error {
	return t.do(ctx, "pull_image", func() error { return t.Engine.Pull(ctx, ref, progress) })
}

func (t *timed) Networks(ctx context.Context, project string, names ...string) ([]Network, error) {
	return ask(ctx, t, "list_networks", func() ([]Network, error) { return t.Engine.Networks(ctx, project, names...) })
}

func (t *timed) CreateNetwork(ctx context.Context, n NetworkSpec) error {
	return t.do(ctx, "create_network", func() error { return t.Engine.CreateNetwork(ctx, n) })
}

func (t *timed) RemoveNetwork(ctx context.Context, id string) error {
	return t.do(ctx, "remove_network", func() error { return t.Engine.RemoveNetwork(ctx, id) })
}

func (t *timed) Volumes(ctx context.Context, project string, names ...string) ([]Volume, error) {
	return ask(ctx, t, "list_volumes", func() ([]Volume, error) { return t.Engine.Volumes(ctx, project, names...) })
}

func (t *timed) CreateVolume(ctx context.Context, v VolumeSpec) error {
	return t.do(ctx, "create_volume", func() error { return t.Engine.CreateVolume(ctx, v) })
}

func (t *timed) RemoveVolume(ctx context.Context, name string) error {
	return t.do(ctx, "remove_volume", func() error { return t.Engine.RemoveVolume(ctx, name) })
}

func (t *timed) Events(ctx context.Context, project string) (<-chan Event, func() error, error) {
	began := time.Now()
	events, err, failed := t.Engine.Events(ctx, project)
	t.tell(ctx, "subscribe_events", time.Since(began), failed)
	return events, err, failed
}
