// Command product-service is the shop's product service.
package main

import (
	"github.com/tendhq/tend/services/internal/product"
	"github.com/tendhq/tend/services/internal/server"
)

func main() {
	server.Main(product.Service)
}
