package payment

import (
	"testing"

	"github.com/tendhq/tend/services/internal/testenv"
)

func TestOrderServicePromisesWhatIsReadOfItsEvents(t *testing.T) {
	testenv.ReadsEvent(t, "order-service", "payment.requested", order{})
	testenv.ReadsEvent(t, "order-service", "payment.refund_requested", refundRequestedEvent{})
}
