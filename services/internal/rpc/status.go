package rpc

import (
	"context"
	"errors"
	"net/http"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/tendhq/tend/services/internal/httpx"
)

// httpStatus has the HTTP status of each code that a service answers, as
// google/rpc/code.proto maps them, but that fields which are not valid are 422, as they are
// over HTTP.
var httpStatus = map[codes.Code]int{
	codes.OK:                 http.StatusOK,
	codes.Canceled:           499,
	codes.InvalidArgument:    http.StatusUnprocessableEntity,
	codes.DeadlineExceeded:   http.StatusGatewayTimeout,
	codes.NotFound:           http.StatusNotFound,
	codes.AlreadyExists:      http.StatusConflict,
	codes.PermissionDenied:   http.StatusForbidden,
	codes.ResourceExhausted:  http.StatusTooManyRequests,
	codes.FailedPrecondition: http.StatusBadRequest,
	codes.Unimplemented:      http.StatusNotImplemented,
	codes.Internal:           http.StatusInternalServerError,
	codes.Unavailable:        http.StatusServiceUnavailable,
	codes.Unauthenticated:    http.StatusUnauthorized,
}

// HTTPStatus returns the HTTP status that says what code says.
func HTTPStatus(code codes.Code) int {
	if status, ok := httpStatus[code]; ok {
		return status
	}
	return http.StatusInternalServerError
}

// statusOf returns what the client is told of the error of a call: what a client over HTTP
// would be told, and InvalidArgument lists the fields.
func statusOf(ctx context.Context, err error) *status.Status {
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return status.New(codes.DeadlineExceeded, "the call took longer than it may")
	case ctx.Err() != nil:
		return status.New(codes.Canceled, "the client has left")
	}
	problem := httpx.ProblemOf(ctx, err)
	told := status.New(codeOf(problem.Status), problem.Detail)
	if len(problem.Errors) == 0 {
		return told
	}
	fields := &errdetails.BadRequest{}
	for _, e := range problem.Errors {
		fields.FieldViolations = append(fields.FieldViolations, &errdetails.BadRequest_FieldViolation{Field: e.Field, Description: e.Detail})
	}
	if detailed, err := told.WithDetails(fields); err == nil {
		return detailed
	}
	return told
}

func codeOf(httpCode int) codes.Code {
	if httpCode == http.StatusBadRequest {
		return codes.InvalidArgument
	}
	for code, status := range httpStatus {
		if status == httpCode {
			return code
		}
	}
	return codes.Internal
}
