package load

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/compose-spec/compose-go/v2/interpolation"
	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/schema"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/compose-spec/compose-go/v2/validation"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"
)

// composeSchema is the schema of the Compose specification, compiled once. compose-go
// compiles it for each file, which takes twenty times as long as the rest of its work.
var composeSchema = sync.OnceValue(func() *jsonschema.Schema {
	// The library does not check what has a name of json-schema.org against the schema of
	// schemas. That takes a quarter of the time, and this one is part of the program.
	const name = "https://json-schema.org/compose-spec.json"
	document, err := jsonschema.UnmarshalJSON(strings.NewReader(schema.Schema))
	if err != nil {
		panic(err) // it is part of the program
	}
	compiler := jsonschema.NewCompiler()
	compiler.RegisterFormat(&jsonschema.Format{Name: "duration", Validate: isDuration})
	if err := compiler.AddResource(name, document); err != nil {
		panic(err)
	}
	return compiler.MustCompile(name)
})

func isDuration(v any) error {
	text, ok := v.(string)
	if !ok {
		return errors.New("it is no text")
	}
	_, err := time.ParseDuration(text)
	return err
}

// loadValid does what loader.LoadWithContext does with a project that is valid and takes
// nothing from another file or service, and returns nil for any other: compose-go says
// best itself what is wrong. It has compose-go skip its validation, and validates each
// file as it is written and what is made of all of them.
func loadValid(ctx context.Context, details types.ConfigDetails, options ...func(*loader.Options)) (project *types.Project) {
	defer func() {
		// compose-go relies on the types of some values that its validation has checked.
		if recover() != nil {
			project = nil
		}
	}()
	options = append(options, loader.WithSkipValidation)
	model, err := loader.LoadModelWithContext(ctx, details, options...)
	if err != nil {
		return nil
	}
	o := loader.ToOptions(&details, options)
	for _, f := range details.ConfigFiles {
		if !isValid(f.Content, *o.Interpolate) {
			return nil
		}
	}
	name, _ := model["name"].(string)
	if name == "" || composeSchema().Validate(model) != nil || validation.Validate(model) != nil {
		return nil
	}
	o.SetProjectName(name, true)
	if project, err = loader.ModelToProject(model, o, details); err != nil {
		return nil
	}
	return project
}

// isValid reports whether all documents of a file keep to the schema before they are
// merged and brought into the canonical form, take nothing from another file or service,
// and have no version: compose-go warns of one.
func isValid(content []byte, o interpolation.Options) bool {
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	for {
		var written map[string]any
		err := decoder.Decode(&written)
		if errors.Is(err, io.EOF) {
			return true
		}
		if err != nil || hasKey(written, "include") || hasKey(written, "version") {
			return false
		}
		if written, err = interpolation.Interpolate(written, o); err != nil || composeSchema().Validate(written) != nil {
			return false
		}
		services, _ := written["services"].(map[string]any)
		for _, service := range services {
			if service, _ := service.(map[string]any); hasKey(service, "extends") {
				return false
			}
		}
	}
}

func hasKey(m map[string]any, key string) bool {
	_, ok := m[key]
	return ok
}
