package events

import (
	"strings"
	"testing"

	"github.com/google/uuid"
)

// FuzzDecode has messages of all kinds read, as anybody might send who reaches the bus.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		``, `null`, `[]`, `{}`, `{"eventId"`, `{"eventId":7,"eventType":"x"}`, `{"eventId":"00000000-0000-0000-0000-000000000000","eventType":"x"}`,
		`{"eventId":"01a22229-80ac-71f7-b2e3-6c6946e37983","eventType":"order.created","timestamp":"yesterday"}`,
		`{"eventId":"01a22229-80ac-71f7-b2e3-6c6946e37983","eventType":"order.created","data":{"orderId":"x"}}`, "\xff\x00", strings.Repeat("[", 20000),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, message []byte) {
		e, err := decode(message)
		if err == nil && (e.EventID == uuid.Nil || e.EventType == "" || len(message) > maxSize) {
			t.Errorf("%q is the event %+v", message, e)
		}
	})
}
