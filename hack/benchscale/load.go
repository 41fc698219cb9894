package main

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/replay"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/workload"
)

// wanted tells whether the program watches a type by default.
func wanted(t resource.Type) bool { return workload.DefaultTypes(t) }

// load makes changes, at a given rate and in an order that the seed decides.
type load struct {
	server *replay.Server
	sink   *sink
	rng    *rand.Rand
	all    []replay.Ref
	made   int // how many events so far
	next   int // the index that a sweep has reached
	gone   []replay.Ref
	deeds  func(l *load)
}

// profiles are the kinds of churn, by name. Each makes a few changes at a time.
var profiles = map[string]func(l *load){
	// status writes conditions and counters of any object, as controllers and kubelets do all day: nothing is to be
	// sent.
	"status": func(l *load) { l.touch(l.pick()) },
	// labels gives one label of every object a new value, type by type: every object is to be sent.
	"labels": func(l *load) {
		l.relabel(l.all[l.next%len(l.all)])
		l.next++
	},
	// rollout replaces an object by another of its name, whose status is written six times. Of the eight events two
	// are to be sent, and may become one.
	"rollout": func(l *load) {
		r := l.pick()
		l.delete(r)
		l.create(r)
		for range 6 {
			l.touch(r)
		}
	},
	// namespace deletes all objects of one namespace, then creates all of them again.
	"namespace": func(l *load) {
		if len(l.gone) == 0 {
			namespace := l.pick().Namespace()
			for namespace == "" {
				namespace = l.pick().Namespace()
			}
			for _, r := range l.all {
				if r.Namespace() == namespace {
					l.gone = append(l.gone, r)
				}
			}
			l.next = 0
		}
		r := l.gone[l.next%len(l.gone)]
		if l.next < len(l.gone) {
			l.delete(r)
		} else {
			l.create(r)
		}
		if l.next++; l.next >= 2*len(l.gone) {
			l.gone = nil
		}
	},
}

func newLoad(server *replay.Server, s *sink, profile string, seed uint64) *load {
	l := &load{server: server, sink: s, rng: rand.New(rand.NewPCG(seed, 1)), deeds: profiles[profile]}
	l.all = slices.DeleteFunc(server.Objects(wanted), func(r replay.Ref) bool {
		// Changes of these types make other types come and go, which is another scenario.
		return slices.Contains([]string{"customresourcedefinitions", "apiservices", "namespaces"}, r.Type().Resource)
	})
	return l
}

// run makes changes for a time, and returns how many events they made.
func (l *load) run(ctx context.Context, rate float64, d time.Duration) int {
	began := time.Now()
	l.made = 0
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for time.Since(began) < d && ctx.Err() == nil {
		for due := rate * time.Since(began).Seconds(); float64(l.made) < due; {
			l.deeds(l)
		}
		<-tick.C
	}
	return l.made
}

func (l *load) pick() replay.Ref { return l.all[l.rng.IntN(len(l.all))] }

// count counts a change, also one that cannot be made at the moment: a loop over such changes must end.
func (l *load) count(bool) { l.made++ }

func (l *load) touch(r replay.Ref) { l.count(l.server.Touch(r)) }

func (l *load) relabel(r replay.Ref) {
	l.sink.changed(r.ID())
	l.count(l.server.Relabel(r))
}

func (l *load) delete(r replay.Ref) {
	l.sink.changed(r.ID())
	l.count(l.server.Delete(r))
}

func (l *load) create(r replay.Ref) {
	l.sink.changed(r.ID())
	l.count(l.server.Create(r))
}
