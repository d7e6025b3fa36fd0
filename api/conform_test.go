package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"regexp"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"
)

// conformity holds every answer that the tests of this package get to openapi.yaml.
var conformity = newConformity()

// conforming checks a handler's answers against the document.
type conforming struct {
	compiler *jsonschema.Compiler
	paths    map[string]map[string]operation
	patterns map[string]*regexp.Regexp

	mu      sync.Mutex
	schemas map[string]*jsonschema.Schema
	// seen are the operations that were answered with 200, and wrong the answers that the
	// document does not describe.
	seen  map[string]bool
	wrong []string
}

type operation struct {
	OperationID string `json:"operationId"`
	Responses   map[string]struct {
		Content map[string]any `json:"content"`
	} `json:"responses"`
}

func newConformity() *conforming {
	c := &conforming{compiler: jsonschema.NewCompiler(), schemas: map[string]*jsonschema.Schema{}, seen: map[string]bool{}, patterns: map[string]*regexp.Regexp{}}
	var tree any
	if err := yaml.Unmarshal(openAPI, &tree); err != nil {
		panic(err)
	}
	text, err := json.Marshal(tree)
	if err != nil {
		panic(err)
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		panic(err)
	}
	if err := c.compiler.AddResource("openapi.json", document); err != nil {
		panic(err)
	}
	var raw struct {
		Paths map[string]map[string]json.RawMessage `json:"paths"`
	}
	if err := json.Unmarshal(text, &raw); err != nil {
		panic(err)
	}
	c.paths = map[string]map[string]operation{}
	parameter := regexp.MustCompile(`\\\{[a-z]+\\\}`)
	for path, methods := range raw.Paths {
		c.patterns[path] = regexp.MustCompile("^" + parameter.ReplaceAllString(regexp.QuoteMeta(path), "[^/]+") + "$")
		c.paths[path] = map[string]operation{}
		for method, content := range methods {
			if method == "parameters" {
				continue
			}
			var o operation
			if err := json.Unmarshal(content, &o); err != nil {
				panic(err)
			}
			c.paths[path][strings.ToUpper(method)] = o
		}
	}
	return c
}

// find returns the path of the document that a request's path is one of.
func (c *conforming) find(path string) string {
	for template, pattern := range c.patterns {
		if pattern.MatchString(path) {
			return template
		}
	}
	return ""
}

func (c *conforming) handler(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		record := &recorded{ResponseWriter: w, status: http.StatusOK}
		defer func() {
			if recover() != nil {
				panic(http.ErrAbortHandler)
			}
			c.check(r, record)
		}()
		h.ServeHTTP(record, r)
	})
}

// check holds one answer to the document.
func (c *conforming) check(r *http.Request, answer *recorded) {
	kind, _, _ := mime.ParseMediaType(answer.Header().Get("Content-Type"))
	body := answer.body.Bytes()
	method := r.Method
	if method == http.MethodHead {
		return
	}
	template := c.find(r.URL.Path)
	o, known := c.paths[template][method]
	failed := func(format string, args ...any) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.wrong = append(c.wrong, fmt.Sprintf("%s %s: %d %s: ", method, r.URL, answer.status, kind)+fmt.Sprintf(format, args...))
	}
	switch {
	case answer.status >= 300:
		if kind != ProblemType && r.URL.Path != "/metrics" {
			failed("it is no problem document")
		} else if err := c.validate("#/components/schemas/Problem", body); err != nil {
			failed("%v", err)
		}
		return
	case !known:
		failed("the document does not have it")
		return
	}
	if _, ok := o.Responses[fmt.Sprint(answer.status)].Content[kind]; !ok {
		failed("the document has no such answer")
		return
	}
	c.mu.Lock()
	c.seen[o.OperationID] = true
	c.mu.Unlock()
	pointer := "#/paths/" + escape(template) + "/" + strings.ToLower(method) + "/responses/" + fmt.Sprint(answer.status) + "/content/" + escape(kind) + "/schema"
	switch {
	case answer.cut:
	case kind == "application/json":
		if err := c.validate(pointer, body); err != nil {
			failed("%v\n%s", err, body)
		}
	case kind == StreamType:
		for line := range strings.Lines(string(body)) {
			if data, ok := strings.CutPrefix(line, "data: "); ok && strings.HasSuffix(line, "\n") {
				if err := c.validate(pointer, []byte(data)); err != nil {
					failed("%v\n%s", err, data)
				}
			}
		}
	}
}

func escape(s string) string {
	return strings.NewReplacer("~", "~0", "/", "~1", "{", "%7B", "}", "%7D").Replace(s)
}

func (c *conforming) validate(pointer string, text []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	schema := c.schemas[pointer]
	if schema == nil {
		var err error
		if schema, err = c.compiler.Compile("openapi.json" + pointer); err != nil {
			return err
		}
		c.schemas[pointer] = schema
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return err
	}
	return schema.Validate(value)
}

// missing lists the operations that no test has seen succeed.
func (c *conforming) missing() (names []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, methods := range c.paths {
		for _, o := range methods {
			if !c.seen[o.OperationID] {
				names = append(names, o.OperationID)
			}
		}
	}
	return names
}

// recorded keeps what a handler answers, and passes it on.
type recorded struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
	cut    bool // the body was too large to keep
}

// maxRecorded bounds what is kept of an answer.
const maxRecorded = 64 << 10

func (r *recorded) Unwrap() http.ResponseWriter { return r.ResponseWriter }

func (r *recorded) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorded) Write(p []byte) (int, error) {
	if r.body.Len()+len(p) <= maxRecorded {
		r.body.Write(p)
	} else {
		r.cut = true
	}
	return r.ResponseWriter.Write(p)
}
