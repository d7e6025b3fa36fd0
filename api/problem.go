package api

import (
	"errors"
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
	return problem(http.StatusNotFound, syntax.NoWorkload(name, names))
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
