package ownership_test

import (
	"fmt"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/ownership"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/ring"
)

// The first member of a ring writes its claim, sees it on the watch, and may send until its fence. The machine
// has no clock: each call is given the time since the process began.
func ExampleMachine() {
	m, err := ownership.New(ownership.Self{Member: "sync-0", UID: "7d1b", Process: "1"}, ring.DefaultFormat(), ownership.DefaultTimings())
	if err != nil {
		panic(err)
	}
	kind := ownership.Kind{Target: "default", Group: "apps", Version: "v1", Resource: "deployments"}
	ask := func(what string, now time.Duration) {
		fmt.Printf("%-36s may send: %v\n", what, m.MaySend(kind, "default", 7, now))
	}

	now := time.Second
	m.Synced(nil, 100, now) // the list of all Leases, at version 100, is empty
	ask("nothing is claimed", now)

	write, due := m.BeginWrite(now)
	if !due {
		panic("no claim is to be written")
	}
	now += 20 * time.Millisecond
	m.EndWrite(ownership.Succeeded, 101, now)
	ask("the claim is written", now)

	lease := write.Lease
	lease.Version = 101
	now += 20 * time.Millisecond
	m.Observe(lease, now)
	ask("the watch has shown the claim", now)

	ask("a moment before the fence", write.Begun+10*time.Second-1)
	ask("nothing was renewed for 10 s", write.Begun+10*time.Second)
	// Output:
	// nothing is claimed                   may send: false
	// the claim is written                 may send: false
	// the watch has shown the claim        may send: true
	// a moment before the fence            may send: true
	// nothing was renewed for 10 s         may send: false
}
