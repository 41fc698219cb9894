package verify

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/index"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/watch"
)

const (
	// listTimeout bounds one list. API servers keep a list open for about 5 minutes.
	listTimeout = 10 * time.Minute
	// confirmAfter is the pause before the second list, after a list that differs. By then, an API that had just
	// come back, or a proxy that had cut an answer short, answers correctly.
	confirmAfter = 2 * time.Second
	// listPatience is [patience] for a list of our own. It can be shorter, because a second list follows.
	listPatience = 5 * time.Second
	// retryAfter is the pause after a failed list of a type.
	retryAfter = time.Minute
)

// sums returns the sums of all types in the index.
func (v *Verifier) sums() map[string]index.Sum {
	v.mu.Lock()
	names := make(map[resource.Type]string, len(v.types)) // saves making each name anew every few seconds
	for t, h := range v.types {
		names[t] = h.name
	}
	v.mu.Unlock()
	all := make(map[string]index.Sum, len(names))
	v.opts.Index.Summed(func(t resource.Type, s index.Sum) {
		name, known := names[t]
		if !known {
			name = t.String()
		}
		all[name] = s
	})
	return all
}

func equal(a, b Statement) bool {
	return a.Filter == b.Filter && maps.Equal(a.Sums, b.Sums) && reflect.DeepEqual(a.Lists, b.Lists) &&
		reflect.DeepEqual(a.Verdicts, b.Verdicts) && reflect.DeepEqual(a.Runs, b.Runs)
}

// listDue makes the lists that runs want, and the scheduled list that has waited for longest.
func (v *Verifier) listDue(ctx context.Context) time.Duration {
	for ctx.Err() == nil {
		j, ok := v.nextJob()
		if !ok {
			break
		}
		v.listFor(ctx, j)
	}
	if t, ok := v.nextScheduled(time.Now()); ok && ctx.Err() == nil {
		v.listFor(ctx, job{typ: t})
		return 0
	}
	if v.opts.Interval <= 0 {
		return restFor
	}
	return min(restFor, max(v.opts.Interval/100, tick))
}

func (v *Verifier) nextJob() (job, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.pending) == 0 {
		return job{}, false
	}
	v.listing, v.pending = v.pending[0], v.pending[1:]
	return v.listing, true
}

// nextScheduled returns our type that has been due for longest. The first turn of a type comes within an
// interval of the start. The hash of its name gives the moment, so that lists are spread. A member that takes a
// type over knows when the type was last listed.
func (v *Verifier) nextScheduled(now time.Time) (resource.Type, bool) {
	if v.opts.Interval <= 0 {
		return resource.Type{}, false
	}
	watched := v.refresh()
	v.mu.Lock()
	defer v.mu.Unlock()
	type turn struct {
		t     resource.Type
		since time.Duration
	}
	var due []turn
	for _, w := range watched {
		if over := now.Sub(dueAt(w, v.history(w.Type), v.began, v.opts.Interval)); over >= 0 {
			due = append(due, turn{w.Type, over})
		}
	}
	slices.SortFunc(due, func(a, b turn) int { return cmp.Compare(b.since, a.since) })
	for _, d := range due {
		if v.opts.Fleet.Assignee(d.t.String()) == v.opts.Member {
			return d.t, true
		}
	}
	return resource.Type{}, false
}

// dueAt returns when a type is to be listed next.
func dueAt(w Watched, h *history, began time.Time, interval time.Duration) time.Time {
	if !h.listed.IsZero() {
		return h.listed.Add(interval)
	}
	first := began
	if w.Listed.After(first) {
		first = w.Listed
	}
	spread := time.Duration(xxhash.Sum64String(h.name) % uint64(interval))
	return first.Add(spread)
}

// listFor makes a list, and a second one if the first differs, and tells the other members of the result.
func (v *Verifier) listFor(ctx context.Context, j job) {
	name := j.typ.String()
	ctx, span := v.opts.Tracer.Verification(ctx, name)
	sum, result, err := v.hold(ctx, j.typ)
	if err == nil && result == different {
		// One list alone proves no difference: see confirmAfter.
		if err = wait(ctx, confirmAfter); err == nil {
			sum, result, err = v.hold(ctx, j.typ)
		}
	}
	span.Objects(sum.Objects)
	if err != nil {
		span.End("failed", err.Error())
	} else {
		span.End(result.String(), "")
	}
	if ctx.Err() != nil {
		return
	}
	now := time.Now()
	v.mu.Lock()
	defer v.mu.Unlock()
	v.listing = job{}
	h := v.history(j.typ)
	if err != nil {
		v.metrics.failures.count(j.typ)
		v.opts.Log.V(1).Info("A list to verify by failed, which proves nothing", "resource", name, "err", err.Error())
		h.listed = now.Add(min(retryAfter, v.opts.Interval) - v.opts.Interval)
		if j.run != "" {
			v.sayList(j.run, name, List{Err: err.Error()}, now)
		}
		return
	}
	v.metrics.lists.Inc()
	h.listed = now
	v.sayList(j.run, name, List{Sum: sum}, now)
	c := claim{source: FromList, member: v.opts.Member, run: j.run, sum: sum, heard: now}
	if result != different {
		h.settled(c, now)
		v.sayVerdict(j.run, name, Equal, now)
		return
	}
	c.heard = now.Add(-patience) // the claim has waited already
	h.take(c)
	v.wake.check.Wake()
}

var errNoVersion = errors.New("its versions are no numbers, so there is nothing to compare at")

// hold lists a type, waits until the index reaches the version of the list, and compares the two. It returns the
// sum of the list, and same or different.
func (v *Verifier) hold(ctx context.Context, t resource.Type) (index.Sum, comparison, error) {
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	var listed index.Sum
	ours, known := uint64(0), false
	note := func() { // called after each page, because the index may have forgotten the version by the end of the list
		if hash, reach := v.opts.Index.SumAt(t, listed.Version); !known && reach == index.Reached {
			ours, known = hash, true
		}
	}
	version, err := v.opts.Lister.States(ctx, t, func(version uint64, states []watch.State) error {
		listed.Version = version
		for _, o := range states {
			if !v.opts.Index.LeftOut(t, o.Namespace, o.Name) {
				listed.Add(o.Namespace, o.Name, o.Version)
			}
		}
		note()
		return nil
	})
	switch {
	case err != nil:
		return index.Sum{}, waiting, fmt.Errorf("listing %s: %w", t, err)
	case version == 0:
		return index.Sum{}, waiting, errNoVersion
	}
	for began := time.Now(); ; {
		note()
		result := compare(v.opts.Index, t, listed)
		switch {
		case result == same || known && ours == listed.Hash:
			return listed, same, nil
		case known || time.Since(began) >= listPatience:
			return listed, different, nil
		case result == forgotten:
			return index.Sum{}, waiting, fmt.Errorf("%s changes too fast to be compared", t)
		}
		if err := wait(ctx, checkEvery/2); err != nil {
			return index.Sum{}, waiting, err
		}
	}
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err() // The caller wraps it, or ends.
	}
}
