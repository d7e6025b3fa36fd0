package testenv

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"

	"github.com/tendhq/tend/services/contracts"
	"github.com/tendhq/tend/services/internal/events"
	"github.com/tendhq/tend/services/internal/server"
)

// contractCheck holds whatever a service is asked and answers, by tests and by other
// services, to its contract.
type contractCheck struct {
	t        testing.TB
	contract *contracts.Contract
	router   routers.Router

	mu      sync.Mutex
	missing map[string]bool // fields, statuses and events of the contract that were not seen yet
}

// holdToContract returns the service with each of its endpoints checked.
func holdToContract(t testing.TB, service server.Service) (server.Service, *contractCheck) {
	t.Helper()
	if service.Contract == nil {
		return service, nil
	}
	check := newContractCheck(t, service.Contract)
	build := service.New
	service.New = func(rt *server.Runtime) (*server.App, error) {
		app, err := build(rt)
		if err != nil {
			return nil, err
		}
		routes := app.Routes
		app.Routes = func(r chi.Router) {
			r.Group(func(r chi.Router) {
				r.Use(check.middleware)
				routes(r)
			})
			check.sameEndpoints(r)
		}
		return app, nil
	}
	return service, check
}

func newContractCheck(t testing.TB, contract *contracts.Contract) *contractCheck {
	t.Helper()
	doc, err := contract.OpenAPI()
	if err != nil {
		t.Fatal(err)
	}
	router, err := gorillamux.NewRouter(doc)
	if err != nil {
		t.Fatal(err)
	}
	check := &contractCheck{t: t, contract: contract, router: router, missing: map[string]bool{}}
	for name, endpoint := range contract.Endpoints {
		for _, status := range endpoint.Statuses() {
			check.missing[fmt.Sprintf("%s answers %d", name, status)] = true
		}
		for field := range endpoint.Query {
			check.missing[name+" query "+field] = true
		}
		walk(endpoint.Request, name+" request", func(path string) { check.missing[path] = true })
		walk(endpoint.Response, name+" response", func(path string) { check.missing[path] = true })
		walk(endpoint.Stream, name+" response", func(path string) { check.missing[path] = true })
	}
	for eventType, data := range contract.Events {
		check.missing["event "+eventType] = true
		walk(data, "event "+eventType, func(path string) { check.missing[path] = true })
	}
	return check
}

// walk calls visit with the path of each field of value, a JSON document or a contract's.
func walk(value any, path string, visit func(string)) {
	switch value := value.(type) {
	case map[string]any:
		for name, field := range value {
			at := path + "." + strings.TrimSuffix(name, "?")
			visit(at)
			walk(field, at, visit)
		}
	case []any:
		for _, element := range value {
			walk(element, path+"[]", visit)
		}
	}
}

// sameEndpoints fails the test unless the service routes what its contract lists.
func (c *contractCheck) sameEndpoints(r chi.Router) {
	routed := map[string]bool{}
	err := chi.Walk(r, func(method, path string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
		if strings.HasPrefix(path, "/api/") {
			routed[method+" "+strings.TrimSuffix(path, "/")] = true
		}
		return nil
	})
	if err != nil {
		c.t.Error(err)
	}
	listed := map[string]bool{}
	for name := range c.contract.Endpoints {
		listed[name] = true
	}
	if !maps.Equal(routed, listed) {
		c.t.Errorf("%s routes %v, and its contract lists %v", c.contract.Service, slices.Sorted(maps.Keys(routed)), slices.Sorted(maps.Keys(listed)))
	}
}

func (c *contractCheck) middleware(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // who asked has left
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		var answer bytes.Buffer
		ww := middleware.NewWrapResponseWriter(w, r.ProtoMajor)
		ww.Tee(&answer)
		next.ServeHTTP(ww, r)
		if ww.Status() == 499 {
			return // who asked has left
		}
		if err := c.check(r, body, max(ww.Status(), http.StatusOK), ww.Header(), answer.Bytes()); err != nil {
			c.t.Errorf("%s breaks its contract: %s %s with %q is answered %d: %v", c.contract.Service, r.Method, r.URL, body, ww.Status(), err)
		}
	})
}

// check returns what is wrong with one exchange. What the contract does not allow must
// be refused, and a refusal is a problem document.
func (c *contractCheck) check(r *http.Request, body []byte, status int, header http.Header, answer []byte) error {
	asked := r.Clone(r.Context())
	asked.Body = io.NopCloser(bytes.NewReader(body))
	route, parameters, err := c.router.FindRoute(asked)
	if err != nil {
		return err
	}
	request := &openapi3filter.RequestValidationInput{
		Request: asked, PathParams: parameters, Route: route,
		Options: &openapi3filter.Options{
			AuthenticationFunc:    openapi3filter.NoopAuthenticationFunc,
			IncludeResponseStatus: true, RejectWhenRequestBodyNotSpecified: len(body) > 0, SkipSettingDefaults: true,
		},
	}
	if err := openapi3filter.ValidateRequest(r.Context(), request); err != nil && status < 300 {
		return fmt.Errorf("the request is not in it: %w", err)
	}
	response := &openapi3filter.ResponseValidationInput{RequestValidationInput: request, Status: status, Header: header, Options: request.Options}
	response.SetBodyBytes(answer)
	if err := openapi3filter.ValidateResponse(r.Context(), response); err != nil {
		return err
	}
	if status >= 300 {
		return nil
	}
	endpoint := route.Method + " " + route.Path
	documents := [][]byte{answer}
	if stream := c.contract.Endpoints[endpoint].Stream; stream != nil {
		if documents, err = streamed(stream, answer); err != nil {
			return err
		}
	}
	for _, document := range documents {
		c.saw(endpoint, r, body, status, document)
	}
	return nil
}

