// Command web serves the shop's pages.
package main

import (
	"github.com/tendhq/tend/services/internal/server"
	"github.com/tendhq/tend/services/web"
)

func main() {
	server.Main(web.Service)
}
