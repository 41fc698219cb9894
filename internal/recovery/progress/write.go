package progress

import (
	"cmp"
	"context"
	"maps"
	"reflect"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/checkpoint"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/pipeline"
)

// write writes a checkpoint. If forced, it also writes when only what we write ourselves has changed. It tells
// whether the checkpoint has been written, or there was nothing to write.
func (p *Publisher) write(ctx context.Context, forced bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	life, view := p.opts.Life, p.opts.View()
	looked := life.Looked()
	// Before the cluster has been read, there is nothing new to say, and the last checkpoint is still true. But
	// when we end, or give something up, we say what we have done so far.
	restoring := life.Restoring != nil && life.Restoring() // our knowledge is of a time that is gone
	if early := forced && !looked && p.unheard(); !early && (!looked || !life.Read() && !life.Leaving()) {
		return !forced || restoring || p.amend(ctx, view)
	}
	if restoring {
		return true
	}
	if len(view.Members) == 0 {
		return p.farewell(ctx)
	}
	g, err := p.gather(view, forced || life.Leaving(), time.Now())
	if err != nil {
		p.opts.Log.Error(err, "Checkpoint could not be computed")
		return true
	}
	w := p.compose(view, g)
	p.noteMove(w.own)
	if p.idle(w, time.Now()) && !forced {
		return true
	}
	p.stay, p.claim = w.own.Incarnation, view.Claim
	err = p.opts.Store.Publish(ctx, w.own, w.all, w.beside)
	if err != nil {
		p.said = word{}
	} else {
		p.last = &w
	}
	p.note(ctx, err, "Checkpoint could not be written; until it can, a failover sends more again")
	return err == nil
}

// note records whether our checkpoint could be written, and logs a failure once, however often the write is
// tried. The caller holds mu.
func (p *Publisher) note(ctx context.Context, err error, failed string) {
	switch {
	case err == nil && p.unwritten:
		p.opts.Log.Info("Checkpoint is written again")
	case err != nil && ctx.Err() == nil && !p.unwritten:
		p.opts.Log.Error(err, failed)
	}
	p.unwritten = err != nil
}

// gathered holds the parts of a checkpoint.
type gathered struct {
	seen             map[string]checkpoint.Seen
	ownLeft, allLeft map[resource.Type]pipeline.Unacknowledged
	open             []checkpoint.Tombstone
	delivered        []uint64
	opaque           []opaqueState
	stats            MemberStats
}

// gather reads the parts of a checkpoint: first how far each type was seen, then which of its changes are not
// acknowledged or named. A change that comes in between is above that version. The caller holds mu.
func (p *Publisher) gather(view View, leaving bool, now time.Time) (g gathered, err error) {
	owns, err := p.opts.Ledger.Owns(p.opts.Member.Name(), view.Members, view.Claim.Takes, view.Claim.Yields)
	if err != nil {
		return g, err // The error names the operation.
	}
	mine := func(t resource.Type, id resource.ID) bool { return owns(t.String(), id) }
	g.seen, g.opaque = p.opts.Searches.Finder.Coverage(now), p.opaque(mine)
	if p.resumed() {
		p.carryOn() // after the sums on which it rests
	}
	kept := p.kept(mine)
	if p.opts.Life.Leaving() {
		kept = append(kept, p.living(g.seen)...)
	}
	g.ownLeft, g.allLeft = p.opts.Pipeline.Unacknowledged(mine)
	var cut map[string]bool
	g.open, g.delivered, cut = p.opts.Tombstones.Announce(kept, leaving, now)
	for name := range cut { // A list of the past may show deletions that cannot be named.
		g.seen[name] = p.opts.Searches.Finder.Withdraw(name, g.seen[name])
	}
	g.stats = p.Stats()
	return g, nil
}

// compose returns the next checkpoint.
func (p *Publisher) compose(view View, g gathered) word {
	own := checkpoint.Checkpoint{
		Member: p.opts.Member.Name(), Incarnation: g.stats.Stay, View: view.Members, Takes: view.Claim.Takes, Yields: view.Claim.Yields,
		RingFormat: view.Format, Fingerprint: p.opts.Receiver.Fingerprint, InDoubt: inDoubt(g.ownLeft),
	}
	all := own
	all.View, all.Takes, all.Yields, all.InDoubt = []string{own.Member}, nil, nil, nil
	own.Types, all.Types = checkpoint.Compose(g.seen, backlog(g.ownLeft), backlog(g.allLeft), p.opts.Exceptions)
	return word{own: own, all: all, beside: checkpoint.Beside{
		Open: g.open, Delivered: inStep(g.delivered, g.opaque, g.ownLeft), Stats: g.stats.encode(),
	}}
}

// unheard tells whether no other member has heard of our name yet, and we may say how far we are although the
// cluster has not been read. Replicas that start together hand over while they read, and no replica should send
// again what was sent until then. A checkpoint of an earlier process would be worth more than that.
func (p *Publisher) unheard() bool {
	if !p.Informed() || !p.opts.Life.Backfilled() {
		return false
	}
	_, ours := p.opts.Store.Before()
	return len(ours) == 0
}

