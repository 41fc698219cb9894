package sim

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resync/operations"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/handoff"
)

// operation is a resync that a member was asked for, and the world when it began.
type operation struct {
	id      string
	request operations.Request
	m       *member
	began   time.Time
	version uint64
	changes int // of the ring
	stay    int
}

// served are the types that a member believes to be served. The caller holds mu.
func (m *member) served() []resource.Type {
	if m.unseen {
		return []resource.Type{pods}
	}
	return []resource.Type{pods, gadgets}
}

// request makes the request that a word stands for.
func (w *World) request(m *member, what string) (operations.Request, error) {
	w.mu.Lock()
	types := m.served()
	w.mu.Unlock()
	switch what {
	case "all":
		return operations.Request{Types: types}, nil
	case "held":
		return operations.Request{Types: types, Force: true}, nil
	case "own":
		return operations.Request{Types: types, Scope: operations.Replica}, nil
	case "pods":
		return operations.Request{Types: []resource.Type{pods}, Label: what}, nil
	case "gadgets":
		return operations.Request{Types: []resource.Type{gadgets}, Label: what}, nil
	case "a", "b":
		return operations.Request{Types: []resource.Type{pods}, Label: "pods", Namespace: what}, nil
	}
	return operations.Request{}, fmt.Errorf("cannot resync %q, want all, held, own, pods, gadgets, or pods of the namespace a or b", what)
}

// resync asks a member to send again. Once the operation has ended, each of its objects has been sent since.
func (w *World) resync(m *member, what string) (operations.Operation, error) {
	request, err := w.request(m, what)
	if err != nil {
		return operations.Operation{}, err
	}
	w.mu.Lock()
	r := operation{request: request, m: m, began: time.Now(), version: w.version, changes: w.changes, stay: m.stay}
	w.mu.Unlock()
	o, err := m.peer.Resyncs().Start(m.ctx, request)
	w.say("%s is to send %s again: %s, %v", m.name, what, o.ID, err)
	if r.id = o.ID; err == nil && !o.StartedAt.Before(r.began) { // It is no operation that another request has begun.
		w.late.Go(func() { w.follow(r) }) // Ends with the operation, or with the world.
	}
	return o, err
}

// follow waits until an operation has ended, and judges it.
func (w *World) follow(r operation) {
	for ; ; time.Sleep(100 * time.Millisecond) {
		w.mu.Lock()
		over := w.ended
		w.mu.Unlock()
		if over {
			return
		}
		for _, m := range w.alive() {
			o, _ := m.peer.Resyncs().Get(r.id)
			if o.Status != operations.Done {
				continue
			}
			if unsent := w.unsent(r, o); unsent != "" {
				w.t.Errorf("%s says that %s is done, and since it began at %.2f the receiver has not got %s\n%s",
					m.name, r.id, r.began.Sub(w.began).Seconds(), unsent, w.tell(unsent))
			}
			return
		}
	}
}

// unsent returns the objects of an operation that the receiver has not got since it began. It leaves out objects that
// have changed since: their last state may be on its way. It also leaves out types that the operation names as failed.
// What is limited to a member's own objects is judged only if the ring has stayed the same, and no handoff was under
// way: until a member has published its view, it leaves alone what another's claim had.
func (w *World) unsent(r operation, o operations.Operation) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	owner, own := w.agreed.owner(w.format), r.request.Scope == operations.Replica
	if own && (r.changes%2 == 1 || w.changes != r.changes || r.m.stay != r.stay) {
		return ""
	}
	var unsent []string
	for _, name := range slices.Sorted(maps.Keys(w.objects)) {
		typ := typeOf(name)
		id := typ.ID(namespaceOf(name), name)
		switch {
		case !slices.Contains(r.request.Types, typ) || o.Failures[typ.String()] != "":
		case r.request.Namespace != "" && r.request.Namespace != handoff.NamespaceOf(id):
		case own && owner(typ, id) != r.m.name:
		case w.objects[name].version <= r.version && w.sentAt[id].Before(r.began):
			unsent = append(unsent, string(id))
		}
	}
	if len(unsent) == 0 {
		return ""
	}
	return fmt.Sprintf("%s of version %d", strings.Join(unsent, " , "), r.version)
}

// alive returns the processes that have not ended, by name.
func (w *World) alive() []*member {
	w.mu.Lock()
	defer w.mu.Unlock()
	var alive []*member
	for _, name := range slices.Sorted(maps.Keys(w.members)) {
		if m := w.members[name]; m.ctx.Err() == nil {
			alive = append(alive, m)
		}
	}
	return alive
}

