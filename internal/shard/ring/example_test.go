package ring_test

import (
	"fmt"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/ring"
)

// Three members share the partitions almost evenly, and agree on the owner of each object without a message.
func ExampleNew() {
	r, err := ring.New([]string{"sync-2", "sync-0", "sync-1"}, ring.DefaultFormat())
	if err != nil {
		panic(err)
	}
	const id = "default/apps/v1/Deployment/nginx"
	partition := r.Partition(id)
	fmt.Println("members:", r.Members())
	fmt.Println("nginx is in partition", partition, "of", r.Owner(partition))
	for _, m := range r.Members() {
		fmt.Println(m, "owns", r.Share(m))
	}
	// Output:
	// members: [sync-0 sync-1 sync-2]
	// nginx is in partition 261 of sync-0
	// sync-0 owns 1376
	// sync-1 owns 1311
	// sync-2 owns 1406
}

// A member that joins gets its share, and few other partitions move.
func ExampleRing_Owner() {
	three, err := ring.New([]string{"sync-0", "sync-1", "sync-2"}, ring.DefaultFormat())
	if err != nil {
		panic(err)
	}
	four, err := ring.New([]string{"sync-0", "sync-1", "sync-2", "sync-3"}, ring.DefaultFormat())
	if err != nil {
		panic(err)
	}
	moved, gained := 0, 0
	for p := range four.Format().Partitions {
		if four.Owner(p) != three.Owner(p) {
			moved++
		}
		if four.Owner(p) == "sync-3" {
			gained++
		}
	}
	fmt.Println("moved:", moved, "of", four.Format().Partitions)
	fmt.Println("to the new member:", gained)
	// Output:
	// moved: 996 of 4093
	// to the new member: 995
}
