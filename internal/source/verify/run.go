package verify

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

const (
	// runTimeout bounds a run: a type without a verdict by then has failed.
	runTimeout = 15 * time.Minute
	// maxEnded is how many ended runs are remembered.
	maxEnded = 10
)

// ErrNoMembers says that we are not a member of the ring yet.
var ErrNoMembers = errors.New("this replica has not joined the ring")

// ErrUnknownRun says that no member knows the run, or that it ended too long ago.
var ErrUnknownRun = errors.New("no such verification")

// TypeVerdict is how far one type has come in a run.
type TypeVerdict struct {
	Type string
	// Verdict is Equal when each member's index is equal to the list, Repaired when one was not.
	Verdict Verdict
	// Objects is how many objects the list had, Version its version.
	Objects int
	Version uint64
	// Repaired are the members that had to list the type anew.
	Repaired []string
	// Err says why there is no verdict.
	Err string
}

// Run is a verification of some types by the whole fleet. It is a copy.
type Run struct {
	ID string
	// Member is the member that was asked; Label is how the request called the types, empty for all.
	Member, Label     string
	Started, Finished time.Time
	// Types are sorted by name.
	Types []TypeVerdict
}

// Done tells how many types have their verdict.
func (r Run) Done() int {
	n := 0
	for _, t := range r.Types {
		if t.Verdict != Pending {
			n++
		}
	}
	return n
}

// Running tells whether r has not ended.
func (r Run) Running() bool { return r.Finished.IsZero() }

// running is a run that has not ended.
type running struct {
	member  string
	request Request
	heard   time.Time
	ended   chan struct{}
}

// Start begins a run that verifies types by all members, and returns at once. If a run of the same types is
// under way, Start returns that run.
func (v *Verifier) Start(types []resource.Type, label string) (Run, error) {
	if len(v.opts.Fleet.Members()) == 0 {
		return Run{}, ErrNoMembers
	}
	v.refresh()
	names := make([]string, 0, len(types))
	for _, t := range types {
		names = append(names, t.String())
	}
	slices.Sort(names)
	now := time.Now()
	v.mu.Lock()
	defer v.mu.Unlock()
	for id, r := range v.runs {
		if slices.Equal(r.request.Types, names) {
			return v.snapshot(id, r, now), nil
		}
	}
	id := uuid.NewString()
	v.join(id, v.opts.Member, Request{Types: names, Label: label, Started: now.UTC()}, now)
	v.hurry()
	v.wake.check.Wake()
	return v.snapshot(id, v.runs[id], now), nil
}

// join takes part in a run: we list the types that the ring gives us. The caller holds mu.
func (v *Verifier) join(id, member string, r Request, now time.Time) {
	if v.runs[id] != nil || slices.ContainsFunc(v.ended, func(e Run) bool { return e.ID == id }) || id == "" {
		return
	}
	v.runs[id] = &running{member: member, request: r, heard: now, ended: make(chan struct{})}
	v.opts.Log.Info("Verifying", "id", id, "member", member, "types", len(r.Types))
}

// anyRun tells whether there is a run to take part in.
func (v *Verifier) anyRun() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, s := range v.others {
		if len(s.Runs) > 0 {
			return true
		}
	}
	return len(v.runs) > 0
}

// assign queues the lists of a run that are ours and that no member has made. The caller holds mu.
func (v *Verifier) assign(id string, r *running, now time.Time) {
	for _, name := range r.request.Types {
		if _, made := v.listOf(id, name); made || v.opts.Fleet.Assignee(name) != v.opts.Member {
			continue
		}
		t, known := v.byName[name]
		if known {
			v.queue(job{run: id, typ: t})
		} else {
			v.sayList(id, name, List{Err: "its watch is not well, see the status"}, now)
		}
	}
}

// listOf returns the list of a type that any member has made for a run. The caller holds mu.
func (v *Verifier) listOf(id, typ string) (List, bool) {
	if o, ok := v.told[tellKey{id, typ, true}]; ok {
		return o.list, true
	}
	for _, s := range v.others {
		if l, ok := s.Lists[id][typ]; ok {
			return l, true
		}
	}
	return List{}, false
}

