package product

import (
	"testing"

	"github.com/tendhq/tend/services/internal/testenv"
)

func TestOrderServicePromisesWhatIsReadOfItsEvents(t *testing.T) {
	testenv.ReadsEvent(t, "order-service", "order.created", createdEvent{Saga: "choreographed", Items: []item{{ProductID: "espresso-cup", Quantity: 1}}})
	testenv.ReadsEvent(t, "order-service", "order.completed", completedEvent{Items: []item{{ProductID: "espresso-cup", Quantity: 1}}})
	testenv.ReadsEvent(t, "order-service", "inventory.release_requested", orderEvent{})
}
