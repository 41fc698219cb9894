package metadatawatch_test

import (
	"context"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/kube/metadatawatch"
)

// chunks is a connection that always has something to be read, of these lengths.
type chunks struct {
	net.Conn
	lengths []int
}

func (c *chunks) Read(p []byte) (int, error) {
	n := min(len(p), c.lengths[0])
	c.lengths = c.lengths[1:]
	return n, nil
}

// TestAConnectionIsReadNowAndThen: after a read that has emptied it, and not after one that has left something.
func TestAConnectionIsReadNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dial := metadatawatch.Gathering(func(context.Context, string, string) (net.Conn, error) {
			return &chunks{lengths: []int{10, 3, 10, 10, 2}}, nil
		})
		c, err := dial(t.Context(), "tcp", "anywhere")
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		for i, want := range []time.Duration{0, 0, 25, 25, 25} { // ms since the beginning
			if _, err := c.Read(make([]byte, 10)); err != nil {
				t.Fatal(err)
			}
			if got := time.Since(began); got != want*time.Millisecond {
				t.Errorf("read %d is after %v, want %d ms", i, got, want)
			}
		}
		time.Sleep(time.Second) // a quiet second
		quiet := time.Now()
		c.(*metadatawatch.Gatherer).Conn = &chunks{lengths: []int{1}}
		if _, err := c.Read(make([]byte, 10)); err != nil || time.Since(quiet) > 0 {
			t.Errorf("a read after a quiet second takes %v, %v", time.Since(quiet), err)
		}
	})
}
