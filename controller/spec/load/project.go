package load

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/controller/spec/keys"
)

// project turns what compose-go has merged into a Project.
func (l *loading) project(composed *types.Project, o Options, specFiles []string) (*spec.Project, error) {
	p := &spec.Project{
		Name:        composed.Name,
		WorkingDir:  composed.WorkingDir,
		ConfigFiles: composed.ComposeFiles,
		EnvFiles:    o.EnvFiles,
		SpecFiles:   specFiles,
		Workloads:   map[string]*spec.Workload{},
		Disabled:    composed.DisabledServiceNames(),
		Networks:    map[string]spec.Network{},
		Volumes:     map[string]spec.Volume{},
		Secrets:     composed.Secrets,
		Configs:     composed.Configs,
		Policy:      o.Policy,
	}
	for _, s := range composed.Secrets {
		l.inputs.add(s.File)
	}
	for _, c := range composed.Configs {
		l.inputs.add(c.File)
	}

	var problems spec.Errors
	services := map[string]types.ServiceConfig{}
	settings := map[string]serviceSettings{}
	var everywhere time.Duration
	if problem := l.settings(composed.Extensions, []setting{pullInterval(&everywhere)}); problem != nil {
		problems = append(problems, problem)
	}
	for _, name := range composed.ServiceNames() {
		read, problem := l.serviceSettings(composed.Services[name])
		read.pullInterval = cmp.Or(read.pullInterval, everywhere)
		switch {
		case problem != nil:
			problems = append(problems, problem)
		case read.unmanaged:
			p.Unmanaged = append(p.Unmanaged, name)
		default:
			services[name], settings[name] = composed.Services[name], read
		}
	}

	problems = append(problems, l.readAccessModes(composed.Volumes)...)

	documents := map[string]*document{}
	for _, d := range l.documents {
		documents[d.name] = d
		p.Specs = append(p.Specs, d.name)
		if slices.Contains(p.Unmanaged, d.name) {
			e := d.problem("metadata", "name")
			e.Message = fmt.Sprintf("service %q has a spec, but %s says managed: false", d.name, spec.ExtensionKey)
			e.Hint = "remove one of the two"
			problems = append(problems, e)
		}
	}

	completed := awaitedToComplete(services)
	for _, name := range slices.Sorted(maps.Keys(services)) {
		b := builder{loading: l, service: services[name], settings: settings[name], document: documents[name], awaited: completed[name]}
		if b.document == nil {
			b.document = &document{}
		}
		workload := b.build(p)
		problems = append(problems, b.problems...)
		p.Workloads[name] = workload
		addResources(p, composed, workload)
	}
	unsupported, err := l.checkSupport(p, o.Adapt != nil)
	if err != nil {
		return nil, err
	}
	problems = append(problems, unsupported...)
	problems = append(problems, l.checkDependencies(p)...)
	problems = append(problems, l.checkDatabases(p)...)
	problems = append(problems, l.checkJoins(p)...)
	problems = append(problems, l.checkContainerNames(composed)...)
	problems = append(problems, l.enforce(p)...)
	if err := problems.OrNil(); err != nil {
		return nil, err
	}
	for name := range services {
		for _, ingress := range spec.NewIngresses(p, p.Workloads[name], o.IngressImage, settings[name].proxyProtocol) {
			p.Workloads[ingress.Name] = ingress
			addResources(p, composed, ingress)
		}
	}
	if err := p.SetHashes(); err != nil {
		return nil, err
	}
	if o.Adapt != nil {
		if err := o.Adapt(p, l.places(documents)).OrNil(); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// places tells where the project is written; documents are the specs by service.
func (l *loading) places(documents map[string]*document) Places {
	return Places{Key: l.sources.locate, Field: func(service string, path ...string) (*spec.Error, bool) {
		d := documents[service]
		if d == nil {
			return nil, false
		}
		path = append([]string{"spec"}, path...)
		_, depth := find(d.root, path...)
		return d.problem(path...), depth == len(path)
	}}
}

// serviceSettings are what x-tend says on a service.
type serviceSettings struct {
	// unmanaged has tend leave the service alone.
	unmanaged bool
	// direct has its containers publish its ports themselves.
	direct bool
	// proxyProtocol has ingresses tell it the client's address by the PROXY protocol.
	proxyProtocol bool
	// pullInterval is how often the registry is asked for another image; 0 where nothing
	// is written.
	pullInterval time.Duration
	// keepImages is how many images of its repository are kept; 0 for all.
	keepImages int
}

// serviceSettings reads x-tend on a service.
func (l *loading) serviceSettings(service types.ServiceConfig) (s serviceSettings, problem *spec.Error) {
	managed, ports := true, ""
	problem = l.settings(service.Extensions, []setting{
		{key: "managed", example: "false", read: truth(&managed)},
		{key: spec.PortsKey, example: spec.DirectPorts, read: oneOf(&ports, spec.DirectPorts)},
		{key: "proxyProtocol", example: "true", read: truth(&s.proxyProtocol)},
		pullInterval(&s.pullInterval),
		{key: "keepImages", example: "3", read: whole(&s.keepImages)},
	}, "services", service.Name)
	s.unmanaged, s.direct = !managed, ports == spec.DirectPorts
	return s, problem
}

// setting is a key of x-tend.
type setting struct {
	key string
	// example is a value that it may have.
	example string
	// read takes its value, or returns what it must be.
	read func(value any) (mustBe string)
	// hint says what to write; empty where read says all.
	hint string
}

// pullInterval is the key that has images followed.
func pullInterval(to *time.Duration) setting {
	return setting{key: "pullInterval", example: "12h", read: func(value any) string {
		text, _ := value.(string)
		interval, err := time.ParseDuration(text)
		if err != nil || interval < time.Second || interval > maxSeconds*time.Second {
			return "a duration of 1s or more, as 30m or 12h"
		}
		*to = interval
		return ""
	}}
}

func whole(to *int) func(any) string {
	return func(value any) string {
		n, ok := value.(int)
		if !ok || n < 1 {
			return "a whole number of 1 or more"
		}
		*to = n
		return ""
	}
}

func truth(to *bool) func(any) string {
	return func(value any) string {
		b, ok := value.(bool)
		if !ok {
			return "true or false"
		}
		*to = b
		return ""
	}
}

func oneOf(to *string, allowed ...string) func(any) string {
	return func(value any) string {
		text, _ := value.(string)
		if !slices.Contains(allowed, text) {
			return strings.Join(allowed, " or ")
		}
		*to = text
		return ""
	}
}

// settings reads x-tend at a place in the Compose files, where only the known keys are
// allowed.
func (l *loading) settings(extensions types.Extensions, known []setting, at ...string) *spec.Error {
	extension, written := extensions[spec.ExtensionKey]
	if !written {
		return nil
	}
	at = append(slices.Clone(at), spec.ExtensionKey)
	fail := func(hint, message string, key ...string) *spec.Error {
		e := l.sources.locate(append(slices.Clone(at), key...)...)
		e.Message, e.Hint = message, hint
		return e
	}
	settings, ok := extension.(map[string]any)
	if !ok {
		return fail(fmt.Sprintf("write %s: {%s: %s}, or remove it", spec.ExtensionKey, known[0].key, known[0].example),
			spec.ExtensionKey+" must be a mapping")
	}
	for _, key := range slices.Sorted(maps.Keys(settings)) {
		i := slices.IndexFunc(known, func(s setting) bool { return s.key == key })
		if i < 0 {
			var names []string
			for _, s := range known {
				names = append(names, s.key)
			}
			return fail("known here: "+strings.Join(names, ", "), fmt.Sprintf("unknown field %q in %s", key, spec.ExtensionKey), key)
		}
		if mustBe := known[i].read(settings[key]); mustBe != "" {
			return fail(cmp.Or(known[i].hint, "write "+mustBe), fmt.Sprintf("%s must be %s", key, mustBe), key)
		}
	}
	return nil
}

// awaitedToComplete returns the services that another one waits for until they have
// completed, each with the first service that waits.
func awaitedToComplete(services map[string]types.ServiceConfig) map[string]string {
	awaited := map[string]string{}
	for _, waiting := range slices.Sorted(maps.Keys(services)) {
		for name, d := range services[waiting].DependsOn {
			if d.Condition == types.ServiceConditionCompletedSuccessfully && awaited[name] == "" {
				awaited[name] = waiting
			}
		}
	}
	return awaited
}

// addResources adds the networks and volumes that a workload uses.
func addResources(p *spec.Project, composed *types.Project, w *spec.Workload) {
	for key := range w.Template.Networks {
		config := composed.Networks[key]
		p.Networks[config.Name] = spec.Network{
			Key: key, Name: config.Name, External: bool(config.External), Config: config,
		}
		w.Networks = append(w.Networks, config.Name)
		if w.NetworkKeys == nil {
			w.NetworkKeys = map[string]string{}
		}
		w.NetworkKeys[config.Name] = key
	}
	for _, mount := range w.Template.Volumes {
		if mount.Type != types.VolumeTypeVolume || mount.Source == "" {
			continue
		}
		config := composed.Volumes[mount.Source]
		p.Volumes[config.Name] = spec.Volume{
			Key: mount.Source, Name: config.Name, External: bool(config.External), Config: config,
		}
		w.Volumes = append(w.Volumes, config.Name)
	}
	slices.Sort(w.Networks)
	slices.Sort(w.Volumes)
	w.Volumes = slices.Compact(w.Volumes)
	if w.Kind != spec.Database {
		return
	}
	for _, mount := range spec.DataMounts(w.Template) {
		if mount.Type == types.VolumeTypeVolume {
			w.DataVolume = composed.Volumes[mount.Source].Name
		}
	}
}

// checkSupport refuses keys that tend cannot honour, in the managed services and in the
// networks, volumes, secrets and configs that they use. Where Adapt follows, that says what
// its engine cannot do with secrets and configs: one machine alone keeps none outside a
// project.
func (l *loading) checkSupport(p *spec.Project, adapts bool) (problems spec.Errors, err error) {
	check := func(section, name string, merged any) {
		if adapts && (section == "secrets" || section == "configs") {
			return
		}
		found, failed := keys.Refused(section, name, merged, l.sources.locate)
		problems = append(problems, found...)
		err = errors.Join(err, failed)
	}
	for _, w := range p.Workloads {
		check("services", w.Name, w.Template)
		for _, s := range w.Template.Secrets {
			check("secrets", s.Source, p.Secrets[s.Source])
			problems = append(problems, l.checkVariable("secrets", s.Source, types.FileObjectConfig(p.Secrets[s.Source]))...)
		}
		for _, c := range w.Template.Configs {
			check("configs", c.Source, p.Configs[c.Source])
			problems = append(problems, l.checkVariable("configs", c.Source, types.FileObjectConfig(p.Configs[c.Source]))...)
		}
	}
	for _, n := range p.Networks {
		check("networks", n.Key, n.Config)
	}
	for _, v := range p.Volumes {
		check("volumes", v.Key, v.Config)
	}
	return problems, err
}

// checkVariable refuses a secret or config whose environment variable is not
// set, as Compose does when it creates the container.
func (l *loading) checkVariable(section, key string, o types.FileObjectConfig) spec.Errors {
	if o.Environment == "" {
		return nil
	}
	if _, set := l.options.Environment[o.Environment]; set {
		return nil
	}
	e := l.sources.locate(section, key, "environment")
	e.Message = fmt.Sprintf("the environment variable %s is not set", o.Environment)
	e.Hint = "set it, in .env for instance"
	return spec.Errors{e}
}

// checkDependencies refuses dependencies that could never be met. Those on a service
// outside the project were left out before.
func (l *loading) checkDependencies(p *spec.Project) (problems spec.Errors) {
	for _, name := range slices.Sorted(maps.Keys(p.Workloads)) {
		for _, d := range p.Workloads[name].DependsOn {
			target := p.Workloads[d.Name]
			if d.Condition == spec.DependencyCompleted && target.Kind != spec.Job {
				e := l.sources.locate("services", name, "depends_on", d.Name)
				e.Message = fmt.Sprintf("%s waits until %s has completed, but a spec says that it is a %s, which runs on", name, d.Name, target.Kind)
				e.Hint = "wait for service_healthy, or make it a Job"
				problems = append(problems, e)
			}
		}
	}
	return problems
}

// checkDatabases refuses two Databases on one volume.
func (l *loading) checkDatabases(p *spec.Project) (problems spec.Errors) {
	owners := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(p.Workloads)) {
		w := p.Workloads[name]
		if w.Kind != spec.Database {
			continue
		}
		for _, mount := range spec.DataMounts(w.Template) {
			if owner, taken := owners[mount.Source]; taken {
				e := l.sources.locate("services", name, "volumes")
				e.Message = fmt.Sprintf("%s and %s keep their data in one volume, %s, which would destroy it", owner, name, mount.Source)
				e.Hint = "give each a volume of its own"
				problems = append(problems, e)
			}
			owners[mount.Source] = name
		}
	}
	return problems
}

// checkJoins refuses a Database that shares what is another container's: it would have to
// go whenever that does. It tells the others by which names their networks are known,
// which are those of what they join.
func (l *loading) checkJoins(p *spec.Project) (problems spec.Errors) {
	for _, name := range slices.Sorted(maps.Keys(p.Workloads)) {
		w := p.Workloads[name]
		if joins := w.Joins(); w.Kind == spec.Database && len(joins) > 0 {
			e := l.sources.locate("services", name)
			e.Message = fmt.Sprintf("%s is a Database and joins the container of %s, and would have to be stopped whenever that is", name, joins[0])
			e.Hint = "have the other service join the Database, or give it a network and volumes of its own"
			problems = append(problems, e)
		}
		if joined := p.Workloads[w.NetworkJoined()]; joined != nil {
			w.NetworkKeys = joined.NetworkKeys
		}
	}
	return problems
}

// checkContainerNames refuses a container_name that another service's container has or
// may get, as the engine gives a name to one container only.
func (l *loading) checkContainerNames(composed *types.Project) (problems spec.Errors) {
	owners := map[string]string{}
	for _, name := range composed.ServiceNames() {
		containerName := composed.Services[name].ContainerName
		if containerName == "" {
			continue
		}
		message := ""
		if owner, taken := owners[containerName]; taken {
			message = fmt.Sprintf("belongs to service %s already", owner)
		} else if owner := generates(composed, containerName); owner != "" && owner != name {
			message = fmt.Sprintf("is what a replica of service %s is called", owner)
		}
		if message != "" {
			e := l.sources.locate("services", name, "container_name")
			e.Message = fmt.Sprintf("container_name %q %s, and the engine gives a name to one container only", containerName, message)
			e.Hint = "give each its own, or remove container_name: services find each other by the names of the services"
			problems = append(problems, e)
			continue
		}
		owners[containerName] = name
	}
	return problems
}

// generates returns the service that gives its replicas names like a container's; empty
// where there is none.
func generates(composed *types.Project, containerName string) string {
	for _, name := range composed.ServiceNames() {
		number, ok := strings.CutPrefix(containerName, composed.Name+"-"+name+"-")
		n, err := strconv.Atoi(number)
		if ok && err == nil && n > 0 && strconv.Itoa(n) == number && composed.Services[name].ContainerName == "" {
			return name
		}
	}
	return ""
}
