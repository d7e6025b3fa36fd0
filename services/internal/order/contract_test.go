package order

import (
	"testing"

	"github.com/google/uuid"

	"github.com/tendhq/tend/services/internal/testenv"
)

// What order-service reads of the others' answers is what they promise. What it sends
// is held to their contracts by them, whenever the services are tested together.
func TestTheOthersPromiseWhatIsRead(t *testing.T) {
	testenv.Reads(t, "product-service", "GET /api/products/{productId}", catalogueEntry{Name: "Espresso Cup", Price: 1250})
	testenv.Reads(t, "payment-service", "POST /api/payments", payment{PaymentID: uuid.New()})
}

func TestTheOthersPromiseWhatIsReadOfTheirEvents(t *testing.T) {
	testenv.ReadsEvent(t, "product-service", "inventory.reserved", inventoryEvent{})
	testenv.ReadsEvent(t, "product-service", "inventory.rejected", inventoryEvent{})
	testenv.ReadsEvent(t, "product-service", "inventory.expired", inventoryEvent{})
	testenv.ReadsEvent(t, "product-service", "inventory.released", inventoryEvent{})
	testenv.ReadsEvent(t, "payment-service", "payment.processed", paymentEvent{})
	testenv.ReadsEvent(t, "payment-service", "payment.failed", paymentEvent{})
	testenv.ReadsEvent(t, "payment-service", "payment.refunded", refundedEvent{})
}
