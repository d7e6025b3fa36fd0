package product

import (
	"testing"

	"github.com/tendhq/tend/services/internal/testenv"
)

func TestWhatIsReadOfEventsIsPromised(t *testing.T) {
	testenv.ReadsEvent(t, "order-service", "order.created", createdEvent{Saga: "choreographed", Items: []item{{ProductID: "espresso-cup", Quantity: 1}}})
	testenv.ReadsEvent(t, "order-service", "order.completed", completedEvent{Items: []item{{ProductID: "espresso-cup", Quantity: 1}}})
	testenv.ReadsEvent(t, "order-service", "inventory.release_requested", orderEvent{})
	for _, eventType := range []string{"product.created", "product.updated", "product.deleted"} {
		testenv.ReadsEvent(t, "product-service", eventType, changedEvent{ProductID: "espresso-cup", Version: 1})
	}
}
