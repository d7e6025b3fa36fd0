// Package contracts holds what each service promises to those who call it: one
// document for each service, from which its OpenAPI description is made.
//
// A document lists endpoints by method and path. In a request, a response and a query
// a value is the type of a field: string, number, boolean, object, array, or the
// strings it may be, such as "add|subtract|set". An object in braces has exactly these
// fields, a list of one value has elements like it, and a name that ends in "?" is of
// a field that may be missing. A request all of whose fields may be may be missing itself. Fields of a query and headers may always be missing,
// but Authorization.
//
// A document also lists the events that the service publishes, each with the fields of its
// data, and the types of those that it consumes, its own or others'. What all events have
// besides, such as eventId and timestamp, is in package events.
package contracts

import (
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

//go:embed *.json */*.json
var documents embed.FS

// Contract is what a service promises.
type Contract struct {
	Service   string              `json:"service"`
	Version   string              `json:"version"`
	Endpoints map[string]Endpoint `json:"endpoints"`
	// Events has the data of each event that the service publishes, by type.
	Events map[string]any `json:"events"`
	// Consumes lists the types of the events that the service acts upon.
	Consumes []string `json:"consumes"`

	document []byte
}

// Endpoint is what one endpoint takes and answers.
type Endpoint struct {
	Description string         `json:"description"`
	Headers     map[string]any `json:"headers"`
	Query       map[string]any `json:"query"`
	Request     any            `json:"request"`
	// Status lists the statuses of success; where empty, 200.
	Status   []int `json:"status"`
	Response any   `json:"response"`
	// Stream has the data of each event in place of a response: the answer is a
	// stream of server-sent events.
	Stream any `json:"stream"`
}

// Of returns the contract of a service, or of another version of it as 1.1.0/user-service.
// It panics where there is none.
func Of(service string) *Contract {
	document, err := documents.ReadFile(service + ".json")
	if err != nil {
		panic(err)
	}
	contract := Contract{document: document}
	if err := json.Unmarshal(document, &contract); err != nil {
		panic(fmt.Errorf("contract of %s: %w", service, err))
	}
	return &contract
}

// All returns the contracts of all services, sorted by name.
func All() []*Contract {
	names, err := fs.Glob(documents, "*.json")
	if err != nil {
		panic(err)
	}
	contracts := make([]*Contract, 0, len(names))
	for _, name := range names {
		contracts = append(contracts, Of(strings.TrimSuffix(name, ".json")))
	}
	return contracts
}

// Document returns the contract as it is written.
func (c *Contract) Document() []byte { return c.document }

var parameter = regexp.MustCompile(`\{([A-Za-z]+)\}`)

const (
	bearer  = "bearer"
	problem = "Problem"
)

// OpenAPI returns the contract as an OpenAPI document.
func (c *Contract) OpenAPI() (*openapi3.T, error) {
	doc := &openapi3.T{
		OpenAPI: "3.0.3",
		Info:    &openapi3.Info{Title: c.Service, Version: c.Version},
		Paths:   openapi3.NewPaths(),
		Components: &openapi3.Components{
			Schemas:         openapi3.Schemas{problem: {Value: problemSchema()}},
			SecuritySchemes: openapi3.SecuritySchemes{bearer: {Value: openapi3.NewJWTSecurityScheme()}},
		},
	}
	for _, name := range slices.Sorted(maps.Keys(c.Endpoints)) {
		method, path, ok := strings.Cut(name, " ")
		if !ok {
			return nil, fmt.Errorf("endpoint %q: want a method and a path", name)
		}
		operation, err := c.Endpoints[name].operation(path)
		if err != nil {
			return nil, fmt.Errorf("endpoint %q: %w", name, err)
		}
		operation.OperationID = strings.Trim(regexp.MustCompile(`[^A-Za-z]+`).ReplaceAllString(name, "_"), "_")
		doc.AddOperation(path, method, operation)
	}
	return doc, nil
}

func problemSchema() *openapi3.Schema {
	return openapi3.NewObjectSchema().
		WithProperty("type", openapi3.NewStringSchema()).
		WithProperty("title", openapi3.NewStringSchema()).
		WithProperty("status", openapi3.NewIntegerSchema()).
		WithProperty("detail", openapi3.NewStringSchema()).
		WithProperty("requestId", openapi3.NewStringSchema()).
		WithProperty("traceId", openapi3.NewStringSchema()).
		WithRequired([]string{"type", "title", "status"})
}

func (e Endpoint) operation(path string) (*openapi3.Operation, error) {
	operation := openapi3.NewOperation()
	operation.Description = e.Description
	operation.Responses = openapi3.NewResponsesWithCapacity(len(e.Statuses()) + 1)
	for _, match := range parameter.FindAllStringSubmatch(path, -1) {
		operation.AddParameter(openapi3.NewPathParameter(match[1]).WithSchema(openapi3.NewStringSchema()))
	}
	for _, name := range slices.Sorted(maps.Keys(e.Query)) {
		schema, err := Schema(e.Query[name])
		if err != nil {
			return nil, fmt.Errorf("query %s: %w", name, err)
		}
		operation.AddParameter(openapi3.NewQueryParameter(name).WithSchema(schema))
	}
	for _, name := range slices.Sorted(maps.Keys(e.Headers)) {
		if name == "Authorization" {
			operation.Security = openapi3.NewSecurityRequirements().With(openapi3.NewSecurityRequirement().Authenticate(bearer))
			continue
		}
		operation.AddParameter(openapi3.NewHeaderParameter(name).WithSchema(openapi3.NewStringSchema()))
	}
	if e.Request != nil {
		schema, err := Schema(e.Request)
		if err != nil {
			return nil, fmt.Errorf("request: %w", err)
		}
		operation.RequestBody = &openapi3.RequestBodyRef{Value: openapi3.NewRequestBody().WithRequired(len(schema.Required) > 0).WithJSONSchema(schema)}
	}
	content, err := e.content()
	if err != nil {
		return nil, err
	}
	for _, status := range e.Statuses() {
		response := openapi3.NewResponse().WithDescription(http.StatusText(status)).WithContent(content)
		operation.Responses.Set(strconv.Itoa(status), &openapi3.ResponseRef{Value: response})
	}
	operation.Responses.Set("default", &openapi3.ResponseRef{Value: openapi3.NewResponse().
		WithDescription("A problem document (RFC 9457)").
		WithContent(openapi3.NewContentWithSchemaRef(openapi3.NewSchemaRef("#/components/schemas/"+problem, problemSchema()), []string{"application/problem+json"}))})
	return operation, nil
}

// Statuses returns the statuses of success.
func (e Endpoint) Statuses() []int {
	if len(e.Status) == 0 {
		return []int{http.StatusOK}
	}
	return e.Status
}

func (e Endpoint) content() (openapi3.Content, error) {
	switch {
	case e.Stream != nil:
		if _, err := Schema(e.Stream); err != nil {
			return nil, fmt.Errorf("stream: %w", err)
		}
		return openapi3.NewContentWithSchema(openapi3.NewStringSchema(), []string{"text/event-stream"}), nil
	case e.Response == nil:
		return nil, nil
	}
	schema, err := Schema(e.Response)
	if err != nil {
		return nil, fmt.Errorf("response: %w", err)
	}
	return openapi3.NewContentWithJSONSchema(schema), nil
}

// Schema returns the schema of what a document writes as a value.
func Schema(value any) (*openapi3.Schema, error) {
	switch value := value.(type) {
	case string:
		return namedSchema(value)
	case []any:
		if len(value) != 1 {
			return nil, fmt.Errorf("a list has %d values, want one that its elements are like", len(value))
		}
		element, err := Schema(value[0])
		if err != nil {
			return nil, err
		}
		return openapi3.NewArraySchema().WithItems(element), nil
	case map[string]any:
		object := openapi3.NewObjectSchema().WithoutAdditionalProperties()
		for _, name := range slices.Sorted(maps.Keys(value)) {
			field, err := Schema(value[name])
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			plain, optional := strings.CutSuffix(name, "?")
			object.WithProperty(plain, field)
			if !optional {
				object.Required = append(object.Required, plain)
			}
		}
		return object, nil
	}
	return nil, fmt.Errorf("%v is no type", value)
}

func namedSchema(name string) (*openapi3.Schema, error) {
	switch name {
	case "string":
		return openapi3.NewStringSchema(), nil
	case "number":
		return openapi3.NewFloat64Schema(), nil
	case "boolean":
		return openapi3.NewBoolSchema(), nil
	case "object":
		return openapi3.NewObjectSchema(), nil
	case "array":
		return openapi3.NewArraySchema().WithItems(openapi3.NewSchema()), nil
	}
	choices := strings.Split(name, "|")
	if len(choices) < 2 {
		return nil, fmt.Errorf("%q is no type", name)
	}
	enum := openapi3.NewStringSchema()
	for _, choice := range choices {
		enum.Enum = append(enum.Enum, choice)
	}
	return enum, nil
}
