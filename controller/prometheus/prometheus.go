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
	maxAnswer = 16 << 20 // bytes; a list of a thousand targets has one or two million
)

var client = &http.Client{Timeout: timeout}

// answer is what Prometheus sends: https://prometheus.io/docs/prometheus/latest/querying/api/
type answer[T any] struct {
	Status, Error string
	Data          T
}

type result struct {
	ResultType string
	Result     json.RawMessage
}

// Target is what a server scrapes.
type Target struct {
	Labels    map[string]string
	ScrapeURL string `json:"scrapeUrl"`
	// Health is up, down or unknown; LastError is why the last scrape failed.
	Health, LastError string
}

// Alert is an alert that is pending or firing.
type Alert struct {
	Labels, Annotations map[string]string
	State               string
}

// Targets lists the targets that are scraped.
func Targets(ctx context.Context, server string) ([]Target, error) {
	data, err := ask[struct{ ActiveTargets []Target }](ctx, server, "/api/v1/targets?state=active")
	return data.ActiveTargets, err
}

// Alerts lists the alerts that are pending or firing.
func Alerts(ctx context.Context, server string) ([]Alert, error) {
	data, err := ask[struct{ Alerts []Alert }](ctx, server, "/api/v1/alerts")
	return data.Alerts, err
}

// Query returns the value of a query now: that of a scalar, or the sum of a vector's. It is
// an error where the vector is empty, or the value is no number.
func Query(ctx context.Context, server, query string) (float64, error) {
	answer, err := ask[result](ctx, server, "/api/v1/query?"+url.Values{"query": {query}}.Encode())
	if err != nil {
		return 0, err
	}
	var values []any
	switch answer.ResultType {
	case "scalar":
		var pair [2]any
		if err := json.Unmarshal(answer.Result, &pair); err != nil {
			return 0, fmt.Errorf("read the answer: %w", err)
		}
		values = append(values, pair[1])
	case "vector":
		var series []struct{ Value [2]any }
		if err := json.Unmarshal(answer.Result, &series); err != nil {
			return 0, fmt.Errorf("read the answer: %w", err)
		}
		for _, s := range series {
			values = append(values, s.Value[1])
		}
	default:
		return 0, fmt.Errorf("the query has a %s for an answer, and has to have numbers of one instant", answer.ResultType)
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

func ask[T any](ctx context.Context, server, path string) (data T, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(server, "/")+path, nil)
	if err != nil {
		return data, err
	}
	reply, err := client.Do(request)
	if err != nil {
		return data, err
	}
	defer reply.Body.Close()
	content, err := io.ReadAll(io.LimitReader(reply.Body, maxAnswer))
	if err != nil {
		return data, err
	}
	var a answer[T]
	if err := json.Unmarshal(content, &a); err != nil {
		return data, fmt.Errorf("%s answers with status %d, and not as Prometheus does", server, reply.StatusCode)
	}
	if a.Status != "success" {
		return data, fmt.Errorf("the query is refused: %s", a.Error)
	}
	return a.Data, nil
}
