package core

// EventType tells what is normal from what needs attention, as in core/v1.
type EventType string

// The types of events.
const (
	Normal  EventType = "Normal"
	Warning EventType = "Warning"
)

// Event is something that happened to a workload.
type Event struct {
	Type     EventType
	Workload string
	// Reason is one CamelCase word, Message a sentence.
	Reason, Message string
	// Actor is who asked for it through the API; empty where nobody did.
	Actor string
}
