package e2e_test

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tendhq/tend/services/internal/testenv"
)

// event is one of a stream's.
type event struct{ ID, Status string }

// follow connects to the stream of an order's status, and returns its events as they come.
// The channel is closed with the stream.
func (s *shop) follow(t testing.TB, c customer, orderID, after string) <-chan event {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.orders.URL+"/api/orders/"+orderID+"/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+c.Token)
	if after != "" {
		request.Header.Set("Last-Event-ID", after)
	}
	client := &http.Client{Transport: &http.Transport{}}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != http.StatusOK || response.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("the stream answers %d, %v", response.StatusCode, response.Header)
	}
	events := make(chan event, 100)
	go func() {
		defer close(events)
		defer client.CloseIdleConnections()
		defer response.Body.Close()
		var next event
		for lines := bufio.NewScanner(response.Body); lines.Scan(); {
			name, value, _ := strings.Cut(lines.Text(), ": ")
			switch name {
			case "id":
				next.ID = value
			case "data":
				if err := json.Unmarshal([]byte(value), &next); err != nil {
					t.Error(err)
				}
			case "":
				events <- next
			}
		}
	}()
	t.Cleanup(func() {
		cancel()
		for range events {
			continue
		}
	})
	return events
}

func statuses(events []event) (all []string) {
	for _, e := range events {
		all = append(all, e.Status)
	}
	return all
}

func TestTheStatusOfAnOrderIsFollowed(t *testing.T) {
	s := startShop(t, "")
	ada, eve := s.register(t, "ada@example.com"), s.register(t, "eve@example.com")
	var o orderView
	s.create(t, ada, "k", twoCups).Expect(t, http.StatusCreated, &o)

	stream := s.follow(t, ada, o.OrderID, "")
	seen := []event{<-stream, <-stream}
	if got := statuses(seen); !slices.Equal(got, []string{"pending", "confirmed"}) {
		t.Fatalf("statuses = %v", got)
	}
	s.orders.Do(t, testenv.Request{Method: http.MethodPost, Path: "/api/orders/" + o.OrderID + "/cancel", Token: ada.Token}).Expect(t, http.StatusOK, nil)
	for e := range stream { // which ends, as the order does
		seen = append(seen, e)
	}
	want := []string{"pending", "confirmed", "cancelling", "cancelled"}
	if got := statuses(seen); !slices.Equal(got, want) {
		t.Errorf("statuses = %v, want %v", got, want)
	}
	// Who connects again gets what was missed, once.
	var missed []event
	for e := range s.follow(t, ada, o.OrderID, seen[1].ID) {
		missed = append(missed, e)
	}
	if !slices.Equal(missed, seen[2:]) {
		t.Errorf("missed = %v, want %v", missed, seen[2:])
	}
	var list struct{ History []struct{ Status string } }
	s.orders.Do(t, testenv.Request{Path: "/api/orders/" + o.OrderID + "/history", Token: ada.Token}).Expect(t, http.StatusOK, &list)
	var history []string
	for _, c := range list.History {
		history = append(history, c.Status)
	}
	if !slices.Equal(history, want) {
		t.Errorf("history = %v, want %v", history, want)
	}
	for _, path := range []string{"/history", "/events"} {
		s.orders.Do(t, testenv.Request{Path: "/api/orders/" + o.OrderID + path, Token: eve.Token}).Expect(t, http.StatusNotFound, nil)
	}
	s.orders.Do(t, testenv.Request{Path: "/api/orders/" + o.OrderID + "/events", Token: ada.Token, Header: http.Header{"Last-Event-Id": {"x"}}}).
		Expect(t, http.StatusBadRequest, nil)
}

func TestTheReportIsOfWhatWasSold(t *testing.T) {
	s := startShop(t, "")
	ada, admin := s.register(t, "ada@example.com"), s.admin(t)
	var back orderView
	s.create(t, ada, "", twoCups+","+oneKnife).Expect(t, http.StatusCreated, nil)
	s.create(t, ada, "", twoCups).Expect(t, http.StatusCreated, nil)
	s.create(t, ada, "", oneKnife).Expect(t, http.StatusCreated, &back)
	s.orders.Do(t, testenv.Request{Method: http.MethodPost, Path: "/api/orders/" + back.OrderID + "/cancel", Token: ada.Token}).Expect(t, http.StatusOK, nil)
	s.postgres.Exec(t, s.orderDB, `UPDATE orders SET created_at = '2026-01-31 23:30:00+00' WHERE total = 2500`)

	report := func(query string) (days, products string) {
		t.Helper()
		var got struct{ Days, Products json.RawMessage }
		s.orders.Do(t, testenv.Request{Path: "/api/orders/report" + query, Token: admin}).Expect(t, http.StatusOK, &got)
		return string(got.Days), string(got.Products)
	}
	today := time.Now().UTC().Format(time.DateOnly)
	days, products := report("?from=" + today + "&to=" + today)
	if want := `[{"day":"` + today + `","orders":1,"total":114.00}]`; days != want {
		t.Errorf("days = %s, want %s", days, want)
	}
	if want := `[{"productId":"chef-knife","quantity":1,"total":89.00},{"productId":"espresso-cup","quantity":2,"total":25.00}]`; products != want {
		t.Errorf("products = %s, want %s", products, want)
	}
	if days, _ := report("?from=2026-01-31&to=2026-01-31"); days != `[{"day":"2026-01-31","orders":1,"total":25.00}]` {
		t.Errorf("days = %s", days)
	}
	if days, products := report("?from=2026-02-01&to=2026-02-01"); days != "[]" || products != "[]" {
		t.Errorf("days = %s, products = %s", days, products)
	}
	for query, want := range map[string]int{"?from=yesterday": 422, "?from=2026-02-02&to=2026-02-01": 422, "?from=2020-01-01&to=2026-01-01": 422} {
		s.orders.Do(t, testenv.Request{Path: "/api/orders/report" + query, Token: admin}).Expect(t, want, nil)
	}
	s.orders.Do(t, testenv.Request{Path: "/api/orders/report", Token: ada.Token}).Expect(t, http.StatusForbidden, nil)
}
