package app

import (
	"cmp"
	"context"
	"maps"
	"reflect"
	"slices"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/checkpoint"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/pipeline"
)

// What one target's members tell each other of how far they are, and what they make of it.

// covers is for [pipeline.Options.Covers].
func (t *target) covers(typ resource.Type, id resource.ID, s pipeline.State) bool {
	if s.Deleted || s.Version == 0 {
		return t.ledger.Delivered(nameOf(id, s))
	}
	return t.ledger.Covers(typ.String(), id, s.Version)
}

// doubtful is for [pipeline.Options.Doubtful].
func (t *target) doubtful(id resource.ID) (pipeline.Doubt, bool) {
	d, ok := t.ledger.Doubtful(id)
	if t.retiredBacklog.Doubtful(id) {
		return pipeline.Doubt{ID: id, Overwritable: true}, true
	}
	return pipeline.Doubt{ID: id, Version: d.Version, Acknowledged: d.Acknowledged, Overwritable: d.Overwritable}, ok
}

func (t *target) ledgerChanged() {
	select {
	case t.covered <- struct{}{}:
	default: // It will look anyway.
	}
}

// follow keeps what is parked in step with the others' checkpoints, and the others informed of ours, until ctx ends.
func (t *target) follow(ctx context.Context) error {
	tick := time.NewTicker(publishEvery)
	defer tick.Stop()
	early := time.NewTicker(time.Second)
	defer early.Stop()
	var forget <-chan time.Time // at most once a second, however many members there are
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.covered:
			if forget == nil {
				forget = time.After(time.Second)
			}
			t.receive()
		case <-forget:
			forget = nil
			t.forgetCovered()
		case <-tick.C:
			t.publish(ctx)
			t.strike(ctx, t.receive())
		case <-early.C:
			if t.ledger.Contests() && forget == nil {
				t.forgetCovered() // Our index may have come up to a sum, or have been repaired.
			}
			// All that a first sync has sent would be sent again, if we died before the next checkpoint tells of it.
			if t.silent() || t.complete.Swap(false) || t.tombstones.Due() {
				t.publish(ctx)
				tick.Reset(publishEvery)
			}
		}
	}
}

// mayCover tells what checkpoints that have come may cover: a type, and of it the objects of the partitions of who
// wrote them.
func mayCover(news checkpoint.News) func(typ resource.Type, named bool) func(resource.ID, pipeline.State) bool {
	return func(typ resource.Type, named bool) func(resource.ID, pipeline.State) bool {
		name := typ.String()
		if !news.Of(name, named) {
			return nil
		}
		return func(id resource.ID, s pipeline.State) bool { return named || news.Touches(name, id, s.Version) }
	}
}

// silent tells whether we are in the ring and have not tried to write anything in this stay, or since we have taken or
// regained a part. The others' checkpoints soon speak no more of what has become ours: if we died before ours does, it
// would be sent again.
func (t *target) silent() bool {
	t.publishing.Lock()
	defer t.publishing.Unlock()
	view := t.member.View()
	return t.looked.Load() && len(view.View) > 0 && (t.publishing.stay != t.member.Incarnation() || t.claimOf(view).exceeds(t.publishing.claim))
}

// publish writes how far the partitions that our published view gives us are in step, if that has changed.
func (t *target) publish(ctx context.Context) {
	if t.write(ctx, false) {
		t.written.SetToCurrentTime()
	}
}

// write is publish, also when nothing has changed but what we write ourselves if it is forced. It tells whether there
// was nothing to be said or it has been written.
func (t *target) write(ctx context.Context, forced bool) bool {
	t.publishing.Lock()
	defer t.publishing.Unlock()
	view := t.member.View()
	looked := t.looked.Load()
	// Before the cluster has been read, there is nothing to say, and what was said before is still true;
	// unless we end, or give something up, with what we have done so far.
	if early := forced && !looked && t.unheard(); !early && (!looked || !t.read() && !t.leaving.Load()) {
		return true
	}
	if t.restoring != nil && t.restoring() { // what we know is of a time that is gone
		return true
	}
	if len(view.View) == 0 {
		return t.farewell(ctx)
	}
	claim := t.claimOf(view)
	owns, err := t.ledger.Owns(view.Member, view.View, claim.takes, claim.yields)
	if err != nil {
		t.log.Error(err, "Checkpoint could not be computed")
		return true
	}
	mine := func(typ resource.Type, id resource.ID) bool { return owns(typ.String(), id) }
	// First how far each type was seen, then what of it is not acknowledged or named: what comes in between
	// is above that version.
	seen, opaque := t.finder.Coverage(time.Now()), t.opaque(mine)
	kept := t.kept(mine)
	ownLeft, allLeft := t.pipeline.Unacknowledged(mine)
	open, delivered, cut := t.tombstones.Announce(kept, forced || t.leaving.Load(), time.Now())
	for name := range cut { // Some list of the past may show what cannot be named.
		seen[name] = t.finder.Withdraw(name, seen[name])
	}
	own := checkpoint.Checkpoint{
		Member: view.Member, Incarnation: t.member.Incarnation(), View: view.View, Takes: claim.takes, Yields: claim.yields, RingFormat: view.Format, Fingerprint: t.identity,
		InDoubt: inDoubt(ownLeft),
	}
	all := own
	all.View, all.Takes, all.Yields, all.InDoubt = []string{view.Member}, nil, nil, nil
	own.Types, all.Types = checkpoint.Compose(seen, backlog(ownLeft), backlog(allLeft), t.exceptions)
	beside := checkpoint.Beside{Open: open, Delivered: inStep(delivered, opaque, ownLeft), Stats: t.memberStats().encode()}
	if t.idle(own, all, beside, time.Now()) && !forced {
		return true
	}
	t.publishing.stay, t.publishing.claim = own.Incarnation, claim
	err = t.store.Publish(ctx, own, all, beside)
	if err != nil {
		t.publishing.said = published{}
	} else {
		t.publishing.last = &published{own: own, all: all}
	}
	switch {
	case err == nil && t.publishing.unwritten:
		t.log.Info("Checkpoint is written again")
	case err != nil && ctx.Err() == nil && !t.publishing.unwritten: // once, however often it is tried
		t.log.Error(err, "Checkpoint could not be written; until it can, a failover sends more again")
	}
	t.publishing.unwritten = err != nil
	return err == nil
}

