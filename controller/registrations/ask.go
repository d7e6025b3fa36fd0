package registrations

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/tendhq/tend/controller/core"
)

// maxOutput bounds what is kept of an answer, in bytes.
const maxOutput = 512

// newClient returns a client for one request, as an open connection would not show whether
// the service accepts the next. It asks nobody to whom an answer leads. Its owner closes its
// idle connections, which also ends a connection attempt that outlives the request.
func newClient() *http.Client {
	return &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// ask asks a URL, and judges the answer as Consul does: 2xx is passing, 429 a warning, and
// all else critical.
func ask(ctx context.Context, url string) (status core.CheckStatus, output string) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return core.CheckCritical, err.Error()
	}
	request.Header.Set("User-Agent", "tend-check")
	client := newClient()
	defer client.CloseIdleConnections()
	response, err := client.Do(request)
	if err != nil {
		return core.CheckCritical, err.Error()
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(response.Body, maxOutput)) // the status says enough
	output = strings.TrimSpace(fmt.Sprintf("HTTP GET %s: %s %s", url, response.Status, strings.ToValidUTF8(string(body), "")))
	switch {
	case response.StatusCode >= http.StatusOK && response.StatusCode < http.StatusMultipleChoices:
		return core.CheckPassing, output
	case response.StatusCode == http.StatusTooManyRequests:
		return core.CheckWarning, output
	}
	return core.CheckCritical, output
}
