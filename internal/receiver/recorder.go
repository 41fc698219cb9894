package receiver

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"
)

// recorder keeps the records and the figures that follow from them.
type recorder struct {
	start time.Time // carries the monotonic clock
	limit int       // finished records kept, 0: all

	mu      sync.Mutex // guards all below and the fields of every flight
	seq     uint64
	flights []*flight // by sequence number; finished ones are dropped from the front when limit is exceeded
	open    map[*flight]struct{}
	// holders names for each kind and ID the request that holds it or held it last. Entries of finished requests stay
	// while a request is open that began before they ended, because its IDs are known only once its body was read.
	holders  map[held]*flight
	sweepAt  int
	overlaps []overlap
	stats    Stats
}

type held struct{ kind, id string }

// flight is a request and its record.
type flight struct {
	rec Record
}

type overlap struct {
	held
	first, second *flight
}

const sweepFloor = 100_000

func newRecorder(limit int) *recorder {
	r := &recorder{start: time.Now(), limit: limit, open: map[*flight]struct{}{}}
	r.reset()
	return r
}

// reset forgets everything except requests in flight.
func (r *recorder) reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.flights = nil
	for f := range r.open {
		r.flights = append(r.flights, f)
	}
	slices.SortFunc(r.flights, func(a, b *flight) int { return int(a.rec.Seq) - int(b.rec.Seq) })
	r.holders, r.sweepAt, r.overlaps = map[held]*flight{}, sweepFloor, nil
	r.stats = Stats{ByStatus: map[int]int{}, BySender: map[string]int{}}
	for f := range r.open {
		r.hold(f)
	}
}

func isSync(kind string) bool { return kind == KindInstances || kind == KindResources }

// begin opens a record. The context is the client's: if it ends before the record does, the client has gone.
func (r *recorder) begin(ctx context.Context, rec Record) *flight {
	now := time.Now()
	f := &flight{rec: rec}
	r.mu.Lock()
	r.seq++
	f.rec.Seq = r.seq
	f.rec.Begin, f.rec.BeginAt = now, now.Sub(r.start)
	r.flights = append(r.flights, f)
	r.open[f] = struct{}{}
	inFlight := 0
	for o := range r.open {
		if isSync(o.rec.Kind) {
			inFlight++
		}
	}
	r.stats.MaxFlight = max(r.stats.MaxFlight, inFlight)
	r.mu.Unlock()
	context.AfterFunc(ctx, func() { r.gone(f) })
	return f
}

func (r *recorder) gone(f *flight) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, open := r.open[f]; open && !f.rec.ClientGone {
		f.rec.ClientGone, f.rec.ClientGoneAt = true, time.Since(r.start)
	}
}

// received adds the contents of the body, and finds other requests that hold any of its IDs.
func (r *recorder) received(f *flight, p payload, size int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f.rec.Bytes = size
	f.rec.Resync = p.resync
	f.rec.Deletes = p.deletes
	f.rec.Upserts = make([]Upsert, len(p.upserts))
	for i, d := range p.upserts {
		f.rec.Upserts[i] = Upsert{ID: d.ID, Hash: d.Hash} // a copy: the rest of the document is not kept alive
	}
	r.hold(f)
}

// hold enters a flight as the holder of its IDs. The caller holds mu.
func (r *recorder) hold(f *flight) {
	if !isSync(f.rec.Kind) {
		return
	}
	take := func(id string) {
		k := held{f.rec.Kind, id}
		if old, ok := r.holders[k]; ok && old != f && (old.rec.End.IsZero() || old.rec.EndAt > f.rec.BeginAt) {
			r.overlaps = append(r.overlaps, overlap{held: k, first: old, second: f})
		}
		r.holders[k] = f
	}
	for _, u := range f.rec.Upserts {
		take(u.ID)
	}
	for _, id := range f.rec.Deletes {
		take(id)
	}
}

// written records that an upsert was stored. It finds the upsert by position, not by ID, which may occur twice.
func (r *recorder) written(f *flight, from int, unchanged []bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, same := range unchanged {
		f.rec.Upserts[from+i].Written, f.rec.Upserts[from+i].Unchanged = true, same
		if same {
			r.stats.Unchanged++
		}
	}
	r.touch(f)
}

// deleted notes that deletes were applied.
func (r *recorder) deleted(f *flight) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.touch(f)
}

func (r *recorder) touch(f *flight) {
	now := time.Now()
	f.rec.Applied, f.rec.AppliedAt = now, now.Sub(r.start)
}