// unheard tells whether nobody has heard of our name yet, and we may say how far we are although the cluster
// has not been read: replicas that start together hand over while it is, and nobody should send again what
// has been sent until then. A word of an earlier life would be of more worth than that.
func (t *target) unheard() bool {
	if !t.informed() || !t.adopted.Load() {
		return false
	}
	_, ours := t.store.Before()
	return len(ours) == 0
}

// ownTypes are the types of what we write ourselves: a checkpoint makes a change of the first, which would be reason
// enough for the next.
var ownTypes = []string{"configmaps.v1", "leases.v1.coordination.k8s.io"}

// idlePublish is how long a checkpoint is put off in which nothing has changed but how far those types were seen.
const idlePublish = time.Minute

// idle tells whether a checkpoint would say nothing new but that. The caller holds publishing.
func (t *target) idle(own, all checkpoint.Checkpoint, beside checkpoint.Beside, now time.Time) bool {
	rest := func(c checkpoint.Checkpoint) checkpoint.Checkpoint {
		c.Types = maps.Clone(c.Types)
		maps.DeleteFunc(c.Types, func(name string, e checkpoint.Entry) bool {
			whole, _ := resource.WholeName(name)
			return e.Low == e.High && slices.Contains(ownTypes, whole)
		})
		return c
	}
	said := published{own: rest(own), all: rest(all), beside: beside}
	same := now.Sub(t.publishing.said.at) < idlePublish && said.equal(t.publishing.said)
	if !same {
		said.at = now
		t.publishing.said = said
	}
	return same
}

// publishing is what has become of our checkpoints.
type publishing struct {
	sync.Mutex // held while one is computed and written; guards what follows

	said      published
	last      *published // what was written last
	unwritten bool       // the last checkpoint could not be written
	stay      string     // in which the last one was tried
	claim     claim      // with which
}

// published is what a checkpoint said.
type published struct {
	own, all checkpoint.Checkpoint
	beside   checkpoint.Beside
	at       time.Time
}

func (p published) equal(o published) bool {
	b := p.beside
	return reflect.DeepEqual(p.own, o.own) && reflect.DeepEqual(p.all, o.all) &&
		slices.Equal(b.Open, o.beside.Open) && slices.Equal(b.Delivered, o.beside.Delivered) && b.Stats == o.beside.Stats
}

// farewell writes, when we leave without a Lease, the deletions that we know of beside what our last
// checkpoint said, which is still true. It tells whether that is done, or there is nothing to be done. The
// caller holds publishing.
func (t *target) farewell(ctx context.Context) bool {
	if !t.leaving.Load() || t.publishing.last == nil {
		return true
	}
	open, delivered, _ := t.tombstones.Announce(t.kept(func(resource.Type, resource.ID) bool { return false }), true, time.Now())
	if len(open) == 0 {
		return true
	}
	err := t.store.Publish(ctx, t.publishing.last.own, t.publishing.last.all, checkpoint.Beside{Open: open, Delivered: delivered, Last: true})
	switch {
	case apierrors.IsConflict(err), apierrors.IsAlreadyExists(err): // a successor of our name
		return true
	case err != nil && ctx.Err() == nil && !t.publishing.unwritten:
		t.log.Error(err, "Deletions that wait could not be written down; the successor has to find them")
	}
	t.publishing.unwritten = err != nil
	return err == nil
}

// publishLast publishes until it has succeeded or ctx ends: a last word that comes late is better than a successor that
// does not know what it need not send.
func (t *target) publishLast(ctx context.Context) {
	for !t.write(ctx, true) {
		select {
		case <-ctx.Done():
			return
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// behind returns a type among some of which we have seen less than another member had when it wrote its last
// checkpoint, empty when there is none.
func (t *target) behind(among func(resource.Type) bool) string {
	events := t.ledger.Events(t.member.Name())
	for _, typ := range t.index.Types() {
		name := typ.String()
		if stats := t.index.Type(typ); stats.Listed && stats.Version < events.Of(name) && among(typ) {
			return name
		}
	}
	return ""
}

// inDoubt is what a request of unknown outcome may still change, what can do harm first.
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
		backlog[t.String()] = checkpoint.Backlog{Version: u.Version, IDs: u.IDs, Refused: u.Refused}
	}
	return backlog
}
