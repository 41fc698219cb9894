// Command receiver is the reference receiver. It answers as cluster-whisperer and as dot-ai do, keeps the
// documents, and lets people search them, by words and with an embedder by meaning. It is made for demonstrations
// and tests; see docs/receiver.md.
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/zapr"
	"github.com/spf13/pflag"
	"go.uber.org/zap"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/receiver"
)

// version is the version of the program, which the linker sets.
var version = "dev"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil && !errors.Is(err, pflag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "receiver:", err)
		os.Exit(1)
	}
}

const (
	// headerTimeout keeps clients that send nothing from holding connections for ever. There is no limit to the time
	// of a request: a simulated embedder may take minutes.
	headerTimeout = 10 * time.Second
	// idleTimeout is cluster-whisperer's, so that a client fails here, too, that keeps idle connections longer.
	idleTimeout = 5 * time.Second
	// stopTimeout is how long requests may take to end after SIGTERM.
	stopTimeout = 10 * time.Second
)

// run serves until ctx ends.
func run(ctx context.Context, args []string) error {
	f, err := parseFlags(args)
	if err != nil {
		return err
	}
	logger, err := newLogger()
	if err != nil {
		return err
	}
	f.options.Logger, f.options.Version = logger, version
	server, err := receiver.New(f.options)
	if err != nil {
		return fmt.Errorf("starting receiver: %w", err)
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", f.listen)
	if err != nil {
		return errors.Join(fmt.Errorf("listening: %w", err), server.Close())
	}
	logger.Info("Reference receiver started, for demonstrations and tests", "address", listener.Addr().String(),
		"data", f.options.Dir, "instances", server.Len(receiver.Instances), "resources", server.Len(receiver.Resources),
		"strict", !f.options.Lenient, "admin", f.options.Admin, "embedder", f.options.Embedder.URL)
	return serve(ctx, listener, server)
}

func serve(ctx context.Context, listener net.Listener, server *receiver.Server) error {
	web := &http.Server{Handler: server.Handler(), ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout}
	failed := make(chan error, 1)
	go func() { failed <- web.Serve(listener) }() // Shutdown or Close ends it; its result is read below
	select {
	case err := <-failed:
		return errors.Join(fmt.Errorf("serving: %w", err), server.Close())
	case <-ctx.Done():
	}
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	err := web.Shutdown(stopping) // requests in flight complete, as with both real receivers
	if errors.Is(err, context.DeadlineExceeded) {
		err = nil // Close ends the requests that a fault or a latency still holds
	}
	return errors.Join(err, server.Close(), web.Close())
}

func newLogger() (logr.Logger, error) {
	z, err := zap.NewProduction(zap.WithCaller(false))
	if err != nil {
		return logr.Logger{}, fmt.Errorf("building logger: %w", err)
	}
	return zapr.NewLogger(z), nil
}
