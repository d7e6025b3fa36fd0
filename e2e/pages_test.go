//go:build all

package e2e_test

import (
	"fmt"
	"io"
	"net/http"
	"regexp"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var asset = regexp.MustCompile(`/assets/[^"]+`)

// TestThePagesLoadWhileTheShopIsUpdated has clients load the shop's pages as browsers do,
// each with a new connection, while the pages, the gateway and the catalogue are replaced.
func TestThePagesLoadWhileTheShopIsUpdated(t *testing.T) {
	p, gateway := newShop(t, "")
	up := p.tend("up", "--timeout", "4m")
	require.Zero(t, up.code, "%s", up)

	var loads atomic.Int64
	var clients sync.WaitGroup
	stop := make(chan struct{})
	for range 4 {
		clients.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if err := loadPage(gateway); err != nil {
					t.Error(err)
				}
				loads.Add(1)
			}
		})
	}
	for _, service := range []string{"web", "gateway", "product-service", "web"} {
		before := map[string]bool{}
		for _, r := range p.replicas(service) {
			before[r.ID] = true
		}
		p.mustTend("rollout", "restart", service)
		p.mustTend("wait", service)
		for _, r := range p.replicas(service) {
			assert.False(t, before[r.ID], "%s was not replaced", r.name())
		}
	}
	close(stop)
	clients.Wait()
	assert.Greater(t, loads.Load(), int64(100))
	t.Logf("%d pages were loaded", loads.Load())

	p.mustTend("down", "-v")
	assert.Empty(t, p.leftovers())
}

// loadPage loads the page, what it names, and what it shows.
func loadPage(shop string) error {
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	client := http.Client{Transport: transport}
	get := func(path string) (string, error) {
		response, err := client.Get(shop + path)
		if err != nil {
			return "", err
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err == nil && response.StatusCode != http.StatusOK {
			err = fmt.Errorf("%s: %s", path, response.Status)
		}
		return string(body), err
	}
	page, err := get("/")
	if err != nil {
		return err
	}
	for _, path := range append(asset.FindAllString(page, -1), "/api/products?limit=12", "/api/products/espresso-cup") {
		if _, err := get(path); err != nil {
			return err
		}
	}
	return nil
}
