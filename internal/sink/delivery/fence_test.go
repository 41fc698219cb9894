package delivery_test

import (
	"bufio"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/delivery"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/wire"
)

var errStopped = errors.New("lease expired")

func TestFencedProcessConnectsToNothing(t *testing.T) {
	connections := 0
	c := newClient(t, listen(t, func(net.Conn) { connections++ }), delivery.Options{BeforeWrite: func() error { return errStopped }})
	if o := c.Send(t.Context(), request(1)); o.Kind != wire.Fenced || !o.Own || !strings.Contains(o.Reason, "lease expired") {
		t.Errorf("outcome %+v, want fenced", o)
	}
	if o := c.Probe(t.Context()); o.Kind != wire.Fenced {
		t.Errorf("outcome %+v, want fenced", o)
	}
	if connections != 0 {
		t.Errorf("%d connections were made", connections)
	}
}

// The fence may fall at any moment, because a process can be stopped between any two instructions. A request of
// which no byte was written is fenced, and the receiver has seen nothing of it. A request that is partly written
// is never completed. No request follows on a connection where the fence fell.
func TestFenceMayFallBeforeAnyWrite(t *testing.T) {
	for _, scheme := range []string{"http", "https"} {
		t.Run(scheme, func(t *testing.T) {
			var begun, completed atomic.Int32
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				begun.Add(1)
				if _, err := io.Copy(io.Discard, r.Body); err != nil {
					return
				}
				completed.Add(1)
				w.Header().Set("Content-Type", "application/json")
				fmt.Fprint(w, `{"status":"ok","upserted":2000,"deleted":0}`)
			}))
			server.Config.ErrorLog = log.New(io.Discard, "", 0)
			var ca []byte
			if scheme == "https" {
				server.StartTLS()
				ca = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
			} else {
				server.Start()
			}
			defer server.Close()
			fenced, unknown := 0, 0
			for allowed := int32(0); ; allowed++ {
				if allowed > 1000 {
					t.Fatal("the fence is asked for ever")
				}
				begun.Store(0)
				completed.Store(0)
				var asked atomic.Int32
				c, err := delivery.New(server.URL, wire.ClusterWhisperer(), delivery.Options{CA: ca, BeforeWrite: func() error {
					// It lifts again at once, as when the lease is renewed after all.
					if asked.Add(1) == allowed+1 {
						return errStopped
					}
					return nil
				}})
				if err != nil {
					t.Fatal(err)
				}
				o := c.Send(t.Context(), request(2000))
				fell := asked.Load() > allowed
				c.Close() // With TLS, Close writes a farewell and so asks once more.
				if !fell {
					if o.Kind != wire.Delivered {
						t.Fatalf("without a fence: %+v", o)
					}
					break
				}
				if completed.Load() != 0 || !o.Own {
					t.Fatalf("fence at write %d: %d requests completed, outcome %+v", allowed, completed.Load(), o)
				}
				switch o.Kind {
				case wire.Fenced:
					fenced++
					if begun.Load() != 0 {
						t.Fatalf("fence at write %d: called fenced, but the receiver has the beginning", allowed)
					}
				case wire.Unknown:
					unknown++
				default:
					t.Fatalf("fence at write %d: outcome %+v", allowed, o)
				}
			}
			if fenced < 2 || unknown < 2 {
				t.Errorf("fell %d times before and %d times within a request, want some of both", fenced, unknown)
			}
		})
	}
}

// A kept connection has carried bytes before; these must not make a fenced request look begun.
func TestFenceOnAKeptConnection(t *testing.T) {
	var down atomic.Bool
	var asked atomic.Int32
	c := newClient(t, listen(t, func(conn net.Conn) {
		r := bufio.NewReader(conn)
		for readRequest(r) {
			_, _ = io.WriteString(conn, counted(1))
		}
	}), delivery.Options{BeforeWrite: func() error {
		if down.Load() && asked.Add(1) > 1 { // the first question is the one before the request
			return errStopped
		}
		return nil
	}})
	if o := c.Send(t.Context(), request(1)); o.Kind != wire.Delivered {
		t.Fatalf("outcome %+v, want delivered", o)
	}
	down.Store(true)
	if o := c.Send(t.Context(), request(1)); o.Kind != wire.Fenced {
		t.Errorf("outcome %+v, want fenced", o)
	}
	down.Store(false)
	if o := c.Send(t.Context(), request(1)); o.Kind != wire.Delivered {
		t.Errorf("outcome %+v after the fence, want delivered", o)
	}
}

func TestUntrustedReceiverIsTheWrongOne(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a request arrived") }))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	if o := newClient(t, server.URL, delivery.Options{}).Send(t.Context(), request(1)); o.Kind != wire.WrongEndpoint || !strings.Contains(o.Reason, "certificate") {
		t.Errorf("outcome %+v, want wrong endpoint", o)
	}
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	if o := newClient(t, "https"+strings.TrimPrefix(plain.URL, "http"), delivery.Options{}).Send(t.Context(), request(1)); o.Kind != wire.WrongEndpoint {
		t.Errorf("outcome %+v, want wrong endpoint", o)
	}
}

// A receiver may refuse a long body by its announced length, without reading it.
func TestEarlyRefusalIsHeard(t *testing.T) {
	c := newClient(t, listen(t, func(conn net.Conn) {
		if _, err := http.ReadRequest(bufio.NewReader(conn)); err != nil {
			return
		}
		_, _ = io.WriteString(conn, "HTTP/1.1 413 Payload Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
		hang(conn)
	}), delivery.Options{})
	for range 10 {
		if o := c.Send(t.Context(), request(5000)); o.Kind != wire.TooLarge {
			t.Fatalf("outcome %+v, want too large", o)
		}
	}
}
