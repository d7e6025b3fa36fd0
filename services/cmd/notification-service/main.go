// Command notification-service is the shop's worker for mail.
package main

import (
	"github.com/tendhq/tend/services/internal/notification"
	"github.com/tendhq/tend/services/internal/server"
)

func main() {
	server.Main(notification.Service)
}
