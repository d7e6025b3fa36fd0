// Package prometheus asks a Prometheus server.
package prometheus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	timeout   = 5 * time.Second
	maxAnswer = 1 << 20 // bytes
)

var client = &http.Client{Timeout: timeout}

// answer is what Prometheus sends: https://prometheus.io/docs/prometheus/latest/querying/api/
type answer struct {
	Status, Error string
	Data          struct {
		ResultType string
		Result     json.RawMessage
	}
}

// Query returns the value of a query now: that of a scalar, or the sum of a vector's. It is
// an error where the vector is empty, or the value is no number.
func Query(ctx context.Context, server, query string) (float64, error) {
	var result answer
	if err := ask(ctx, server, "/api/v1/query?"+url.Values{"query": {query}}.Encode(), &result); err != nil {
		return 0, err
	}
	var values []any
	switch result.Data.ResultType {
	case "scalar":
		var pair [2]any
		if err := json.Unmarshal(result.Data.Result, &pair); err != nil {
			return 0, fmt.Errorf("read the answer: %w", err)
		}
		values = append(values, pair[1])
	case "vector":
		var series []struct{ Value [2]any }
		if err := json.Unmarshal(result.Data.Result, &series); err != nil {
			return 0, fmt.Errorf("read the answer: %w", err)
		}
		for _, s := range series {
			values = append(values, s.Value[1])
		}
	default:
		return 0, fmt.Errorf("the query has a %s for an answer, and has to have numbers of one instant", result.Data.ResultType)
	}
	if len(values) == 0 {
		return 0, errors.New("the query has no answer: nothing has that name and these labels")
	}
	return sum(values)
}

func sum(values []any) (total float64, err error) {
	for _, v := range values {
		text, _ := v.(string)
		n, err := strconv.ParseFloat(text, 64)
		if err != nil || math.IsNaN(n) || math.IsInf(n, 0) {
			return 0, fmt.Errorf("the answer is %q, which is no number", text)
		}
		total += n
	}
	return total, nil
}

func ask(ctx context.Context, server, path string, result *answer) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(server, "/")+path, nil)
	if err != nil {
		return err
	}
	reply, err := client.Do(request)
	if err != nil {
		return err
	}
	defer reply.Body.Close()
	content, err := io.ReadAll(io.LimitReader(reply.Body, maxAnswer))
	if err != nil {
		return err
	}
	if err := json.Unmarshal(content, result); err != nil {
		return fmt.Errorf("%s answers with status %d, and not as Prometheus does", server, reply.StatusCode)
	}
	if result.Status != "success" {
		return fmt.Errorf("the query is refused: %s", result.Error)
	}
	return nil
}
