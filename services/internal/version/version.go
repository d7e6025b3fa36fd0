// Package version holds the version that the build gives the binary.
package version

// Version is set with
// -ldflags "-X github.com/tendhq/tend/services/internal/version.Version=1.2.3".
var Version = "dev"
