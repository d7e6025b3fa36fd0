// Command user-service is the shop's user service.
package main

import (
	"github.com/tendhq/tend/services/internal/server"
	"github.com/tendhq/tend/services/internal/user"
)

func main() {
	server.Main(user.Service)
}
