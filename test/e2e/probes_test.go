//go:build e2e

package e2e

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/receiver"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/ring"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/fleet"
)

// probe is a change whose delivery is known exactly: the creation or the deletion of an object that is created once.
type probe struct {
	id      string
	deleted bool
	made    time.Time // when the API server had answered
}

// probes makes changes at a steady pace, and finds out when each was delivered.
type probes struct {
	rig    *fleet.Rig
	lives  int // how many objects exist
	done   chan struct{}
	cancel context.CancelFunc

	mu   sync.Mutex // guards the fields below
	made []probe
	err  error
}

// follow makes so many changes each second until the test ends: it creates one object and deletes one that has lived
// for so long, in turn. A creation must be delivered within that life, or only the deletion is ever delivered.
func follow(t *testing.T, r *fleet.Rig, perSecond int, life time.Duration) *probes {
	t.Helper()
	r.Kube("", "create", "namespace", "probes")
	ctx, cancel := context.WithCancel(t.Context())
	p := &probes{rig: r, done: make(chan struct{}), cancel: cancel, lives: int(life.Seconds()) * perSecond / 2}
	objects := client(t, r).Resource(configMaps).Namespace("probes")
	go func() { // Ends with the test.
		defer close(p.done)
		tick := time.NewTicker(time.Second / time.Duration(perSecond))
		defer tick.Stop()
		for n := 0; ; n++ {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if err := p.change(ctx, objects, n); err != nil && ctx.Err() == nil {
				p.mu.Lock()
				p.err = err
				p.mu.Unlock()
				return
			}
		}
	}()
	t.Cleanup(p.stop)
	return p
}

// change makes change n: a creation, or the deletion of an object that has lived long enough.
func (p *probes) change(ctx context.Context, objects dynamic.ResourceInterface, n int) error {
	number, deletion := n/2, n%2 == 1
	if deletion {
		if number -= p.lives; number < 0 {
			return nil
		}
	}
	name := fmt.Sprintf("probe-%d", number)
	var err error
	if deletion {
		err = objects.Delete(ctx, name, metav1.DeleteOptions{})
	} else {
		o := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": name}}}
		_, err = objects.Create(ctx, o, metav1.CreateOptions{})
	}
	if err != nil {
		return fmt.Errorf("change %d: %w", n, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.made = append(p.made, probe{id: "probes/v1/ConfigMap/" + name, deleted: deletion, made: time.Now()})
	return nil
}

// stop ends the changes.
func (p *probes) stop() {
	p.cancel()
	<-p.done
}

// between returns the changes made in a period, of the IDs that match.
func (p *probes) between(t *testing.T, from, to time.Time, match func(id string) bool) []probe {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil {
		t.Fatal(p.err)
	}
	var found []probe
	for _, one := range p.made {
		if !one.made.Before(from) && one.made.Before(to) && match(one.id) {
			found = append(found, one)
		}
	}
	return found
}

// delivered returns when the receiver first applied each change, once it has applied all of them.
func (p *probes) delivered(t *testing.T, changes []probe) []time.Time {
	t.Helper()
	times := make([]time.Time, len(changes))
	fleet.Eventually(t, time.Minute, func() string {
		upserts, deletes := applied(p.rig.Requests())
		missing := 0
		for i, c := range changes {
			at, there := upserts[c.id]
			if c.deleted {
				at, there = deletes[c.id]
			}
			if !there {
				missing++
			}
			times[i] = at
		}
		if missing > 0 {
			return fmt.Sprintf("%d of %d changes have not been delivered", missing, len(changes))
		}
		return ""
	})
	return times
}

// applied returns when each ID was first written and first deleted.
func applied(records []receiver.Record) (upserts, deletes map[string]time.Time) {
	upserts, deletes = make(map[string]time.Time), make(map[string]time.Time)
	first := func(all map[string]time.Time, id string, at time.Time) {
		if _, there := all[id]; !there {
			all[id] = at
		}
	}
	for _, rec := range records {
		if rec.Applied.IsZero() {
			continue
		}
		for _, u := range rec.Upserts {
			if u.Written {
				first(upserts, u.ID, rec.Applied)
			}
		}
		for _, id := range rec.Deletes {
			first(deletes, id, rec.Applied)
		}
	}
	return upserts, deletes
}

// owners returns the owner of an ID in the ring of these members.
func owners(t *testing.T, members ...string) func(id string) string {
	t.Helper()
	format := ring.DefaultFormat()
	r, err := ring.New(members, format)
	if err != nil {
		t.Fatal(err)
	}
	return func(id string) string { return r.Owner(format.Partition(id)) }
}

// sample is a set of measured times.
type sample []time.Duration

// percentile returns the smallest time that so many per cent of all do not exceed.
func (s sample) percentile(p int) time.Duration {
	if len(s) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(s))
	return sorted[max(0, (len(sorted)*p+99)/100-1)]
}

func (s sample) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "p50 %v, p99 %v, most %v of %d", short(s.percentile(50)), short(s.percentile(99)), short(s.percentile(100)), len(s))
	return b.String()
}

func short(d time.Duration) time.Duration { return d.Round(time.Millisecond) }

// latest returns the last of these times.
func latest(times []time.Time) time.Time {
	return slices.MaxFunc(times, func(a, b time.Time) int { return cmp.Compare(a.UnixNano(), b.UnixNano()) })
}