// ownTypes are the types of the objects that we write ourselves: a checkpoint makes a change of the first, which
// would be reason enough for the next.
var ownTypes = []string{"configmaps.v1", "leases.v1.coordination.k8s.io"}

// idlePublish is how long a checkpoint is delayed if it would only say how far those types were seen.
const idlePublish = time.Minute

// idle tells whether a checkpoint would say nothing else that is new. The caller holds mu.
func (p *Publisher) idle(w word, now time.Time) bool {
	rest := func(c checkpoint.Checkpoint) checkpoint.Checkpoint {
		c.Types = maps.Clone(c.Types)
		maps.DeleteFunc(c.Types, func(name string, e checkpoint.Entry) bool {
			whole, _ := resource.WholeName(name)
			return e.Low == e.High && slices.Contains(ownTypes, whole)
		})
		return c
	}
	said := word{own: rest(w.own), all: rest(w.all), beside: w.beside}
	same := now.Sub(p.said.at) < idlePublish && said.equal(p.said)
	if !same {
		said.at = now
		p.said = said
	}
	return same
}

// word is the content of a checkpoint.
type word struct {
	own, all checkpoint.Checkpoint
	beside   checkpoint.Beside
	at       time.Time
}

func (w word) equal(o word) bool {
	b := w.beside
	return reflect.DeepEqual(w.own, o.own) && reflect.DeepEqual(w.all, o.all) &&
		slices.Equal(b.Open, o.beside.Open) && slices.Equal(b.Delivered, o.beside.Delivered) && b.Stats == o.beside.Stats
}

// farewell writes, when we leave without a Lease, the deletions that we know of beside the content of our last
// checkpoint, which is still true. It tells whether that is done, or there is nothing to do. The caller holds mu.
func (p *Publisher) farewell(ctx context.Context) bool {
	if !p.opts.Life.Leaving() || p.last == nil {
		return true
	}
	now := time.Now()
	kept := append(p.kept(func(resource.Type, resource.ID) bool { return false }), p.living(p.opts.Searches.Finder.Coverage(now))...)
	open, delivered, _ := p.opts.Tombstones.Announce(kept, true, now)
	if len(open) == 0 {
		return true
	}
	err := p.opts.Store.Publish(ctx, p.last.own, p.last.all, checkpoint.Beside{Open: open, Delivered: delivered, Last: true})
	if apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) { // a successor of our name
		return true
	}
	p.note(ctx, err, "Open tombstones could not be written; the successor has to search for their deletions")
	return err == nil
}

// amend tells, beside the content of the last checkpoint of our name, which objects our requests may still change, and
// the deletions that we know of. The new owners have to repeat our last words. It tells whether that is done, or there
// is nothing to do. The caller holds mu.
func (p *Publisher) amend(ctx context.Context, view View) bool {
	mine := func(resource.Type, resource.ID) bool { return false }
	if len(view.Members) > 0 {
		owns, err := p.opts.Ledger.Owns(p.opts.Member.Name(), view.Members, view.Claim.Takes, view.Claim.Yields)
		if err != nil {
			p.opts.Log.Error(err, "Checkpoint could not be computed")
			return true
		}
		mine = func(t resource.Type, id resource.ID) bool { return owns(t.String(), id) }
	}
	if p.resumed() {
		p.carryOn()
	}
	own, _ := p.opts.Pipeline.Unacknowledged(mine)
	open, _, _ := p.opts.Tombstones.Announce(p.kept(mine), true, time.Now())
	unsure := inDoubt(own)
	if len(unsure) == 0 && len(open) == 0 {
		return true
	}
	err := p.opts.Store.Amend(ctx, unsure, open)
	p.note(ctx, err, "Checkpoint could not be amended; until it can, nobody repeats what our requests may undo")
	return err == nil
}

// inDoubt are the objects that a request of unknown outcome may still change, first those that can do harm.
func inDoubt(of map[resource.Type]pipeline.Unacknowledged) []checkpoint.Doubt {
	var all []checkpoint.Doubt
	for _, u := range of {
		for _, d := range u.Doubtful {
			all = append(all, checkpoint.Doubt{ID: d.ID.Hash(), Version: d.Version, Acknowledged: d.Acknowledged, Overwritable: d.Overwritable})
		}
	}
	slices.SortFunc(all, func(a, b checkpoint.Doubt) int { // equal checkpoints are written once
		if a.Overwritable != b.Overwritable {
			return map[bool]int{true: -1, false: 1}[a.Overwritable]
		}
		return cmp.Compare(a.ID, b.ID)
	})
	return all
}

func backlog(of map[resource.Type]pipeline.Unacknowledged) map[string]checkpoint.Backlog {
	backlog := make(map[string]checkpoint.Backlog, len(of))
	for t, u := range of {
		backlog[t.String()] = checkpoint.Backlog{Version: u.Version, IDs: u.IDs, Further: u.Further, Refused: u.Refused}
	}
	return backlog
}
