// Package events carries what happened in one service to the others, so that nothing is
// lost and nothing takes effect twice.
//
// A service writes an event to its outbox in the transaction of the change that the event
// tells of, and a relay hands it to the bus until the bus has it safe. The bus delivers it
// at least once. The consumer writes its id to an inbox in the transaction of its effect,
// where a repetition finds it. Events may arrive in any order.
package events

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// maxSize bounds an event, in bytes.
const maxSize = 64 << 10

// Event is something that happened in a service.
type Event struct {
	EventID       uuid.UUID       `json:"eventId"`
	EventType     string          `json:"eventType"`
	AggregateID   string          `json:"aggregateId"` // of what it happened to, such as an order
	Timestamp     time.Time       `json:"timestamp"`
	CorrelationID string          `json:"correlationId"`         // of the request that set it off
	Traceparent   string          `json:"traceparent,omitempty"` // of what wrote it, as W3C Trace Context has it
	Data          json.RawMessage `json:"data"`                  // as the contract of the service says
}

// decode returns the event of a message. Its data is not looked at.
func decode(message []byte) (Event, error) {
	if len(message) > maxSize {
		return Event{}, fmt.Errorf("the message has %d bytes, more than the %d of an event", len(message), maxSize)
	}
	var e Event
	if err := json.Unmarshal(message, &e); err != nil {
		return Event{}, err
	}
	if e.EventID == uuid.Nil || e.EventType == "" {
		return Event{}, errors.New("the message has no eventId or no eventType")
	}
	return e, nil
}
