package receiver_test

import (
	"net/http"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/receiver"
)

// newClient reaches a receiver without a socket.
func newClient(s *receiver.Server) *http.Client { return &http.Client{Transport: s.Transport()} }
