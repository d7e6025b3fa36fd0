package core

// Endpoint is a ready replica's address, published to gateways and scrapers.
type Endpoint struct {
	Workload string
	// ID is the container's, Replica its name.
	ID, Replica, Revision string
	// Addresses by Compose network key.
	Addresses map[string]string
	// Ports are the container ports to reach it at.
	Ports []int
}