// verdictOf returns how a member's index compared with a run's list of a type. The caller holds mu.
func (v *Verifier) verdictOf(member, id, typ string) Verdict {
	if member != v.opts.Member {
		return v.others[member].Verdicts[id][typ]
	}
	return v.told[tellKey{id, typ, false}].verdict
}

// snapshot returns how far a run has come. The caller holds mu.
func (v *Verifier) snapshot(id string, r *running, now time.Time) Run {
	members := v.opts.Fleet.Members()
	run := Run{ID: id, Member: r.member, Label: r.request.Label, Started: r.request.Started}
	late := now.Sub(r.heard) > runTimeout
	for _, name := range r.request.Types {
		run.Types = append(run.Types, v.typeVerdict(id, name, members, late))
	}
	return run
}

func (v *Verifier) typeVerdict(id, name string, members []string, late bool) TypeVerdict {
	tv := TypeVerdict{Type: name}
	l, made := v.listOf(id, name)
	if l.Err != "" {
		tv.Verdict, tv.Err = Failed, l.Err
		return tv
	}
	tv.Objects, tv.Version = l.Sum.Objects, l.Sum.Version
	waitsFor := ""
	for _, m := range members {
		switch v.verdictOf(m, id, name) {
		case Pending, Failed:
			waitsFor = m
		case Repaired:
			tv.Repaired = append(tv.Repaired, m)
		case Equal:
		}
	}
	switch {
	case made && waitsFor == "" && len(tv.Repaired) > 0:
		tv.Verdict = Repaired
	case made && waitsFor == "" && len(members) > 0:
		tv.Verdict = Equal
	case late:
		tv.Verdict, tv.Err = Failed, "no member has listed it"
		if made {
			tv.Err = "no verdict of " + waitsFor
		}
	}
	return tv
}

// finishRuns joins the runs of all live members, queues our lists for them, and ends complete runs. The caller
// holds mu.
func (v *Verifier) finishRuns(now time.Time) {
	for _, m := range v.opts.Fleet.Members() {
		for id, r := range v.others[m].Runs {
			v.join(id, m, r, now)
		}
	}
	for id, r := range v.runs {
		v.assign(id, r, now)
		run := v.snapshot(id, r, now)
		if run.Done() < len(run.Types) {
			continue
		}
		run.Finished = now.UTC()
		v.ended = append([]Run{run}, v.ended[:min(len(v.ended), maxEnded-1)]...)
		delete(v.runs, id)
		close(r.ended)
		v.hurry()
		v.opts.Log.Info("Verified", "id", id, "types", len(run.Types))
	}
}

// Get returns a run.
func (v *Verifier) Get(id string) (Run, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if r := v.runs[id]; r != nil {
		return v.snapshot(id, r, time.Now()), true
	}
	i := slices.IndexFunc(v.ended, func(e Run) bool { return e.ID == id })
	if i < 0 {
		return Run{}, false
	}
	return v.ended[i], true
}

// Wait waits for the end of a run.
func (v *Verifier) Wait(ctx context.Context, id string) (Run, error) {
	v.mu.Lock()
	r := v.runs[id]
	v.mu.Unlock()
	if r != nil {
		select {
		case <-r.ended:
		case <-ctx.Done():
			return Run{}, ctx.Err() // The error is the caller's own.
		}
	}
	run, ok := v.Get(id)
	if !ok {
		return Run{}, ErrUnknownRun
	}
	return run, nil
}

// Runs returns all known runs: first those under way, then the ended ones, the newest first.
func (v *Verifier) Runs() []Run {
	v.mu.Lock()
	defer v.mu.Unlock()
	var all []Run
	for id, r := range v.runs {
		all = append(all, v.snapshot(id, r, time.Now()))
	}
	slices.SortFunc(all, func(a, b Run) int { return b.Started.Compare(a.Started) })
	return append(all, v.ended...)
}
