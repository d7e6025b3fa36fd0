package api

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"
)

// shutdownGrace is how long requests under way may take once the server stops.
const shutdownGrace = 5 * time.Second

// Serve serves h on all listeners until ctx ends or one of them fails, and
// closes them. Streams end with ctx, other requests are finished first.
func Serve(ctx context.Context, h http.Handler, log *zap.Logger, listeners ...net.Listener) error {
	errorLog, err := zap.NewStdLogAt(log, zap.WarnLevel)
	if err != nil {
		return fmt.Errorf("serve: %w", err)
	}
	serving, ctx := errgroup.WithContext(ctx)
	server := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ConnContext:       withPeer,
		ErrorLog:          errorLog,
	}
	for _, l := range listeners {
		serving.Go(func() error {
			var limited net.Listener = limit(l, log)
			if t, ok := l.(*tlsListener); ok {
				limited = tls.NewListener(limited, t.config)
			}
			if err := server.Serve(limited); !errors.Is(err, http.ErrServerClosed) {
				return fmt.Errorf("serve on %s: %w", l.Addr(), err)
			}
			return nil
		})
	}
	serving.Go(func() error {
		<-ctx.Done()
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownGrace)
		defer cancel()
		if err := server.Shutdown(grace); err != nil {
			return errors.Join(fmt.Errorf("requests were cut off at shutdown: %w", err), server.Close())
		}
		return nil
	})
	return serving.Wait()
}