// embedded counts one call of the embedder with n texts.
func (r *recorder) embedded(f *flight, n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f.rec.Embedded += n
	r.stats.Embedded += n
	r.stats.EmbedCalls++
}

func (r *recorder) faulted(f *flight, rule string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f.rec.Fault = rule
}

// end closes the record. It is called before the answer is written: a client that has read the answer begins its
// next request later.
func (r *recorder) end(ctx context.Context, f *flight, status int, message string) {
	if ctx.Err() != nil {
		r.gone(f) // the AfterFunc may not have run yet
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	rec := &f.rec
	rec.End, rec.EndAt = now, now.Sub(r.start)
	rec.Status, rec.Error = status, message[:min(len(message), 200)]
	delete(r.open, f)
	r.count(rec)
	r.sweep()
	if r.limit > 0 && len(r.flights) > r.limit && !r.flights[0].rec.End.IsZero() {
		r.flights[0] = nil
		r.flights = r.flights[1:]
		r.stats.Forgotten++
	}
}

func (r *recorder) count(rec *Record) {
	s := &r.stats
	s.Requests++
	s.ByStatus[rec.Status]++
	if rec.ClientGone {
		s.Gone++
	}
	if !isSync(rec.Kind) {
		return
	}
	s.Syncs++
	s.BySender[rec.Sender]++
	s.Upserts += len(rec.Upserts)
	s.Deletes += len(rec.Deletes)
	s.MaxUpserts = max(s.MaxUpserts, len(rec.Upserts))
	s.MaxDeletes = max(s.MaxDeletes, len(rec.Deletes))
	s.MaxBytes = max(s.MaxBytes, rec.Bytes)
	if rec.Resync {
		s.Resyncs++
	}
	if len(rec.Upserts) > 0 && len(rec.Deletes) > 0 {
		s.Mixed++
		s.InBoth += inBoth(rec)
	}
}

func inBoth(rec *Record) int {
	deletes := make(map[string]struct{}, len(rec.Deletes))
	for _, id := range rec.Deletes {
		deletes[id] = struct{}{}
	}
	n := 0
	for _, u := range rec.Upserts {
		if _, both := deletes[u.ID]; both {
			n++
		}
	}
	return n
}

// sweep drops holders that no open request can overlap any more. The caller holds mu.
func (r *recorder) sweep() {
	if len(r.open) == 0 {
		clear(r.holders)
		return
	}
	if len(r.holders) < r.sweepAt {
		return
	}
	oldest := time.Since(r.start)
	for f := range r.open {
		oldest = min(oldest, f.rec.BeginAt)
	}
	maps.DeleteFunc(r.holders, func(_ held, f *flight) bool { return !f.rec.End.IsZero() && f.rec.EndAt < oldest })
	r.sweepAt = max(sweepFloor, 2*len(r.holders))
}

// since returns copies of the records with a higher number, those in flight included.
func (r *recorder) since(seq uint64) []Record {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []Record
	for _, f := range r.flights {
		if f.rec.Seq > seq {
			out = append(out, f.copy())
		}
	}
	return out
}

// copy needs mu, which the caller holds. Upserts is the only slice that changes after received.
func (f *flight) copy() Record {
	rec := f.rec
	rec.Upserts = slices.Clone(rec.Upserts)
	return rec
}

// abandoned tells whether the client of the request that was begun first had left before the other was begun. The
// order in which their bodies were read does not tell which one was first: a busy receiver may read a body after
// its client has left.
func (o overlap) abandoned() bool {
	earlier, later := &o.first.rec, &o.second.rec
	if later.BeginAt < earlier.BeginAt {
		earlier, later = later, earlier
	}
	return earlier.ClientGone && earlier.ClientGoneAt <= later.BeginAt+abandonGrace
}

func (r *recorder) listOverlaps() []Overlap {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]Overlap, len(r.overlaps))
	for i, o := range r.overlaps {
		out[i] = Overlap{Kind: o.kind, ID: o.id, First: o.first.copy(), Second: o.second.copy(), Abandoned: o.abandoned()}
	}
	return out
}

func (r *recorder) snapshot() Stats {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.stats
	s.ByStatus, s.BySender = maps.Clone(s.ByStatus), maps.Clone(s.BySender)
	for f := range r.open {
		if isSync(f.rec.Kind) {
			s.InFlight++
		}
	}
	for _, o := range r.overlaps {
		if o.abandoned() {
			s.Abandoned++
		} else {
			s.Overlaps++
		}
	}
	return s
}
