package pipeline_test

import (
	"testing"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/delivery"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/pipeline"
)

func restated(name string, version uint64) resource.Record {
	return resource.Record{Namespace: "a", Name: name, Body: "again", Digest: 1, ResourceVersion: version}
}

// TestARequestThatHangsIsEndedForAHandoff: the successor does not wait for its timeout, and is told of the doubt.
func TestARequestThatHangsIsEndedForAHandoff(t *testing.T) {
	bubble(t, func(t *testing.T) {
		o := owning(anybody)
		r := newRig(t, pipeline.Options{Owner: o, MaxUpserts: 1})
		r.rcv.decide = func(int, delivery.Request) answer { a := delivered; a.took = time.Hour; return a }
		r.list("x", "1", "y", "1")
		time.Sleep(10 * time.Second)
		lost := match(func(i resource.ID) bool { return i == id("x") })
		o.set(func(i resource.ID) bool { return i != id("x") })
		ended := r.p.Drain(lost)
		time.Sleep(time.Minute)
		select {
		case <-ended:
			t.Fatal("the drain is done while the request hangs")
		default:
		}
		r.p.Cancel(lost)
		<-ended
		_, all := r.p.Unacknowledged(match(anybody))
		if d := all[pods].Doubtful; len(d) != 1 {
			t.Errorf("doubtful are %v, want what the ended request held", d)
		}
		if n := r.p.Stats().InFlight; n != 1 {
			t.Errorf("%d requests in flight, want the other one to go on", n)
		}
	})
}

// TestATicketTellsWhatWasNotOurs: the sender of a part must learn that some of its objects were another member's.
func TestATicketTellsWhatWasNotOurs(t *testing.T) {
	bubble(t, func(t *testing.T) {
		o := owning(anybody)
		r := newRig(t, pipeline.Options{Owner: o})
		r.rcv.decide = func(int, delivery.Request) answer { a := delivered; a.took = time.Hour; return a }
		offer := func(names ...string) *pipeline.Ticket {
			ticket := pipeline.NewTicket()
			for i, name := range names {
				r.p.Offer(pods, restated(name, uint64(i+1)), ticket)
			}
			ticket.Close()
			return ticket
		}
		kept := offer("a", "b")
		o.set(nobody)
		refused := offer("c")
		<-refused.Arrived()
		if n := refused.Missed(); n != 1 {
			t.Errorf("%d objects were missed that were never ours, want 1", n)
		}
		r.p.MaySendChanged()
		<-kept.Arrived()
		if n := kept.Missed(); n != 2 {
			t.Errorf("%d objects were missed that were lost before they had arrived, want 2", n)
		}
		own := offer()
		<-own.Arrived()
		if own.Missed() != 0 {
			t.Error("nothing was offered, and something missed")
		}
	})
}

// TestAFencedMemberWithATypeTakenDoesNotSpin: objects that are offered during a fence wait, and cost nothing.
func TestAFencedMemberWithATypeTakenDoesNotSpin(t *testing.T) {
	bubble(t, func(t *testing.T) {
		o := owning(anybody)
		r := newRig(t, pipeline.Options{Owner: o})
		ticket := pipeline.NewTicket()
		r.p.Offer(pods, restated("a", 1), ticket)
		o.set(nobody) // The fence falls before it is sent.
		time.Sleep(time.Minute)
		if n := len(r.rcv.log); n != 0 {
			t.Errorf("%d requests were begun in a minute behind the fence", n)
		}
		o.set(anybody)
		r.p.MaySendChanged()
		time.Sleep(time.Minute)
		wantDocs(t, r, "a", "again")
	})
}
