package controller

import (
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
)

// slow is an answer that nobody takes until it is released.
type slow struct {
	*httptest.ResponseRecorder
	begin   func()
	release <-chan struct{}
}

func (s *slow) Write(p []byte) (int, error) {
	s.begin()
	<-s.release
	return s.ResponseRecorder.Write(p)
}

// Each scrape holds all metrics, which are many with many workloads; whoever does
// not take them must not add up.
func TestScrapesAtATimeAreFew(t *testing.T) {
	h := NewMetrics().Handler()
	scrape := func(w http.ResponseWriter) { h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil)) }
	begun, release, ended := make(chan struct{}), make(chan struct{}), make(chan struct{})
	for range 4 {
		go func() {
			scrape(&slow{httptest.NewRecorder(), sync.OnceFunc(func() { begun <- struct{}{} }), release})
			ended <- struct{}{}
		}()
		<-begun
	}
	fifth := httptest.NewRecorder()
	scrape(fifth)
	assert.Equal(t, http.StatusServiceUnavailable, fifth.Code)
	close(release)
	for range 4 {
		<-ended
	}
	again := httptest.NewRecorder()
	scrape(again)
	assert.Equal(t, http.StatusOK, again.Code)
}