// A stream's events are checked one by one.
func init() {
	openapi3filter.RegisterBodyDecoder("text/event-stream", openapi3filter.PlainBodyDecoder)
}

// streamed returns the data of each event of a stream, all of which must be as the
// contract says.
func streamed(contract any, answer []byte) (documents [][]byte, err error) {
	schema, err := contracts.Schema(contract)
	if err != nil {
		return nil, err
	}
	for line := range bytes.Lines(answer) {
		data, ok := bytes.CutPrefix(line, []byte("data: "))
		if !ok {
			continue
		}
		var value any
		if err := json.Unmarshal(data, &value); err != nil {
			return nil, fmt.Errorf("event %s: %w", data, err)
		}
		if err := schema.VisitJSON(value); err != nil {
			return nil, fmt.Errorf("event %s: %w", data, err)
		}
		documents = append(documents, data)
	}
	return documents, nil
}

func (c *contractCheck) saw(endpoint string, r *http.Request, body []byte, status int, answer []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	saw := func(path string) { delete(c.missing, path) }
	saw(fmt.Sprintf("%s answers %d", endpoint, status))
	for field := range r.URL.Query() {
		saw(endpoint + " query " + field)
	}
	for path, document := range map[string][]byte{" request": body, " response": answer} {
		var value any
		if json.Unmarshal(document, &value) == nil {
			walk(value, endpoint+path, saw)
		}
	}
}

// Saw notes that the service published an event, whose data its outbox has held to the
// contract.
func (s *Service) Saw(e events.Event) {
	s.check.mu.Lock()
	defer s.check.mu.Unlock()
	delete(s.check.missing, "event "+e.EventType)
	var data any
	if json.Unmarshal(e.Data, &data) == nil {
		walk(data, "event "+e.EventType, func(path string) { delete(s.check.missing, path) })
	}
}

// NotSeen returns what of the service's contract no request, no answer and no event has had
// yet: its endpoints' statuses of success, its events, and their fields.
func (s *Service) NotSeen() []string {
	s.check.mu.Lock()
	defer s.check.mu.Unlock()
	return slices.Sorted(maps.Keys(s.check.missing))
}

// Reads fails the test unless all that a consumer reads of an endpoint's answer, the
// fields of value, is promised by the provider's contract.
func Reads(t testing.TB, provider, endpoint string, value any) {
	t.Helper()
	doc, err := contracts.Of(provider).OpenAPI()
	if err != nil {
		t.Fatal(err)
	}
	method, path, _ := strings.Cut(endpoint, " ")
	item := doc.Paths.Value(path)
	if item == nil || item.GetOperation(method) == nil {
		t.Fatalf("%s promises no %s", provider, endpoint)
	}
	var schema *openapi3.Schema
	for status, response := range item.GetOperation(method).Responses.Map() {
		if content := response.Value.Content.Get("application/json"); status != "default" && content != nil {
			schema = content.Schema.Value
		}
	}
	if schema == nil {
		t.Fatalf("%s answers %s without a document", provider, endpoint)
	}
	promises(t, provider+", "+endpoint, schema, value)
}

// promises fails the test unless the schema requires all fields of value.
func promises(t testing.TB, promise string, schema *openapi3.Schema, value any) {
	t.Helper()
	encoded, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	var fields map[string]any
	if err := json.Unmarshal(encoded, &fields); err != nil {
		t.Fatal(err)
	}
	for name, field := range fields {
		property := schema.Properties[name]
		if property == nil || !slices.Contains(schema.Required, name) {
			t.Errorf("%s: %q is not promised", promise, name)
			continue
		}
		if err := property.Value.VisitJSON(field); err != nil {
			t.Errorf("%s: another type of %q is promised: %v", promise, name, err)
		}
	}
}

// ReadsEvent fails the test unless all that a consumer reads of an event's data, the fields
// of value, is promised by the publisher's contract.
func ReadsEvent(t testing.TB, publisher, eventType string, value any) {
	t.Helper()
	data, ok := contracts.Of(publisher).Events[eventType]
	if !ok {
		t.Fatalf("%s promises no event %s", publisher, eventType)
	}
	schema, err := contracts.Schema(data)
	if err != nil {
		t.Fatal(err)
	}
	promises(t, publisher+", event "+eventType, schema, value)
}
