package api

import (
	"errors"
	"fmt"
	"net/http"
)

// ProblemType is the media type of a Problem.
const ProblemType = "application/problem+json"

func problem(status int, detail string) *Problem {
	return &Problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: detail}
}

func noWorkload(name string) *Problem {
	return problem(http.StatusNotFound, fmt.Sprintf("there is no workload %q", name))
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