// openResyncs says which operations have not ended, which of them have not been closed, or where two members see two
// ends. What is limited to the objects of a member that is gone waits for it, longer than a storm's peace lasts.
func (w *World) openResyncs() string {
	w.mu.Lock()
	view := w.agreed.view
	w.mu.Unlock()
	var first []operations.Operation
	waits := map[string]bool{}
	for i, m := range w.alive() {
		all := m.peer.Resyncs().List()
		for j, o := range all {
			all[j].Request.Types = nil // The ended have none.
			switch {
			case o.Finished():
			case o.Request.Scope == operations.Replica && !slices.Contains(view, o.Member):
				waits[o.ID] = true
			default:
				return fmt.Sprintf("%s sees that %s", m.name, describe(o))
			}
		}
		if i == 0 {
			first = all
		}
		if d := cmp.Diff(first, all); d != "" {
			return fmt.Sprintf("%s sees other operations than the first member:\n%s", m.name, d)
		}
	}
	for key := range w.maps.Data("ring-resyncs") {
		if id, run := strings.CutPrefix(key, "run."); run {
			if id, _, _ = strings.Cut(id, "."); !waits[id] {
				return "it is not closed: " + key
			}
		}
	}
	return ""
}

// describe returns an operation in one line, without what differs between two runs of a scenario.
func describe(o operations.Operation) string {
	what := o.Request.Label
	switch {
	case what == "" && o.Request.Scope == operations.Replica:
		what = "own of " + o.Member
	case what == "" && o.Request.Force:
		what = "held"
	case what == "":
		what = "all"
	case o.Request.Namespace != "":
		what += " of " + o.Request.Namespace
	}
	var line strings.Builder
	fmt.Fprintf(&line, "%s is %s", what, o.Status)
	if o.Request.Trigger != operations.Requested {
		fmt.Fprintf(&line, " by %s", o.Request.Trigger)
	}
	fmt.Fprintf(&line, ", %d of %d types; parts done/planned:", o.TypesDone, o.Types)
	for _, s := range o.Shares {
		fmt.Fprintf(&line, " %s %d/%d", s.Member, s.Done, s.Parts)
	}
	for _, typ := range slices.Sorted(maps.Keys(o.Failures)) {
		fmt.Fprintf(&line, "; %s: %s", typ, o.Failures[typ])
	}
	if o.Message != "" {
		line.WriteString("; " + o.Message)
	}
	return line.String()
}

// doResync runs the command resync: the members are asked at one moment.
func (w *World) doResync(args []string) (string, error) {
	if len(args) < 3 || args[1] != "at" {
		return "", fmt.Errorf("want: resync WHAT at M..., not %v", args)
	}
	begun := make([]operations.Operation, len(args)-2)
	errs := make(chan error, len(begun))
	for i, name := range args[2:] {
		m, err := w.member([]string{name})
		if err != nil {
			return "", err
		}
		go func() {
			var err error
			begun[i], err = w.resync(m, args[0])
			errs <- err
		}()
	}
	for range begun {
		if err := <-errs; err != nil {
			return "", err
		}
	}
	for _, o := range begun {
		if o.ID != begun[0].ID {
			return fmt.Sprintf("%s and %s are two operations\n", o.ID, begun[0].ID), nil
		}
	}
	return describe(begun[0]) + "\n", nil
}

// doOperations runs the command operations: it prints what members know, those that ended first before the others. With
// no members, it waits until all has ended, for all members.
func (w *World) doOperations(args []string) (string, error) {
	if len(args) == 0 {
		if amiss := w.awaitFor(10*time.Minute, w.openResyncs); amiss != "" {
			return "", fmt.Errorf("after ten minutes: %s", amiss)
		}
		if alive := w.alive(); len(alive) > 0 {
			args = []string{alive[0].name}
		}
	} else if args[0] == "at" {
		args = args[1:]
	}
	var out strings.Builder
	for _, name := range args {
		m, err := w.member([]string{name})
		if err != nil {
			return "", err
		}
		all := m.peer.Resyncs().List()
		slices.SortStableFunc(all, func(a, b operations.Operation) int {
			return a.FinishedAt.Compare(b.FinishedAt)
		})
		for _, o := range all {
			out.WriteString(describe(o) + "\n")
		}
	}
	if out.Len() == 0 {
		return "there is no operation\n", nil
	}
	return out.String(), nil
}

// awaitFor waits until amiss returns nothing, and returns its last text.
func (w *World) awaitFor(longest time.Duration, amiss func() string) string {
	ctx, cancel := context.WithTimeout(w.t.Context(), longest)
	defer cancel()
	for amiss() != "" && ctx.Err() == nil {
		time.Sleep(time.Second)
	}
	return amiss()
}
