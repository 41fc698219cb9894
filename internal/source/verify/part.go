package verify

import (
	"context"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

// settleFor is how long the watch may take to bring the states in a resync's list. Events are only milliseconds
// behind a list, but a type that is listed anew without need costs a list.
const settleFor = 2 * time.Second

// Part compares the list of one part of a type with the index, object by object. A resync makes the list anyway.
// Part keeps eight bytes for each object of the part. One goroutine uses it.
type Part struct {
	v       *Verifier
	typ     resource.Type
	in      func(namespace, name string) bool
	listed  map[uint64]struct{}
	suspect []resource.Record // in the list, but not in the index, or older there
	gone    []resource.Record // in the index, but not in the list; without a digest
}

// Part begins the comparison of a list. In tells which objects are in the part; nil means all of the type.
func (v *Verifier) Part(t resource.Type, in func(namespace, name string) bool) *Part {
	return &Part{v: v, typ: t, in: in, listed: make(map[uint64]struct{})}
}

// Reset begins anew, after the caller has given up the list and begins another one.
func (p *Part) Reset() {
	clear(p.listed)
	p.suspect, p.gone = nil, nil
}

// Page takes one page of the list.
func (p *Part) Page(rs []resource.Record) {
	for _, r := range rs {
		p.listed[hashOf(r.Namespace, r.Name)] = struct{}{}
		if !p.knows(r) {
			p.suspect = append(p.suspect, r)
		}
	}
}

// knows tells whether the index has an object in this state or in a later one.
func (p *Part) knows(r resource.Record) bool {
	_, version, ok := p.v.opts.Index.Get(p.typ, r.Namespace, r.Name)
	return ok && version >= r.ResourceVersion
}

// hashOf names an object within its type.
func hashOf(namespace, name string) uint64 { return xxhash.Sum64String(namespace + "/" + name) }

// Settle ends the comparison, after a complete list of a version. It waits a moment for events that the watch
// has not brought yet. If a difference is left, it lists the type anew. After that, Settle returns the repaired
// differences: states that only the resync's list had, and objects that only the index had.
func (p *Part) Settle(ctx context.Context, version uint64) (changed []resource.Record, gone []resource.ID, err error) {
	if version == 0 {
		return nil, nil, nil // Without a version, nothing can be compared.
	}
	p.v.opts.Index.All(p.typ, func(namespace, name string, known uint64) bool {
		if known <= version && (p.in == nil || p.in(namespace, name)) {
			if _, ok := p.listed[hashOf(namespace, name)]; !ok {
				p.gone = append(p.gone, resource.Record{Namespace: namespace, Name: name, ResourceVersion: known})
			}
		}
		return true
	})
	for began := time.Now(); ; {
		p.forgive(version)
		if len(p.suspect)+len(p.gone) == 0 {
			p.v.verified(p.typ, p.in == nil)
			return nil, nil, nil
		}
		if time.Since(began) >= settleFor {
			return p.mend(ctx)
		}
		if err := wait(ctx, checkEvery/4); err != nil {
			return nil, nil, err
		}
	}
}

// forgive drops the differences that events have resolved.
func (p *Part) forgive(version uint64) {
	left := p.suspect[:0]
	for _, r := range p.suspect {
		if !p.knows(r) {
			left = append(left, r)
		}
	}
	p.suspect = left
	stay := p.gone[:0]
	for _, r := range p.gone {
		if _, known, ok := p.v.opts.Index.Get(p.typ, r.Namespace, r.Name); ok && known <= version {
			stay = append(stay, r)
		}
	}
	p.gone = stay
}

// mend lists the type anew.
func (p *Part) mend(ctx context.Context) (changed []resource.Record, gone []resource.ID, err error) {
	p.v.diverged(p.typ, FromResync)
	p.v.opts.Log.Info("The list of a resync differs from the index, the resource is listed anew",
		"resource", p.typ.String(), "source", string(FromResync), "missing", len(p.suspect), "gone", len(p.gone))
	if err := p.v.relist(ctx, p.typ); err != nil {
		return nil, nil, err
	}
	for _, r := range p.gone {
		gone = append(gone, p.typ.ID(r.Namespace, r.Name))
	}
	return p.suspect, gone, nil
}

// verified notes that a type equals a list, if the list was of the whole type.
func (v *Verifier) verified(t resource.Type, whole bool) {
	if !whole {
		return
	}
	now := time.Now()
	v.mu.Lock()
	defer v.mu.Unlock()
	h := v.history(t)
	h.verified, h.listed = now, now
}
