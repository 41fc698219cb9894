package pipeline_test

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/delivery"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/pipeline"
)

// owner owns the objects that it was told last.
type owner struct {
	ours atomic.Pointer[func(resource.ID) bool]
}

func owning(f func(resource.ID) bool) *owner {
	o := &owner{}
	o.set(f)
	return o
}

func (o *owner) set(f func(resource.ID) bool) { o.ours.Store(&f) }

func (o *owner) MaySend(_ resource.Type, id resource.ID) bool { return (*o.ours.Load())(id) }

// match looks at IDs alone.
func match(f func(resource.ID) bool) pipeline.Match {
	return func(_ resource.Type, id resource.ID) bool { return f(id) }
}

func TestPipeline_AnotherMembersObject_IsParkedUntilOwned(t *testing.T) {
	bubble(t, func(t *testing.T) {
		o := owning(func(resource.ID) bool { return false })
		r := newRig(t, pipeline.Options{Owner: o})
		r.list("x", "1")
		r.put("y", "1")
		r.del("z")
		time.Sleep(time.Minute)
		wantRequests(t, r)
		if s := r.p.Stats(); s.Parked != 3 || s.Dirty != 0 {
			t.Errorf("%+v", s)
		}
		o.set(func(resource.ID) bool { return true })
		r.p.MaySendChanged()
		time.Sleep(time.Minute)
		wantDocs(t, r, "x", "1", "y", "1")
		if s := r.p.Stats(); s.Parked != 0 || s.Totals.Deletes != 1 {
			t.Errorf("%+v", s)
		}
	})
}

func TestDrainWaitsForTheRequestsOfWhatIsLost(t *testing.T) {
	bubble(t, func(t *testing.T) {
		o := owning(func(resource.ID) bool { return true })
		r := newRig(t, pipeline.Options{Owner: o})
		r.rcv.decide = func(int, delivery.Request) answer { a := delivered; a.took = 30 * time.Second; return a }
		r.list("x", "1")
		time.Sleep(10 * time.Second)
		o.set(func(id resource.ID) bool { return !strings.HasSuffix(string(id), "x") })
		lost := r.p.Drain(match(func(i resource.ID) bool { return i == id("x") }))
		other := r.p.Drain(match(func(i resource.ID) bool { return i == id("y") }))
		<-other
		began := time.Now()
		<-lost
		if d := time.Since(began); d != 25*time.Second {
			t.Errorf("drained after %v, want when the request ended, 25 s", d)
		}
	})
}

// TestAChangeUndoneElsewhereIsStillSent: while an object is another member's, that member may deliver the change,
// and crash before it delivers the undone state. So no state that another member may have sent is dropped as
// undone.
func TestAChangeUndoneElsewhereIsStillSent(t *testing.T) {
	lose := func(r *rig, o *owner) {
		o.set(func(resource.ID) bool { return false })
		r.p.MaySendChanged()
	}
	regain := func(r *rig, o *owner) {
		r.rcv.mu.Lock()
		r.rcv.docs[id("x")] = "2" // by the other member
		r.rcv.mu.Unlock()
		o.set(func(resource.ID) bool { return true })
		r.p.MaySendChanged()
	}
	for name, tt := range map[string]struct {
		want  string
		steps func(r *rig, o *owner)
	}{
		"undone while it is another's": {"1", func(r *rig, o *owner) {
			lose(r, o)
			r.put("x", "2")
			r.put("x", "1")
			regain(r, o)
		}},
		"undone when it is ours again": {"1", func(r *rig, o *owner) {
			lose(r, o)
			r.put("x", "2")
			regain(r, o)
			r.put("x", "1")
		}},
		"undone before we were told of the loss": {"1", func(r *rig, o *owner) {
			r.put("x", "2")
			o.set(func(resource.ID) bool { return false })
			r.put("x", "1")
			r.p.MaySendChanged()
			regain(r, o)
		}},
		"lost during its request": {"3", func(r *rig, o *owner) {
			r.put("x", "3")
			r.rcv.mu.Lock()
			r.rcv.decide = func(int, delivery.Request) answer { a := delivered; a.took = 30 * time.Second; return a }
			r.rcv.mu.Unlock()
			time.Sleep(20 * time.Second)
			lose(r, o)
			r.put("x", "2")
			time.Sleep(time.Minute) // x=3 is acknowledged
			regain(r, o)
			r.put("x", "3")
			r.put("x", "1")
			r.put("x", "3")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				o := owning(func(resource.ID) bool { return true })
				r := newRig(t, pipeline.Options{Owner: o})
				r.list("x", "1")
				time.Sleep(time.Minute)
				tt.steps(r, o)
				time.Sleep(5 * time.Minute)
				wantDocs(t, r, "x", tt.want)
			})
		})
	}
}

// TestPipeline_ChangedAndChangedBackDuringAFence_IsSent: as far as we can tell, another member had the object for
// a moment, and may have sent the state in between. Without a fence the change costs nothing.
func TestPipeline_ChangedAndChangedBackDuringAFence_IsSent(t *testing.T) {
	for name, fenced := range map[string]bool{"fenced": true, "not fenced": false} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				o := owning(func(resource.ID) bool { return true })
				r := newRig(t, pipeline.Options{Owner: o})
				r.list("x", "1")
				time.Sleep(time.Minute)
				o.set(func(resource.ID) bool { return !fenced })
				r.put("x", "2")
				r.put("x", "1")
				time.Sleep(time.Second)
				o.set(func(resource.ID) bool { return true })
				r.p.MaySendChanged()
				time.Sleep(time.Minute)
				if sent := len(r.rcv.requests()); sent != 1+map[bool]int{true: 1}[fenced] {
					t.Errorf("%d requests: %v", sent, r.rcv.requests())
				}
			})
		})
	}
}
