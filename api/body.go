package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
)

// maxBody bounds most requests' bodies, in bytes, as they are tiny.
const maxBody = 4 << 10

// readBody reads the one JSON object of a request into v, strictly, from at most so many
// bytes. No body leaves v as it is.
func readBody(w http.ResponseWriter, r *http.Request, most int64, v any) error {
	body := http.MaxBytesReader(w, r.Body, most)
	d := json.NewDecoder(body)
	d.DisallowUnknownFields()
	err := d.Decode(v)
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err != nil {
		return bodyProblem(err, most)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return problem(http.StatusBadRequest, "something follows the body's JSON object")
	}
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind != "application/json" {
		return problem(http.StatusUnsupportedMediaType, "send the body with Content-Type: application/json")
	}
	return nil
}

// bodyProblem says why a body of at most so many bytes cannot be read.
func bodyProblem(err error, most int64) *Problem {
	if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
		return problem(http.StatusRequestEntityTooLarge, fmt.Sprintf("the body has at most %d bytes", most))
	}
	return problem(http.StatusBadRequest, "the body is not what is asked for here: "+err.Error())
}
