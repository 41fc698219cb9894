package operations

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"time"
)

// work is our work on one operation. It is guarded by Engine.mu.
type work struct {
	progress
	revision  int // counts changes
	urgent    int // the last revision that matters to the other members
	final     int // the last revision that was the end of our share, for which a caller may be waiting
	published int // the last revision that was written
}

// shares are our work on all operations. It is guarded by Engine.mu.
type shares struct {
	works   map[string]*work // by operation
	written time.Time        // when progress was last written, or the first part of an operation begun
}

// of returns our work on an operation.
func (s *shares) of(id string) *work {
	if s.works[id] == nil {
		s.works[id] = &work{progress: progress{done: make(map[int]bool), failed: make(map[int]string)}}
	}
	return s.works[id]
}

// touch notes a change.
func (w *work) touch(urgent bool) {
	w.revision++
	if urgent {
		w.urgent = w.revision
	}
}

// absorb takes over the progress under our name: that of our previous process, or of another pod of that name.
func (w *work) absorb(p progress) {
	if len(w.done) == 0 && w.revision == 0 {
		w.offered, w.repair, w.at = p.offered, p.repair, p.at
		if p.current != nil {
			w.touch(true) // We are not running it: the others must not wait for us.
		}
	}
	maps.Copy(w.done, p.done)
	for i, message := range p.failed {
		if _, ok := w.failed[i]; !ok {
			w.failed[i] = message
		}
	}
}

// run is a part under way.
type run struct {
	record        *record
	index         int
	part          Part
	with          []int // the parts to be run in one batch, if a new one is begun: itself first
	ctx           context.Context
	cancel        context.CancelFunc
	offered, open int // guarded by Engine.mu
}

// together are the parts that run in one batch.
type together struct {
	Batch
	id      string // of the operation
	indices []int
}

func (b *together) has(r *run) bool {
	return b.Batch != nil && b.id == r.record.id && slices.Contains(b.indices, r.index)
}

func (b *together) end() {
	if b.Batch != nil {
		b.End()
	}
	*b = together{}
}

// execute runs our parts one after another until ctx ends.
func (e *Engine) execute(ctx context.Context) {
	var batch together
	defer batch.end()
	for {
		r := e.begin(ctx)
		if r == nil {
			batch.end()
			select {
			case <-ctx.Done():
				return
			case <-e.work:
			}
			continue
		}
		repaired, err := e.runIn(&batch, r)
		e.finish(r, repaired, err)
		if ctx.Err() != nil {
			return
		}
	}
}

// runIn runs a part in the batch that has it, or in a new one.
func (e *Engine) runIn(batch *together, r *run) (Repair, error) {
	if !batch.has(r) {
		batch.end()
		batch.id, batch.indices = r.record.id, r.with
		parts := make([]Part, 0, len(r.with))
		for _, i := range r.with {
			parts = append(parts, r.record.parts[i])
		}
		taken, err := e.runner.Take(r.ctx, r.record.request, parts)
		if err != nil {
			return Repair{}, err // The message shows it unchanged, under the name of the type.
		}
		batch.Batch = taken
	}
	return e.runPart(batch, r)
}

func (e *Engine) runPart(batch Batch, r *run) (Repair, error) {
	part := r.part
	if part.Split() {
		part.Namespaces = []string{}
		for _, name := range slices.Sorted(maps.Keys(e.catalog.Namespaces(part.Type))) {
			if part.Covers(name) {
				part.Namespaces = append(part.Namespaces, name)
			}
		}
		if len(part.Namespaces) == 0 {
			return Repair{}, nil
		}
	}
	return batch.Run(r.ctx, r.record.request, part, func(offered, open int) {
		e.mu.Lock()
		defer e.mu.Unlock()
		if e.running != r || (offered == r.offered && open == r.open) {
			return
		}
		r.offered, r.open = offered, open
		e.report(r, false)
	})
}

// report notes how far a part has come. The caller holds mu.
func (e *Engine) report(r *run, urgent bool) {
	w := e.shares.works[r.record.id]
	if w == nil {
		return
	}
	w.current = &current{Part: r.index, Offered: r.offered, Open: r.open}
	silent := w.revision == w.published
	w.touch(urgent)
	if silent {
		e.chores.Wake()
	}
}

// begin takes up the next part, if there is one for us.
func (e *Engine) begin(ctx context.Context) *run {
	ready := e.opts.Ready()
	e.mu.Lock()
	defer e.mu.Unlock()
	if !ready || ctx.Err() != nil {
		return nil
	}
	record, index := e.pick()
	if record == nil {
		return nil
	}
	r := &run{record: record, index: index, part: record.parts[index], with: e.batchFrom(record, index)}
	r.ctx, r.cancel = context.WithCancel(ctx)
	e.running = r
	if w := e.shares.of(record.id); w.revision == 0 {
		e.shares.written = time.Now() // A part of less than a second is reported once, when it is done.
	}
	e.report(r, true)
	if r.part.Member != e.opts.Member {
		e.metrics.takenOver.Inc()
		e.opts.Log.Info("Part of a resync is taken over", "operation", record.id, "part", r.part.Key, "from", r.part.Member)
	}
	return r
}

