package metadatawatch_test

import (
	"context"
	"net"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/kube/metadatawatch"
)

// chunks is a connection that always has bytes to read, in chunks of these lengths.
type chunks struct {
	net.Conn
	lengths []int
}

func (c *chunks) Read(p []byte) (int, error) {
	n := min(len(p), c.lengths[0])
	c.lengths = c.lengths[1:]
	return n, nil
}

// TestAConnectionIsReadNowAndThen: a read is delayed after one that has emptied the connection, and not after
// one that has left bytes. Reads at the start, and after a quiet time, are not delayed.
func TestAConnectionIsReadNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := &chunks{lengths: slices.Repeat([]int{3}, metadatawatch.Burst)}
		dial := metadatawatch.Gathering(func(context.Context, string, string) (net.Conn, error) { return all, nil })
		c, err := dial(t.Context(), "tcp", "anywhere")
		if err != nil {
			t.Fatal(err)
		}
		read := func(what string, after time.Duration) {
			t.Helper()
			began := time.Now()
			if _, err := c.Read(make([]byte, 10)); err != nil {
				t.Fatal(err)
			}
			if got := time.Since(began); got != after {
				t.Errorf("%s waits for %v, want %v", what, got, after)
			}
		}
		for range metadatawatch.Burst {
			read("a read of the start", 0)
		}
		all.lengths = []int{10, 3, 10, 10, 2, 1}
		read("the last of the start", 0)
		read("a read after one that has left something", 0)
		read("a read after one that has emptied it", 25*time.Millisecond)
		read("a read after one that has left something", 0)
		read("another", 0)
		time.Sleep(time.Second) // a quiet second
		read("a read after a quiet second", 0)
	})
}
