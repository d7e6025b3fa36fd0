// Command order-service is the shop's order service.
package main

import (
	"github.com/tendhq/tend/services/internal/order"
	"github.com/tendhq/tend/services/internal/server"
)

func main() {
	server.Main(order.Service)
}
