package api

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/go-chi/chi/v5"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/controller/spec/edit"
	"github.com/tendhq/tend/controller/spec/load"
	"github.com/tendhq/tend/controller/spec/syntax"
)

// SpecType is the media type of a spec file.
const SpecType = "application/yaml"

const (
	// maxSpec bounds a spec file, and maxValidation a request to try files out, in bytes.
	maxSpec       = syntax.MaxFileSize
	maxValidation = 4 << 20
)

// adminOnly refuses every caller who may not change something. Spec files are shown as they
// were written, and may hold secrets.
func adminOnly(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if callerFrom(r).role != Admin {
			fail(w, problem(http.StatusForbidden, `spec files may hold what is secret, and are shown to who may change them: send the token in "tokens/admin" of the data directory`))
			return
		}
		next(w, r)
	}
}

// tag is the ETag of a file's content.
func tag(content []byte) string {
	sum := sha256.Sum256(content)
	return strconv.Quote(hex.EncodeToString(sum[:16]))
}

func (s *server) listSpecs(w http.ResponseWriter, _ *http.Request) {
	names, err := load.SpecFiles(s.Spec)
	if err != nil {
		fail(w, specProblem(err))
		return
	}
	var items []SpecFile
	for _, name := range names {
		content, err := load.SpecFile(s.Spec, name)
		if errors.Is(err, os.ErrNotExist) {
			continue // removed since
		}
		if err != nil {
			fail(w, specProblem(err))
			return
		}
		items = append(items, toSpecFile(name, content))
	}
	writeJSON(w, NewList(items))
}

func toSpecFile(name string, content []byte) SpecFile {
	f := SpecFile{TypeMeta: typeMeta(SpecFileKind), Metadata: Metadata{Name: name}, ETag: tag(content), Workloads: []string{}}
	roots, _ := syntax.Parse(name, content)
	for _, root := range roots {
		_, metadata := syntax.Entry(root, "metadata")
		if _, workload := syntax.Entry(metadata, "name"); workload != nil {
			f.Workloads = append(f.Workloads, syntax.Dereference(workload).Value)
		}
	}
	return f
}

func (s *server) getSpec(w http.ResponseWriter, r *http.Request) {
	name := chi.URLParam(r, "file")
	content, err := load.SpecFile(s.Spec, name)
	if errors.Is(err, os.ErrNotExist) {
		err = problem(http.StatusNotFound, fmt.Sprintf("there is no spec file %q; GET /api/v1/specs lists those that there are", name))
	}
	if err != nil {
		fail(w, specProblem(err))
		return
	}
	w.Header().Set("Content-Type", SpecType)
	w.Header().Set("ETag", tag(content))
	_, _ = w.Write(content)
}

// putSpec writes a spec file, where the one that is there is the one that was seen. The
// watch of the files puts it in force.
func (s *server) putSpec(w http.ResponseWriter, r *http.Request) {
	name := chi.URLParam(r, "file")
	match, none := r.Header.Get("If-Match"), r.Header.Get("If-None-Match")
	if match == "" && none != "*" {
		fail(w, problem(http.StatusPreconditionRequired, "send If-Match with the ETag of the file that you have seen, or If-None-Match: * for a file that is new"))
		return
	}
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind != SpecType {
		fail(w, problem(http.StatusUnsupportedMediaType, "send the file with Content-Type: "+SpecType))
		return
	}
	content, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxSpec))
	if err != nil {
		fail(w, bodyProblem(err, maxSpec))
		return
	}
	_, err = edit.Write(r.Context(), s.Spec, name, content, func(before []byte) error {
		switch {
		case before == nil && match != "":
			return problem(http.StatusPreconditionFailed, "the file is not there any more; send If-None-Match: * to make it anew")
		case before != nil && match == "":
			return problem(http.StatusPreconditionFailed, "the file is there already; look at it, and send If-Match with its ETag")
		case match != "" && match != "*" && match != tag(before):
			return problem(http.StatusPreconditionFailed, "the file has been changed since you looked at it, and nothing was written; look at it again")
		}
		return nil
	})
	if err != nil {
		fail(w, specProblem(err))
		return
	}
	s.Controller.Asked(core.Event{Type: core.Normal, Reason: "SpecWritten", Message: name + " is written", Actor: callerFrom(r).name})
	w.Header().Set("ETag", tag(content))
	writeJSON(w, toSpecFile(name, content))
}

// validate tries files out in place of those that are written.
func (s *server) validate(w http.ResponseWriter, r *http.Request) {
	var v Validation
	if err := readBody(w, r, maxValidation, &v); err != nil {
		fail(w, err)
		return
	}
	o := s.Spec
	in, err := load.Discover(o)
	if err == nil {
		if v.Compose != nil && in.Compose != "" {
			o.Drafts = append(o.Drafts, load.Draft{Path: in.Compose, Content: []byte(*v.Compose)})
		}
		for name, content := range v.Specs {
			if !load.IsSpecFile(name) || name != filepath.Base(name) {
				fail(w, problem(http.StatusBadRequest, fmt.Sprintf("no spec file can be called %q", name)))
				return
			}
			o.Drafts = append(o.Drafts, load.Draft{Path: filepath.Join(in.Specs, name), Content: []byte(content)})
		}
		slices.SortFunc(o.Drafts, func(a, b load.Draft) int { return strings.Compare(a.Path, b.Path) })
		_, err = load.Project(r.Context(), o)
	}
	answer := ValidationResult{Valid: err == nil, Problems: []SpecProblem{}}
	if wrong := (spec.Errors{}); errors.As(err, &wrong) {
		answer.Problems = toSpecProblems(wrong)
	} else if err != nil {
		fail(w, err)
		return
	}
	writeJSON(w, answer)
}

// maxProblems bounds the problems of an answer.
const maxProblems = 1000

func toSpecProblems(wrong spec.Errors) []SpecProblem {
	all := []SpecProblem{}
	for _, e := range wrong[:min(len(wrong), maxProblems)] {
		all = append(all, SpecProblem{File: e.File, Line: e.Line, Column: e.Column, Workload: e.Workload, Message: e.Message, Hint: e.Hint})
	}
	return all
}

// specProblem says whose fault it is that a spec file cannot be read or edited.
func specProblem(err error) *Problem {
	if p := new(Problem); errors.As(err, &p) {
		return p
	}
	if wrong := (spec.Errors{}); errors.As(err, &wrong) {
		p := problem(http.StatusUnprocessableEntity, err.Error())
		p.Problems = toSpecProblems(wrong)
		return p
	}
	if errors.As(err, new(*edit.ReadOnlyError)) || errors.As(err, new(*edit.ChangedError)) {
		return problem(http.StatusConflict, err.Error())
	}
	return problem(http.StatusInternalServerError, err.Error())
}
