package app_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/client-go/kubernetes/fake"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/app"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/checkpoint"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/delivery"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/ownership"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/ring"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/wire"
)

// counting is a receiver that counts what it gets.
type counting struct {
	takes time.Duration // for each request

	mu   sync.Mutex // guards what follows
	got  map[resource.ID]int
	sent int // of all objects
}

func (c *counting) Send(_ context.Context, r delivery.Request) wire.Outcome {
	time.Sleep(c.takes)
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, u := range r.Upserts {
		c.got[u.ID]++
		c.sent++
	}
	return wire.Outcome{Kind: wire.Delivered, Status: 200}
}

// fleetOf is a ring whose members come one after the other, over one type and one receiver.
type fleetOf struct {
	w        *world
	receiver *counting
	read     bool // all else has been read
	list     []resource.Record
	leases   []ownership.MemberStatus
	members  map[string]*member
	view     []string
}

func newFleet(t *testing.T, c *counting, read bool, list []resource.Record) *fleetOf {
	t.Helper()
	return &fleetOf{
		w: &world{t: t, client: fake.NewClientset(), format: ring.DefaultFormat()}, receiver: c, read: read, list: list,
		members: map[string]*member{},
	}
}

// join starts a member, which lists everything before it is in the ring.
func (f *fleetOf) join(name string) {
	incarnation := name + ".1"
	f.leases = append(f.leases, ownership.MemberStatus{Lease: ownership.Lease{Member: name, Incarnation: incarnation, State: ownership.Live}})
	p := app.NewPeer(app.PeerOptions{
		Name: name, Incarnation: incarnation, Maps: f.w.client.CoreV1(), Sender: f.receiver, Settle: time.Second,
		Leases: func() []ownership.MemberStatus { return slices.Clone(f.leases) },
		Read:   func() bool { return f.read }, Progress: true,
	})
	p.Begin()
	f.w.t.Cleanup(p.Kill)
	<-p.Synced()
	p.Index.Replace(pods, slices.Clone(f.list), uint64(len(f.list))+100)
	f.members[name] = &member{name: name, peer: p, ctx: f.w.t.Context()}
	after := append(slices.Clone(f.view), name)
	f.w.handOver(f.members, f.view, after, nil)
	f.view = after
}

// scattered are objects whose names tell nothing of which of them changed first.
func scattered(n int) []resource.Record {
	var list []resource.Record
	for i := range n {
		list = append(list, record{name: fmt.Sprintf("o%05d", i*7919%n), version: uint64(10 + i)}.record())
	}
	slices.SortFunc(list, func(a, b resource.Record) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// What has been sent while the cluster was still being read is not sent again by whoever takes it over: when replicas start
// together, the ring changes under the first lists, and again before they are complete.
func TestWhatIsHandedOverWhileTheClusterIsReadIsNotSentAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const objects = 60
		f := newFleet(t, &counting{got: map[resource.ID]int{}}, false, scattered(objects))
		for _, name := range []string{"m0", "m1", "m2"} {
			f.join(name)
			time.Sleep(3 * time.Second) // in virtual time: all that is due is sent
		}
		if len(f.receiver.got) != objects {
			t.Errorf("the receiver has %d objects, want %d", len(f.receiver.got), objects)
		}
		for id, n := range f.receiver.got {
			if n != 1 {
				t.Errorf("%s was sent %d times", id, n)
			}
		}
	})
}

// Who gives something up in the middle of its first sync has more left than its checkpoint can name, of one type. What it has
// sent is not sent again all the same: the oldest goes first, so that a version tells them apart.
func TestWhatIsHandedOverInTheMiddleOfAFirstSyncIsNotSentAgain(t *testing.T) {
	for name, read := range map[string]bool{"all has been read": true, "more is to be read": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const objects = 4 * checkpoint.MaxExcept
				f := newFleet(t, &counting{got: map[resource.ID]int{}, takes: 100 * time.Millisecond}, read, scattered(objects))
				f.join("m0")
				sent := func() int {
					f.receiver.mu.Lock()
					defer f.receiver.mu.Unlock()
					return f.receiver.sent
				}
				for _, name := range []string{"m1", "m2"} {
					before := sent()
					for sent() < before+objects/4 {
						time.Sleep(100 * time.Millisecond)
					}
					f.join(name)
				}
				for end := time.Now().Add(time.Minute); len(f.receiver.got) < objects && time.Now().Before(end); {
					time.Sleep(time.Second)
				}
				if len(f.receiver.got) != objects {
					t.Errorf("the receiver has %d objects, want %d", len(f.receiver.got), objects)
				}
				// Two requests of a member were under way, and what the second had of newer ones counts for nothing.
				if again := f.receiver.sent - objects; again > objects/100 {
					t.Errorf("%d of %d objects were sent again", again, objects)
				}
			})
		})
	}
}

// A replica that dies soon after a first sync has said that it is complete: the others send nothing of it again.
func TestWhatAFirstSyncHasSentIsNotSentAgainAfterACrash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const objects = 60
		f := newFleet(t, &counting{got: map[resource.ID]int{}}, true, scattered(objects))
		f.join("m0")
		f.join("m1")
		time.Sleep(3 * time.Second)
		f.members["m0"].peer.Kill()
		f.w.handOver(f.members, f.view, []string{"m1"}, map[string]bool{"m0": true})
		time.Sleep(10 * time.Second)
		if f.receiver.sent != objects {
			t.Errorf("%d objects were sent, want each of %d once", f.receiver.sent, objects)
		}
	})
}
