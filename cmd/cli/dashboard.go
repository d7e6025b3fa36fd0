package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/tendhq/tend/api"
	"github.com/tendhq/tend/api/client"
)

// dashboardHost is the name by which a browser finds the page. Browsers take each name
// below localhost for this machine, and send a cookie to every port of a name: that of the
// page is not to reach what containers serve at localhost.
const dashboardHost = "tend.localhost"

func newDashboard(f *flags) *cobra.Command {
	var port uint16
	var readOnly bool
	c := &cobra.Command{
		Use:   "dashboard",
		Short: "Show the project in the browser, until interrupted",
		Long: `Show the project in the browser, until interrupted. It prints a link that lets one browser in, once and within a
minute, and opens it where there is a screen. It needs the controller, and no TCP listener of it.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			controller, err := f.dial()
			if err != nil {
				return err
			}
			role := api.Admin
			if readOnly {
				role = api.Reader
			}
			return dashboard(c.Context(), controller, c.OutOrStdout(), port, role)
		},
	}
	c.Flags().Uint16Var(&port, "port", 0, "port of this machine to show it at (default: one that is free)")
	c.Flags().BoolVar(&readOnly, "read-only", false, "let the browser look, and change nothing")
	return c
}

// dashboard serves the page on loopback, from the controller's socket, and lets one browser
// in by a link.
func dashboard(ctx context.Context, c *client.Client, out io.Writer, port uint16, role api.Role) error {
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(int(port))))
	if err != nil {
		return fmt.Errorf("show the project: %w", err)
	}
	link, err := c.MakeLink(ctx, role)
	if err != nil {
		return errors.Join(err, l.Close())
	}
	address := fmt.Sprintf("http://%s/#code=%s", net.JoinHostPort(dashboardHost, strconv.Itoa(l.Addr().(*net.TCPAddr).Port)), link.Code)
	fmt.Fprintf(out, "%s\nThe link lets one browser in, within a minute. Press Ctrl-C to end.\n", address)
	openBrowser(ctx, address)
	server := &http.Server{Handler: c.Forward(), ReadHeaderTimeout: 5 * time.Second, BaseContext: func(net.Listener) context.Context { return ctx }}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("show the project: %w", err)
	}
	return nil
}

// openBrowser opens an address where a person with a screen can see it.
func openBrowser(ctx context.Context, address string) {
	program := "xdg-open"
	screen := os.Getenv("DISPLAY") != "" || os.Getenv("WAYLAND_DISPLAY") != ""
	if runtime.GOOS == "darwin" {
		program, screen = "open", os.Getenv("SSH_CONNECTION") == ""
	}
	if screen && term.IsTerminal(int(os.Stdout.Fd())) {
		go func() { _ = exec.CommandContext(ctx, program, address).Run() }() //nolint:gosec // the link is printed, too
	}
}
