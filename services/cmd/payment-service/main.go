// Command payment-service is the shop's payment service.
package main

import (
	"github.com/tendhq/tend/services/internal/payment"
	"github.com/tendhq/tend/services/internal/server"
)

func main() {
	server.Main(payment.Service)
}
