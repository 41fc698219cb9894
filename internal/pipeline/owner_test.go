package pipeline_test

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/delivery"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/pipeline"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

// owner owns what it was told last.
type owner struct {
	ours atomic.Pointer[func(resource.ID) bool]
}

func owning(f func(resource.ID) bool) *owner {
	o := &owner{}
	o.set(f)
	return o
}

func (o *owner) set(f func(resource.ID) bool) { o.ours.Store(&f) }
func (o *owner) MaySend(id resource.ID) bool  { return (*o.ours.Load())(id) }

func TestWhatIsNotOursIsParkedUntilItBecomesOurs(t *testing.T) {
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
		lost := r.p.Drain(func(i resource.ID) bool { return i == id("x") })
		other := r.p.Drain(func(i resource.ID) bool { return i == id("y") })
		<-other
		began := time.Now()
		<-lost
		if d := time.Since(began); d != 25*time.Second {
			t.Errorf("drained after %v, want when the request ended, 25 s", d)
		}
	})
}
