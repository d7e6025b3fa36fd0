// Command 1.2.0 is version 1.2.0 of the shop's user service, which has made its column obligatory.
package main

import (
	"github.com/tendhq/tend/services/internal/server"
	"github.com/tendhq/tend/services/internal/user"
)

func main() {
	server.Main(user.Service120())
}
