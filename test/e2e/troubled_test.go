//go:build e2e

package e2e

import (
	"fmt"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/receiver"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/fleet"
)

// mapsOf is a client of the ConfigMaps of a namespace, without a limit on its rate.
func mapsOf(t *testing.T, r *fleet.Rig, namespace string) dynamic.ResourceInterface {
	t.Helper()
	config := rest.CopyConfig(r.RESTConfig())
	config.QPS = -1
	c, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return c.Resource(configMaps).Namespace(namespace)
}

// stock creates ConfigMaps in a namespace.
func stock(t *testing.T, r *fleet.Rig, namespace string, names ...string) {
	t.Helper()
	client := mapsOf(t, r, namespace)
	work := make(chan string)
	var workers sync.WaitGroup
	for range 8 {
		workers.Go(func() {
			for name := range work {
				o := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": name}}}
				if _, err := client.Create(t.Context(), o, metav1.CreateOptions{}); err != nil {
					t.Errorf("creating %s: %v", name, err)
				}
			}
		})
	}
	for _, name := range names {
		work <- name
	}
	close(work)
	workers.Wait()
}

func mapID(name string) resource.ID { return resource.ID("default/v1/ConfigMap/" + name) }

// TestAnEmbedderThatTakesATimeForEachTextIsNotOverrun: a full batch takes twice as long as a request may, and is
// still embedded completely.
func TestAnEmbedderThatTakesATimeForEachTextIsNotOverrun(t *testing.T) {
	longOnly(t)
	beside(t, 2*time.Minute)
	r := fleet.New(t, fleet.Options{})
	var names []string
	for i := range 1000 {
		names = append(names, fmt.Sprintf("slow-%d", i))
	}
	stock(t, r, "default", names...)
	r.SetFaults(receiver.Rule{Effect: receiver.Effect{TextDelay: receiver.Duration(200 * time.Millisecond)}})
	p := r.Start(map[string]string{"REQUEST_TIMEOUT_MS": "5000", "BATCH_MAX_SIZE": "50"})
	p.WaitReady(time.Minute)
	took, n := r.WaitEqual(400 * time.Second)
	fleet.Eventually(t, 5*time.Minute, func() string { // until the last repetition after a timeout
		if s := p.Status().Targets[0]; !s.InStep {
			return fmt.Sprintf("not in step: %d dirty, %d unknown", s.Dirty, s.Unknown)
		}
		return ""
	})
	embedded := 0
	for _, q := range r.Requests() {
		embedded += q.Embedded
	}
	t.Logf("%d objects equal after %v, %d texts embedded: %.2f each", n, took.Round(time.Second), embedded, float64(embedded)/float64(n))
	if embedded*2 > n*5 {
		t.Errorf("%d texts were embedded for %d objects, want less than 2.5 each", embedded, n)
	}
}

// TestAShareOfPoisonHoldsUpNobodyElse has some objects refused with 500 for ever, in every batch, while no other
// object changes: all others arrive.
func TestAShareOfPoisonHoldsUpNobodyElse(t *testing.T) {
	longOnly(t)
	for every, within := range map[int]time.Duration{20: 3 * time.Minute, 5: 10 * time.Minute} {
		for _, pace := range []time.Duration{0, 500 * time.Millisecond} {
			t.Run(fmt.Sprintf("one in %d, %v a request", every, pace), func(t *testing.T) {
				beside(t, 2*time.Minute)
				r := fleet.New(t, fleet.Options{Receiver: receiver.Options{EmbedLatency: pace}})
				var names []string
				var poison []resource.ID
				for i := range 1000 {
					name := fmt.Sprintf("healthy-%d", i)
					if i%every == 0 {
						name = fmt.Sprintf("poison-%d", i)
						poison = append(poison, mapID(name))
					}
					names = append(names, name)
				}
				stock(t, r, "default", names...)
				r.SetFaults(receiver.Rule{
					Match:  receiver.Match{ID: string(mapID("poison-*")), Array: "upserts"},
					Effect: receiver.Effect{Refuse: receiver.RefuseInternal, Delay: receiver.Duration(pace)},
				})
				p := r.Start(nil)
				p.WaitReady(time.Minute)
				took, n := r.WaitEqual(within, poison...)
				t.Logf("%d objects, %d of them poison: all others equal after %v and %d requests", n, len(poison), took.Round(time.Millisecond), len(r.Requests()))
			})
		}
	}
}

// TestRandomFailuresHoldUpNoChangeForLong: three of ten requests fail at random, while a hundred objects a second
// change.
func TestRandomFailuresHoldUpNoChangeForLong(t *testing.T) {
	longOnly(t)
	for _, status := range []int{500, 503} {
		for _, replicas := range []int{1, 3} {
			t.Run(fmt.Sprintf("%d, %d replicas", status, replicas), func(t *testing.T) {
				r := fleet.New(t, fleet.Options{Receiver: receiver.Options{EmbedLatency: 100 * time.Millisecond}})
				var names []string
				for i := range 400 {
					names = append(names, fmt.Sprintf("changing-%d", i))
				}
				stock(t, r, "default", names...)
				var all []*fleet.Replica
				for range replicas {
					all = append(all, r.Start(map[string]string{"BATCH_FLUSH_INTERVAL_MS": "1000", "DEBOUNCE_MAX_WAIT_MS": "10000"}))
				}
				restful(t, r, all, time.Minute)
				mark := r.Mark()
				r.SetFaults(receiver.Rule{Match: receiver.Match{Percent: 30, Seed: 7}, Effect: receiver.Effect{Status: status}})
				changes := relabel(t, r, names, 100, 6000)
				r.WaitEqual(30 * time.Second)
				lags := arrivals(t, r.Since(mark), changes)
				t.Logf("from change to arrival: %v; %d requests", lags, len(r.Since(mark)))
				if p99 := lags.percentile(99); p99 > 10*time.Second {
					t.Errorf("p99 %v from change to arrival, want 10 s at most", short(p99))
				}
			})
		}
	}
}

// relabel changes one ConfigMap after the other, so many a second.
func relabel(t *testing.T, r *fleet.Rig, names []string, perSecond, changes int) []probe {
	t.Helper()
	client := mapsOf(t, r, "default")
	tick := time.NewTicker(time.Second / time.Duration(perSecond))
	defer tick.Stop()
	var made []probe
	for i := range changes {
		<-tick.C
		name := names[i%len(names)]
		patch := fmt.Appendf(nil, `{"metadata":{"labels":{"n":"%d"}}}`, i)
		if _, err := client.Patch(t.Context(), name, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
		made = append(made, probe{id: string(mapID(name)), made: time.Now()})
	}
	return made
}

// arrivals returns how long after each change the receiver applied a request that began after it and holds its
// object.
func arrivals(t *testing.T, records []receiver.Record, changes []probe) sample {
	t.Helper()
	by := make(map[string][]receiver.Record)
	for _, rec := range records {
		if rec.Applied.IsZero() {
			continue
		}
		for _, u := range rec.Upserts {
			if u.Written {
				by[u.ID] = append(by[u.ID], receiver.Record{Begin: rec.Begin, Applied: rec.Applied})
			}
		}
	}
	var lags sample
	for _, c := range changes {
		var first time.Time
		for _, rec := range by[c.id] {
			if rec.Begin.After(c.made) && (first.IsZero() || rec.Applied.Before(first)) {
				first = rec.Applied
			}
		}
		if first.IsZero() {
			t.Fatalf("a change of %s made at %v has not arrived", c.id, c.made)
		}
		lags = append(lags, first.Sub(c.made))
	}
	return lags
}
