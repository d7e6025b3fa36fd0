package client

import (
	"encoding/json"
	"net/http"
	"net/http/httputil"
	"strings"

	"github.com/tendhq/tend/api"
)

// Forward returns a handler that sends requests on to the controller, as from nobody: what
// they may do is what the token or the session says that they send.
func (c *Client) Forward() http.Handler {
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			scheme, host, _ := strings.Cut(c.base, "://")
			r.Out.URL.Scheme, r.Out.URL.Host = scheme, host
			r.Out.Host = r.In.Host // the controller compares it with the page's origin
			r.Out.Header.Set(api.Forwarded, "for=browser")
		},
		Transport:     c.http.Transport,
		FlushInterval: -1, // streams go on at once
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			w.Header().Set("Content-Type", api.ProblemType)
			w.WriteHeader(http.StatusBadGateway)
			_ = json.NewEncoder(w).Encode(api.Problem{ // it fails only when the reader has gone
				Type: "about:blank", Title: http.StatusText(http.StatusBadGateway), Status: http.StatusBadGateway, Detail: err.Error(),
			})
		},
	}
}
