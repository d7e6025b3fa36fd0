package payment

import (
	"testing"

	"github.com/tendhq/tend/services/internal/testenv"
)

func TestOrderServicePromisesWhatIsReadOfItsEvents(t *testing.T) {
	testenv.ReadsEvent(t, "order-service", "payment.requested", order{})
	// What else is read of it may be missing.
	testenv.ReadsEvent(t, "order-service", "payment.refund_requested", struct {
		OrderID string `json:"orderId"`
	}{})
}