// pick returns the next part for us. The caller holds mu.
func (e *Engine) pick() (*record, int) {
	if !e.roster.live(e.opts.Member) {
		return nil, 0
	}
	var open []*record
	for _, r := range e.doc.records {
		if r.open() {
			open = append(open, r)
		}
	}
	slices.SortFunc(open, func(a, b *record) int {
		switch full := b.request.Full(); {
		case full == a.request.Full():
			return cmp.Or(a.startedAt.Compare(b.startedAt), strings.Compare(a.id, b.id))
		case full:
			return -1
		default:
			return 1
		}
	})
	for _, r := range open {
		if i := e.pickFrom(r); i >= 0 {
			return r, i
		}
	}
	return nil, 0
}

// pickFrom returns the next part of an operation for us; -1 means none. The caller holds mu.
func (e *Engine) pickFrom(r *record) int {
	if left := e.left(r); len(left) > 0 {
		return left[0]
	}
	return -1
}

// left returns the remaining parts of an operation that we have to run, those assigned to us first. The caller
// holds mu.
func (e *Engine) left(r *record) []int {
	done, claims := r.done(), e.claims(r)
	own := e.shares.works[r.id]
	var ours, others []int
	for i, p := range r.parts {
		switch {
		case done[i] || (own != nil && own.done[i]) || e.assignee(p, claims[i]) != e.opts.Member:
		case p.Member == e.opts.Member:
			ours = append(ours, i)
		default:
			others = append(others, i)
		}
	}
	return append(ours, others...)
}

// batchParts bounds the parts of one batch, as [PartObjects] does their objects.
const batchParts = 24

// batchFrom returns the parts that are run together with the part at an index, this one first. The caller holds
// mu.
func (e *Engine) batchFrom(r *record, index int) []int {
	with, objects := []int{index}, r.parts[index].Objects
	if r.parts[index].alone() {
		return with
	}
	for _, i := range e.left(r) {
		p := r.parts[i]
		if i == index || p.alone() || p.Member != r.parts[index].Member {
			continue
		}
		if objects += p.Objects; objects > PartObjects || len(with) == batchParts {
			break
		}
		with = append(with, i)
	}
	return with
}

// claims returns the other live members that say they are running a part, by part; the first by name where there
// are two. We run none at that moment, whatever our previous process has written. The caller holds mu.
func (e *Engine) claims(r *record) map[int]string {
	claims := make(map[int]string)
	for _, member := range e.roster.members {
		if c := r.runs[member].current; c != nil && member != e.opts.Member && claims[c.Part] == "" {
			claims[c.Part] = member
		}
	}
	return claims
}

// assignee returns the member that runs a part, empty for none. The caller holds mu.
func (e *Engine) assignee(p Part, claimant string) string {
	switch {
	case e.roster.live(p.Member) && (p.OwnedOnly || claimant == ""):
		return p.Member
	case p.OwnedOnly:
		return ""
	case claimant != "":
		return claimant
	default:
		return e.roster.owner(p.Key)
	}
}

// reconsider ends the part under way if it has become pointless: another member has finished it, or its operation
// is over. It also ends it when we have ceased to be a member, because another member then runs it. The caller
// holds mu.
func (e *Engine) reconsider() {
	if e.running == nil {
		return
	}
	r := e.doc.records[e.running.record.id]
	if r == nil || r.result != nil || !e.roster.live(e.opts.Member) {
		e.running.cancel()
		return
	}
	if done := r.done(); e.running.index >= len(done) || done[e.running.index] {
		e.running.cancel()
	}
}

// finish marks a part.
func (e *Engine) finish(r *run, repaired Repair, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	ended := r.ctx.Err() != nil
	r.cancel()
	e.running = nil
	w := e.shares.works[r.record.id]
	if w != nil {
		w.current = nil
		w.touch(true)
	}
	e.chores.Wake()
	result := partDone
	switch {
	case err != nil && ended:
		e.metrics.parts.WithLabelValues(partAbandoned).Inc()
		return
	case err != nil:
		result = partFailed
		e.opts.Log.Error(err, "Part of a resync failed", "operation", r.record.id, "part", r.part.Key)
	}
	e.metrics.parts.WithLabelValues(result).Inc()
	e.metrics.objects.Add(float64(r.offered))
	if w == nil {
		return
	}
	w.done[r.index], w.at = true, time.Now()
	w.offered += r.offered
	w.repair.Deleted, w.repair.Held = w.repair.Deleted+repaired.Deleted, w.repair.Held+repaired.Held
	if err != nil {
		w.failed[r.index] = shorten(err.Error())
	}
	if record := e.doc.records[r.record.id]; record != nil && e.pickFrom(record) < 0 {
		w.final = w.revision
	}
}
