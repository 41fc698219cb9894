package pipeline

import (
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/wire"
)

// Totals count since the start.
type Totals struct {
	// Upserts and Deletes are acknowledged items, repeats included.
	Upserts, Deletes uint64
	// Coalesced are changes that a newer one replaced or undid before they were sent.
	Coalesced uint64
	// Failed are requests that were not delivered, LastError is the receiver's answer to the last of them.
	Failed    uint64
	LastError string
	// LastDelivered is when a request was last delivered, zero for never.
	LastDelivered time.Time
	// Repeats are last words repeated after a request of unknown outcome.
	Repeats uint64
}

// record counts the fates of changes and requests. It is for people alone. It is guarded by Pipeline.mu.
type record struct {
	*metrics

	totals   Totals
	failures failures
}

func (r *record) coalesced() {
	r.totals.Coalesced++
	r.metrics.coalesced.Inc()
}

func (r *record) repeated() {
	r.totals.Repeats++
	r.repeats.Inc()
}

// ended takes the outcome of a flight.
func (r *record) ended(f *flight, o wire.Outcome, now time.Time) {
	if o.Kind == wire.Delivered {
		r.totals.LastDelivered = now
	} else if !o.Own && o.Kind != wire.Fenced {
		r.totals.Failed++
		r.totals.LastError = o.Reason
	}
	r.failures.note(f.items, o, now)
}

// acknowledged takes n items of a flight.
func (r *record) acknowledged(f *flight, n int) {
	if f.deletes {
		r.totals.Deletes += uint64(n)
	} else {
		r.totals.Upserts += uint64(n)
	}
}
