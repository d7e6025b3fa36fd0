// Command 1.1.0 is version 1.1.0 of the shop's user service, which keeps the locale of each user.
package main

import (
	"github.com/tendhq/tend/services/internal/server"
	"github.com/tendhq/tend/services/internal/user"
)

func main() {
	server.Main(user.Service110())
}
