package api

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/tendhq/tend/controller/spec/syntax"
	"github.com/tendhq/tend/state"
)

// ProblemType is the media type of a Problem.
const ProblemType = "application/problem+json"

func problem(status int, detail string) *Problem {
	return &Problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: detail}
}

func noWorkload(snap *state.Snapshot, name string) *Problem {
	var names []string
	for _, row := range snap.Workloads() {
		names = append(names, row.Name)
	}
	text := fmt.Sprintf("there is no workload %q", name)
	if meant := syntax.Nearest(name, names); meant != "" {
		text += fmt.Sprintf("; did you mean %q?", meant)
	}
	return problem(http.StatusNotFound, text)
}

// fail answers with a problem document.
func fail(w http.ResponseWriter, err error) {
	var p *Problem
	if !errors.As(err, &p) {
		p = problem(http.StatusInternalServerError, err.Error())
	}
	w.Header().Set("Content-Type", ProblemType)
	w.WriteHeader(p.Status)
	_, _ = w.Write(encode(p))
}
