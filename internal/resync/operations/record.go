package operations

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"
)

// done tells by index which parts any member has finished.
func (r *record) done() []bool {
	done := make([]bool, len(r.parts))
	for _, p := range r.runs {
		for i := range p.done {
			if i < len(done) {
				done[i] = true
			}
		}
	}
	return done
}

// open tells whether any part is left to run.
func (r *record) open() bool { return r.result == nil && slices.Contains(r.done(), false) }

// ended tells whether all parts are done, but the operation is not closed yet.
func (r *record) ended() bool { return r.result == nil && !r.open() }

// finishedAt returns when the last mark was made, by the clock of the member that made it.
func (r *record) finishedAt() time.Time {
	at := r.startedAt
	for _, p := range r.runs {
		if p.at.After(at) {
			at = p.at
		}
	}
	return at
}

// operation makes a copy for callers of the package.
func (r *record) operation() Operation {
	o := Operation{ID: r.id, Request: r.request, Member: r.member, Status: Running, StartedAt: r.startedAt, Failures: map[string]string{}}
	o.Request.Types = slices.Clone(r.request.Types)
	if res := r.result; res != nil {
		o.Status, o.FinishedAt, o.Types, o.TypesDone, o.Offered, o.Estimate = res.Status, res.FinishedAt, res.Types, res.TypesDone, res.Offered, res.Estimate
		o.Repair = Repair{Deleted: res.Deleted, Held: res.Held}
		o.FailedTypes, o.Shares, o.Message = res.Failed, slices.Clone(res.Shares), res.Message
		maps.Copy(o.Failures, res.Failures)
		return o
	}
	done := r.done()
	shares := make(map[string]*Share)
	share := func(member string) *Share {
		if shares[member] == nil {
			shares[member] = &Share{Member: member}
		}
		return shares[member]
	}
	undone := make(map[string]bool) // types
	for i, p := range r.parts {
		s := share(p.Member)
		s.Parts, s.Objects = s.Parts+1, s.Objects+p.Objects
		o.Estimate += p.Objects
		if !done[i] && !p.Held {
			undone[p.Type.String()] = true
		}
	}
	for _, member := range slices.Sorted(maps.Keys(r.runs)) {
		r.addRun(&o, share(member), r.runs[member], done)
	}
	o.Types, o.FailedTypes = len(r.request.Types), len(o.Failures)
	o.TypesDone = o.Types - len(undone)
	for _, member := range slices.Sorted(maps.Keys(shares)) {
		s := *shares[member]
		o.Shares = append(o.Shares, s)
		o.Offered, o.Open = o.Offered+s.Offered, o.Open+s.Open
	}
	if !slices.Contains(done, false) {
		o.Status, o.FinishedAt, o.Request.Types = Done, r.finishedAt(), nil
	}
	return o
}

// addRun adds the progress of one member.
func (r *record) addRun(o *Operation, s *Share, p progress, done []bool) {
	for i := range p.done {
		if i < len(done) {
			s.Done++
		}
	}
	s.Offered = p.offered
	o.Repair.Deleted, o.Repair.Held = o.Repair.Deleted+p.repair.Deleted, o.Repair.Held+p.repair.Held
	if c := p.current; c != nil && c.Part < len(done) && !done[c.Part] {
		s.Offered, s.Open = s.Offered+c.Offered, c.Open
	}
	for _, i := range slices.Sorted(maps.Keys(p.failed)) {
		if i >= 0 && i < len(done) {
			name := r.parts[i].name()
			o.Failures[name] = cmp.Or(o.Failures[name], p.failed[i], "no reason is known")
		}
	}
}

// maxFailures is the number of messages that are kept of an operation that has ended.
const maxFailures = 20

// close returns the plan with its result: done, or given up at now for the reason that message says.
func (r *record) close(message string, now time.Time) *plan {
	o := r.operation()
	res := &result{
		Status: Done, FinishedAt: o.FinishedAt.UTC(), Types: o.Types, TypesDone: o.TypesDone, Offered: o.Offered, Estimate: o.Estimate,
		Failed: o.FailedTypes, Shares: o.Shares, Message: message, Deleted: o.Repair.Deleted, Held: o.Repair.Held,
	}
	if message != "" {
		res.Status, res.FinishedAt = Failed, now.UTC()
	}
	for i := range res.Shares {
		res.Shares[i].Open = 0
	}
	for i, name := range slices.Sorted(maps.Keys(o.Failures)) {
		if i == maxFailures {
			break
		}
		if res.Failures == nil {
			res.Failures = make(map[string]string)
		}
		res.Failures[name] = o.Failures[name]
	}
	closed := *r.plan
	closed.parts, closed.result = nil, res
	return &closed
}

// keptFinished is the number of ended operations that are kept.
const keptFinished = 10

// tidy removes the oldest operations that have ended, beyond those that are kept, and runs of operations that are
// closed or absent. It leaves a key alone that it does not understand.
func tidy(data map[string]string, doc *document) {
	kept := 0
	for _, r := range doc.newest() {
		if r.open() || r.ended() {
			continue
		}
		if kept++; kept > keptFinished {
			delete(data, opKey(r.id))
		}
	}
	for k := range data {
		id, _, ok := splitRunKey(k)
		if !ok {
			continue
		}
		if _, exists := data[opKey(id)]; !exists || (doc.records[id] != nil && doc.records[id].result != nil) {
			delete(data, k)
		}
	}
}

// size returns roughly the size of a ConfigMap of that data, in bytes.
func size(data map[string]string) int {
	n := 0
	for k, v := range data {
		n += len(k) + len(v)
	}
	return n
}

// gone returns the message of an operation that no member can finish.
func (r *record) gone(after time.Duration) string {
	return fmt.Sprintf("%s, which was asked to send what it owns, has been gone for %s", r.member, after)
}
