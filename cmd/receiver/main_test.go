package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/receiver"
)

// The index library starts the workers of its global analysis queue when it is imported.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m, goleak.IgnoreCurrent()) }

func TestServeEndsWithItsContextAndFreesTheDirectory(t *testing.T) {
	dir := t.TempDir()
	for round := range 2 {
		server, err := receiver.New(receiver.Options{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		if n := server.Len(receiver.Instances); n != round {
			t.Fatalf("round %d began with %d documents", round, n)
		}
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		served := make(chan error, 1)
		go func() { served <- serve(ctx, listener, server) }()
		const payload = `{"upserts":[{"id":"a","namespace":"","name":"a","kind":"Pod","apiVersion":"v1","apiGroup":"","createdAt":"2026-01-01T00:00:00Z"}]}`
		resp, err := http.Post("http://"+listener.Addr().String()+"/api/v1/instances/sync", "application/json", strings.NewReader(payload))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		stop()
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
		if server.Len(receiver.Instances) != 1 {
			t.Errorf("round %d: %d documents, want 1", round, server.Len(receiver.Instances))
		}
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestRunReportsAnAddressThatCannotBeServedAndFreesTheDirectory(t *testing.T) {
	dir := t.TempDir()
	for range 2 {
		err := run(t.Context(), []string{"--listen=no such address", "--data", dir})
		if err == nil || !strings.Contains(err.Error(), "listening") {
			t.Errorf("error %v, want one about listening", err)
		}
	}
}
