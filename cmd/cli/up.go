//go:build linux

package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"github.com/tendhq/tend/controller"
	"github.com/tendhq/tend/controller/app"
	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/engine/docker"
	"github.com/tendhq/tend/controller/execute"
	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/controller/spec/load"
	"github.com/tendhq/tend/state/datadir"
)

const (
	// controllerGrace is how long the controller's container may take to end.
	controllerGrace = 30 * time.Second
	// defaultSocket is where the engine's socket is in the controller's container.
	defaultSocket = "/var/run/docker.sock"
	// nobody is the user of a controller whose project belongs to root.
	nobody = 65532
)

func newUp(f *flags) *cobra.Command {
	var image string
	var rebuild bool
	c := &cobra.Command{
		Use:   "up",
		Short: "Run the controller in a container, and wait until the project has converged",
		Long: `Run the controller in a container, and wait until the project has converged.

On a terminal each workload is a line that is drawn in place; elsewhere each event is a line. It ends with 1 where the
project would not converge within --timeout, and says what is in the way; the controller goes on.

With --engine swarm the controller is a container of the manager that --host names, and not a service: only a manager
answers it.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			own := !c.Flags().Changed("image")
			return up(c.Context(), f, image, own, rebuild)
		},
	}
	c.Flags().StringVar(&image, "image", "tend/tend:"+f.version, "image of the controller, where compose.yaml has no service tend; it is made from this program where the engine does not have it and none is named")
	c.Flags().BoolVar(&rebuild, "build", false, "build the images that have a build section before, also where they are here")
	f.waits(c.Flags())
	f.owns(c.Flags())
	return c
}

// up runs the controller from an image. Where own is true and the engine does not have
// that, it is made from this program.
func up(ctx context.Context, f *flags, image string, own, rebuild bool) error {
	project, err := f.load(ctx)
	if err != nil {
		return err
	}
	if _, managed := project.Workloads[spec.ControllerService]; managed {
		return fmt.Errorf("the service %s of compose.yaml is kept by tend like any other: write x-tend: {managed: false} on it if it is the controller, or give it another name", spec.ControllerService)
	}
	if slices.Contains(project.ConfigFiles, "-") {
		return errors.New("a controller in a container cannot read the standard input: write the Compose file down, or use tend run")
	}
	e, err := f.connect(ctx)
	if err != nil {
		return err
	}
	defer e.Close()
	ctx, cancel := f.bound(ctx)
	defer cancel()

	switch {
	case f.engine != swarmEngine:
		err = buildMissing(ctx, e, project, rebuild) // the controller's container does not see all that a build may need
	case rebuild:
		err = errBuildOnSwarm
	default:
		err = f.checkSwarm(ctx)
	}
	if err != nil {
		return err
	}
	if err := f.refuseTwice(ctx, project); err != nil {
		return err
	}
	tell := newNarrator(project.Name)
	defer tell.close()
	if err := f.nameFolders(ctx, e, project); err != nil {
		return err
	}
	info, err := e.Info(ctx)
	if err != nil {
		return err
	}
	if own {
		if image, err = f.ownImage(ctx, e, image); err != nil {
			return err
		}
	}
	images, err := pulls(project, nil)
	if err != nil {
		return err
	}
	logins, err := docker.Logins(images)
	if err != nil {
		return err
	}
	self, err := controllerProject(ctx, f, project, controllerPlace{image, e.Host(), info.Users, logins != nil})
	if err != nil {
		return err
	}
	if err := writeLogins(f.data(project.WorkingDir), logins); err != nil {
		return err
	}
	if err := datadir.Make(f.data(project.WorkingDir)); err != nil {
		return err
	}
	if err := ownData(f.machineData(project.WorkingDir), self.Workloads[spec.ControllerService].Template.User); err != nil {
		return err
	}
	tell.say("starting the controller of project %s", project.Name)
	o := f.options(self)
	o.Engine, o.Log, o.OnEvent, o.OnStatus, o.OnProgress = e, tell.log, tell.event, tell.planned, tell.progress
	if err := app.Converge(ctx, o, nil, func(c *controller.Controller) { c.SetProject(self) }); err != nil {
		return fmt.Errorf("start the controller: %w", err)
	}
	return follow(ctx, f, project, tell)
}

// ownImage returns the image of a controller of this version: the one of that name, or
// where the engine does not have it the image that ingresses are made of, which takes no
// registry and has this program in it.
func (f *flags) ownImage(ctx context.Context, e engine.Engine, name string) (string, error) {
	_, err := e.Image(ctx, name)
	if engine.ClassOf(err) != engine.NotFound || f.program == "" {
		return name, nil // what is wrong shows when it is to run
	}
	if _, err := e.Image(ctx, f.spec.IngressImage); engine.ClassOf(err) != engine.NotFound {
		return f.spec.IngressImage, err
	}
	_, err = execute.New(e, "", f.program).Do(ctx, core.Action{Kind: core.MakeImage, Object: f.spec.IngressImage}, nil)
	return f.spec.IngressImage, err
}

// nameFolders has the controller take over containers that were made from the project's
// folder by another path, which it cannot see from inside its container.
func (f *flags) nameFolders(ctx context.Context, e engine.Engine, p *spec.Project) error {
	containers, err := e.Containers(ctx, p.Name)
	if err != nil {
		return err
	}
	for _, c := range containers {
		folder := c.Labels[spec.LabelWorkingDir]
		same := folder != p.WorkingDir && folder != "" && spec.OtherFolder(p.WorkingDir, c.Labels) == ""
		if same && !slices.Contains(f.takeOver, folder) {
			f.takeOver = append(f.takeOver, folder)
		}
	}
	return nil
}

// controllerProject is the project reduced to the controller's service, that of
// compose.yaml or the built-in one. tend up keeps it as tend keeps all others. What
// compose.yaml writes is under the policy; the built-in service is the command line's
// own, and nothing that the project writes is in it.
func controllerProject(ctx context.Context, f *flags, p *spec.Project, place controllerPlace) (*spec.Project, error) {
	o := f.spec
	o.Adapt = nil // it is a container, whatever keeps the project
	// What compose.yaml writes of the controller is for one machine, as the project's networks
	// are bridges there.
	own := f.engine != swarmEngine && slices.Contains(p.Unmanaged, spec.ControllerService)
	service := map[string]any{"x-tend": map[string]any{"managed": true}}
	if own {
		if asked := f.ownership(); len(asked) > 0 {
			return nil, fmt.Errorf("compose.yaml has a service %s with a command of its own: write %s there", spec.ControllerService, strings.Join(asked, " "))
		}
	} else {
		var err error
		if service, err = builtIn(f, p, place); err != nil {
			return nil, err
		}
		o.Policy = spec.Privileged
	}
	overlay, err := overlayOf(service, !own)
	if err != nil {
		return nil, err
	}
	o.Overlay = overlay
	self, err := load.Project(ctx, o)
	switch {
	case err != nil && own:
		return nil, fmt.Errorf("the service %s of compose.yaml cannot be the controller: %w\nwithout it there, tend up writes a controller of its own", spec.ControllerService, err)
	case err != nil:
		return nil, err
	case !own && slices.Contains(self.Specs, spec.ControllerService):
		return nil, fmt.Errorf("the service %s has a spec, and is the controller's own: remove the spec, or give the service another name", spec.ControllerService)
	}
	w := self.Workloads[spec.ControllerService]
	self.Unmanaged = append(self.Unmanaged, slices.Collect(maps.Keys(self.Workloads))...)
	self.Workloads = map[string]*spec.Workload{w.Name: w}
	maps.DeleteFunc(self.Networks, func(name string, _ spec.Network) bool { return !slices.Contains(w.Networks, name) })
	maps.DeleteFunc(self.Volumes, func(name string, _ spec.Volume) bool { return !slices.Contains(w.Volumes, name) })
	return self, nil
}

// overlayOf is a Compose file with the controller's service. One that replaces takes the
// place of what the project's files say of the service.
func overlayOf(service map[string]any, replaces bool) ([]byte, error) {
	var node yaml.Node
	if err := node.Encode(service); err != nil {
		return nil, err
	}
	if replaces {
		node.Tag = "!override"
	}
	return yaml.Marshal(map[string]any{"services": map[string]*yaml.Node{spec.ControllerService: &node}})
}

// controllerPlace is where a built-in controller is to run: its image, the address of the
// engine, the users of the engine's containers, and whether it finds logins at registries
// in the data directory.
type controllerPlace struct {
	image, engine string
	users         docker.UserNamespace
	logins        bool
}

// builtIn is the controller's service for a compose.yaml that has none.
func builtIn(f *flags, p *spec.Project, place controllerPlace) (map[string]any, error) {
	socket, group, err := engineSocket(place.engine)
	if err != nil {
		return nil, err
	}
	uid, gid, err := owner(p.WorkingDir)
	if err != nil {
		return nil, err
	}
	service := map[string]any{}
	switch place.users {
	case docker.Remapped:
		// The engine's socket and the project belong to users of the host.
		service["userns_mode"] = "host"
	case docker.Rootless:
		// They belong to the user that the engine runs as.
		uid, gid, group = 0, 0, 0
	}
	data := f.machineData(p.WorkingDir)
	command := []string{"run", "--project-directory", p.WorkingDir, "--project-name", p.Name, "--data-dir", data}
	if f.engine == swarmEngine {
		command = append(command, "--engine", swarmEngine)
		service["network_mode"] = "bridge" // the project's networks are the Swarm's
	} else {
		// The project's networks are bridges of this machine, and the token that goes over
		// them can only read: --insecure.
		command = append(command, "--endpoints-listen", ":7071", "--insecure")
		service["networks"], service["expose"] = networksOf(p), []string{"7071"}
	}
	for _, file := range p.ConfigFiles {
		command = append(command, "--file", file)
	}
	for _, file := range f.spec.EnvFiles {
		command = append(command, "--env-file", file)
	}
	for _, profile := range f.spec.Profiles {
		command = append(command, "--profile", profile)
	}
	if policy := f.spec.Policy; policy != "" {
		command = append(command, "--policy", policy.String())
	}
	command = append(command, f.ownership()...)
	environment, err := databaseOf(f)
	if err != nil {
		return nil, err
	}
	if place.logins {
		environment["DOCKER_CONFIG"] = filepath.Join(f.data(p.WorkingDir), loginFolder)
	}
	if place.image == f.spec.IngressImage {
		service["entrypoint"], service["healthcheck"] = []string{"/tend"}, map[string]any{"disable": true}
	}
	maps.Copy(service, map[string]any{
		"image": place.image, "command": command, "restart": "unless-stopped", "environment": environment,
		"user": fmt.Sprintf("%d:%d", uid, gid), "group_add": []string{strconv.Itoa(group)},
		"read_only": true, "cap_drop": []string{"ALL"}, "security_opt": []string{"no-new-privileges:true"},
		"volumes": append([]string{
			socket + ":" + defaultSocket,
			// The paths in the container are those of the host, so that paths and
			// hashes are the same.
			p.WorkingDir + ":" + p.WorkingDir + ":ro",
			data + ":" + data,
		}, authorities()...),
	})
	return service, nil
}

// networksOf are the keys of a project's networks.
func networksOf(p *spec.Project) []string {
	networks := []string{}
	for _, name := range slices.Sorted(maps.Keys(p.Networks)) {
		networks = append(networks, p.Networks[name].Key)
	}
	return networks
}

// databaseOf tells a controller in a container which database keeps its state.
func databaseOf(f *flags) (environment map[string]string, err error) {
	environment = map[string]string{}
	url, err := f.database()
	if url != "" {
		environment[databaseEnv] = strings.ReplaceAll(url, "$", "$$") // so that Compose does not interpolate it
	}
	return environment, err
}

// engineSocket is the path of the engine's Unix socket, and the group that may use it.
func engineSocket(host string) (path string, group int, err error) {
	path, local := strings.CutPrefix(host, "unix://")
	if !local {
		return "", 0, fmt.Errorf("the engine is at %s: a controller in a container needs its Unix socket; use tend run", host)
	}
	info, err := os.Stat(path)
	if err != nil {
		return "", 0, fmt.Errorf("find the group of the engine's socket: %w", err)
	}
	return path, int(info.Sys().(*syscall.Stat_t).Gid), nil
}

// owner is the user that the controller runs as: the owner of the project, unless that
// is root.
func owner(dir string) (uid, gid int, err error) {
	info, err := os.Stat(dir)
	if err != nil {
		return 0, 0, err
	}
	s := info.Sys().(*syscall.Stat_t)
	if s.Uid == 0 {
		return nobody, nobody, nil
	}
	return int(s.Uid), int(s.Gid), nil
}

// ownData gives the data directory to the controller's user.
func ownData(dir, user string) error {
	name, group, _ := strings.Cut(user, ":")
	uid, err := strconv.Atoi(name)
	if err != nil || os.Geteuid() != 0 {
		return nil // this user owns it, and runs the controller
	}
	gid, err := strconv.Atoi(group)
	if err != nil {
		gid = uid
	}
	return filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		return errors.Join(err, os.Lchown(path, uid, gid))
	})
}
