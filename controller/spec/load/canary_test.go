package load

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestNoErrorHoldsAValue writes a secret, hunter2, wherever the loader finds a mistake.
func TestNoErrorHoldsAValue(t *testing.T) {
	type files map[string]string
	for name, c := range map[string]struct {
		files
		says string
	}{
		"env unterminated":           {files{".env": "A=1\nDB=\"hunter2\nmore\n"}, `.env:2:1: the value of DB`},
		"env char":                   {files{".env": "A=1\nDB!hunter2\nmore\n"}, `.env:2:1: `},
		"env space":                  {files{".env": "A=1\nDB hunter2=3\nmore\n"}, `.env:2:1: `},
		"env template":               {files{".env": "A=1\nDB=\"hunter2\n${\"\n"}, `.env:2:1: a variable in the value of DB`},
		"env template2":              {files{".env": "A=1\nDB=hunter2${\n"}, `.env:2:1: a variable in the value of DB`},
		"env required2":              {files{".env": "A=hunter2\nDB=x${X:?$A}\n"}, `.env:2:1: in the value of DB: required variable X`},
		"envfile unterminated":       {files{"w.env": "A=1\nDB=\"hunter2\nmore\n", "compose.yaml": "services: {web: {image: web, env_file: w.env}}"}, `w.env:2:1: the value of DB`},
		"envfile template":           {files{"w.env": "A=1\nDB=hunter2${\nmore\n", "compose.yaml": "services: {web: {image: web, env_file: w.env}}"}, `w.env:2:1: a variable in the value of DB`},
		"envfile template in quotes": {files{"w.env": "A=1\nDB=\"hunter2\n${\"\nmore\n", "compose.yaml": "services: {web: {image: web, env_file: w.env}}"}, `w.env:2:1: a variable in the value of DB`},
		"include env":                {files{"sub/.env": "A=1\nDB=\"hunter2\nmore\n", "sub/c.yaml": "services: {web: {image: web}}", "compose.yaml": "include: [sub/c.yaml]\nservices: {w: {image: web}}"}, `sub/.env:2:1: the value of DB`},
		"label file":                 {files{"w.env": "A=1\nDB=\"hunter2\nmore\n", "compose.yaml": "services: {web: {image: web, label_file: w.env}}"}, `w.env:2:1: the value of DB`},
		"interp":                     {files{"compose.yaml": "services: {web: {image: web, environment: {DB: 'hunter2${'}}}"}, `compose.yaml:1:44: a variable in services.web.environment.DB`},
		"interp list":                {files{"compose.yaml": "services: {web: {image: web, environment: ['DB=hunter2${']}}"}, `compose.yaml:1:30: a variable in services.web.environment`},
		"interp dflt":                {files{"compose.yaml": "services: {web: {image: web, environment: ['DB=${X:-hunter2${}']}}"}, `compose.yaml:1:30: a variable in services.web.environment`},
		"interp cast":                {files{".env": "P=hunter2", "compose.yaml": "services: {web: {image: web, read_only: '${P}'}}"}, `compose.yaml:1:30: services.web.read_only must be a boolean`},
		"interp port":                {files{".env": "P=hunter2", "compose.yaml": "services: {web: {image: web, ports: ['${P}:80']}}"}, `invalid hostPort: ${P}`},
		"interp dur":                 {files{".env": "P=hunter2", "compose.yaml": "services: {web: {image: web, stop_grace_period: '${P}'}}"}, `compose.yaml:`},
		"interp mem":                 {files{".env": "P=hunter2", "compose.yaml": "services: {web: {image: web, mem_limit: '${P}'}}"}, `compose.yaml:`},
		"interp policy":              {files{".env": "P=hunter2", "compose.yaml": "services: {web: {image: web, pull_policy: '${P}'}}"}, `compose.yaml:`},
		"interp depends":             {files{".env": "P=hunter2", "compose.yaml": "services: {web: {image: web, depends_on: ['${P}']}}"}, `undefined service "${P}"`},
		"interp network":             {files{".env": "P=hunter2", "compose.yaml": "services: {web: {image: web, network_mode: 'service:${P}'}}"}, `compose.yaml:`},
		"interp restart":             {files{".env": "P=hunter2", "compose.yaml": "services: {web: {image: web, restart: '${P}'}}"}, `compose.yaml:`},
		"interp host":                {files{".env": "P=hunter2", "compose.yaml": "services: {web: {image: web, extra_hosts: ['${P}']}}"}, `compose.yaml:`},
		"interp cpus":                {files{".env": "P=hunter2", "compose.yaml": "services: {web: {image: web, cpus: '${P}'}}"}, `compose.yaml:1:30: services.web.cpus must be a number`},
		"interp expose":              {files{".env": "P=hunter2", "compose.yaml": "services: {web: {image: web, expose: ['${P}']}}"}, `compose.yaml:`},
		"interp replicas":            {files{".env": "P=hunter2", "compose.yaml": "services: {web: {image: web, scale: '${P}'}}"}, `compose.yaml:`},
		"yaml anchor":                {files{"compose.yaml": "services: {web: {image: web, environment: {DB: *hunter2}}}"}, `compose.yaml:1:48: an alias`},
		"yaml tag":                   {files{"compose.yaml": "services: {web: {image: web, environment: {DB: !h!hunter2 x}}}"}, `compose.yaml:`},
		"yaml plain":                 {files{"compose.yaml": "services: {web: {image: web, environment: {DB: 'hunter2}}}"}, `compose.yaml:`},
		"yaml colon":                 {files{"compose.yaml": "services:\n  web:\n    image: web\n    environment:\n      DB: hunter2: x\n"}, `compose.yaml:`},
		"yaml list":                  {files{"compose.yaml": "services: {web: {image: web, environment: {DB: [hunter2]}}}"}, `compose.yaml:`},
		"yaml scalar":                {files{"compose.yaml": "services: {web: {image: web, environment: hunter2}}"}, `compose.yaml:`},
		"yaml map merge":             {files{"compose.yaml": "services: {web: {image: web, environment: {<<: hunter2}}}"}, `compose.yaml:1:44: `},
		"yaml binary":                {files{"compose.yaml": "services: {web: {image: web, environment: {DB: !!binary hunter2}}}"}, `compose.yaml:`},
		"yaml int":                   {files{"compose.yaml": "services: {web: {image: web, environment: {DB: !!int hunter2}}}"}, `compose.yaml:1:48: the value is not of its type, !!int`},
		"spec env":                   {files{"compose.yaml": "services: {web: {image: web}}", "specs/web.yaml": "apiVersion: tend/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {template: {environment: {DB: !!int hunter2}}}"}, `specs/web.yaml:4:37: `},
		"spec merge":                 {files{"compose.yaml": "services: {web: {image: web}}", "specs/web.yaml": "apiVersion: tend/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {template: {environment: {<<: hunter2}}}"}, `specs/web.yaml:4:33: `},
		"spec interp":                {files{"compose.yaml": "services: {web: {image: web}}", "specs/web.yaml": "apiVersion: tend/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {template: {environment: {DB: 'hunter2${'}}}"}, `specs/web.yaml:4:33: a variable in services.web.environment.DB`},
		"labels":                     {files{".env": "P=hunter2", "compose.yaml": "services: {web: {image: web, labels: ['${P}', 3]}}"}, `compose.yaml:`},
		"command":                    {files{".env": "P=hunter2", "compose.yaml": "services: {web: {image: web, command: \"a 'hunter2 ${P}\"}}"}, `compose.yaml:`},
		"ulimits":                    {files{".env": "P=hunter2", "compose.yaml": "services: {web: {image: web, ulimits: {nofile: \"${P}\"}}}"}, `compose.yaml:`},
		"a part of a variable": {files{".env": "P=10hunter2", "compose.yaml": "services: {web: {image: web, stop_grace_period: '${P}'}}"},
			"compose.yaml:1:30: "},
		"a part between colons": {files{".env": "P=hunter2:hunter3:hunter4:x", "compose.yaml": "services: {web: {image: web, ports: ['${P}']}}"},
			"compose.yaml"},
		"a variable of an included project": {files{"sub/.env": "P=hunter2", "sub/c.yaml": "services: {web: {image: web, stop_grace_period: '${P}'}}", "compose.yaml": "include: [sub/c.yaml]\nservices: {w: {image: web}}"},
			"sub/c.yaml:1:30: with the variable P filled in"},
		"a required variable whose message is filled in": {files{".env": "P=hunter2", "compose.yaml": "services: {web: {image: '${X:?$P}'}}"},
			"compose.yaml:1:18: "},
		"after a value of several lines": {files{".env": "# first\n\nA='x\n=\\' y\n' B=\"z\"\n  export Ü=\"hunter2\n"}, ".env:6:3: the value of Ü"},
		"after a value in quotes":        {files{".env": "A=\"x\"!hunter2\n"}, ".env:1:6: "},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, filepath.Join(dir, "compose.yaml"), "services: {web: {image: web}}")
			for path, content := range c.files {
				write(t, filepath.Join(dir, path), content)
			}
			_, err := Project(t.Context(), Options{ProjectDirectory: dir})
			require.Error(t, err)
			assert.NotContains(t, err.Error(), "hunter")
			assert.Contains(t, err.Error(), c.says)
		})
	}
}

func TestARequiredVariablesOwnMessageIsSaid(t *testing.T) {
	for path, content := range map[string]string{
		".env": "DB=${X:?set it to a port}\n", "compose.yaml": "services: {web: {image: '${X:?set it to a port}'}}",
	} {
		dir := t.TempDir()
		write(t, filepath.Join(dir, "compose.yaml"), "services: {web: {image: web}}")
		write(t, filepath.Join(dir, path), content)
		_, err := Project(t.Context(), Options{ProjectDirectory: dir})
		assert.ErrorContains(t, err, "required variable X is missing a value: set it to a port")
	}
}
