package operations

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"
)

const (
	// maxSize bounds the data of the ConfigMap, in bytes. An API server takes a mebibyte; but every member reads the
	// whole ConfigMap with every change.
	maxSize = 256 << 10
	// scheduleKey is the key whose owner starts full operations.
	scheduleKey = "resync"
)

// errNotDue says that another member has run the full operation that was due.
var errNotDue = errors.New("a full resync has ended meanwhile")

// Start begins an operation and returns its state. If an equal one is under way on any member, Start returns that
// one instead. It blocks until the existing operations have been read and the new one is written down, which
// takes two requests to the API server. ctx bounds that, not the operation. It returns [ErrNoMembers], [ErrBusy]
// or [ErrStopped] when the operation cannot begin at that moment.
func (e *Engine) Start(ctx context.Context, r Request) (Operation, error) {
	return e.start(ctx, r, nil)
}

// StartRestored begins a full operation because the cluster has gone back in time, unless any member has begun
// one since a time. It is like [Engine.Start] otherwise.
func (e *Engine) StartRestored(ctx context.Context, since time.Time) error {
	types := e.catalog.Types()
	if len(types) == 0 {
		return e.failed(ErrNoMembers) // The types will be known soon.
	}
	_, err := e.start(ctx, Request{Types: types, Trigger: Restored}, func(doc *document) error {
		for _, r := range doc.records {
			if r.request.Full() && r.startedAt.After(since) {
				return errNotDue
			}
		}
		return nil
	})
	if errors.Is(err, errNotDue) {
		return nil
	}
	return err
}

// start is Start, unless the guard refuses, in view of the operations that exist when the plan is to be written.
func (e *Engine) start(ctx context.Context, r Request, guard func(*document) error) (Operation, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() { // The goroutine ends when start does.
		select {
		case <-e.stopped:
			cancel()
		case <-ctx.Done():
		}
	}()
	select {
	case <-e.stopped:
		return Operation{}, e.failed(ErrStopped)
	case <-ctx.Done():
		return Operation{}, e.failed(ctx.Err())
	case <-e.store.synced:
		if e.isStopped() {
			return Operation{}, e.failed(ErrStopped)
		}
	}
	p, err := e.plan(r.withDefaults())
	if err != nil {
		return Operation{}, e.failed(err)
	}
	started, err := e.enter(ctx, p, guard)
	if err != nil {
		return Operation{}, e.failed(err)
	}
	if started {
		e.metrics.started.WithLabelValues(triggerLabel(p.request.Trigger)).Inc()
		e.opts.Log.Info("Resync started", "operation", p.id, "trigger", string(p.request.Trigger), "parts", len(p.parts),
			"members", len(p.members), "request", p.request.Label, "namespace", p.request.Namespace)
	}
	o, ok := e.Get(p.id)
	if !ok {
		return Operation{}, e.failed(ErrUnknown)
	}
	return o, nil
}

// enter writes a plan under a new ID, unless an equal operation is under way; then the plan gets the ID of that
// operation.
func (e *Engine) enter(ctx context.Context, p *plan, guard func(*document) error) (started bool, err error) {
	err = e.store.update(ctx, true, func(data map[string]string) (bool, error) {
		started = false
		doc := e.decoder.read(data)
		for _, other := range doc.records {
			if other.open() && other.request.equal(other.member, p.request, p.member) {
				p.id = other.id
				return false, nil
			}
		}
		if guard != nil {
			if err := guard(doc); err != nil {
				return false, err
			}
		}
		tidy(data, doc)
		for p.id = newID(p.startedAt); data[opKey(p.id)] != ""; {
			p.id = newID(p.startedAt)
		}
		text, err := p.encode()
		if err != nil {
			return false, err
		}
		data[opKey(p.id)] = text
		if size(data) > maxSize {
			return false, ErrBusy
		}
		started = true
		return true, nil
	})
	return started, err
}

// isStopped tells whether Run has ended.
func (e *Engine) isStopped() bool {
	select {
	case <-e.stopped:
		return true
	default:
		return false
	}
}

// failed adds to an error that the engine was starting an operation.
func (e *Engine) failed(err error) error {
	if e.isStopped() {
		err = ErrStopped
	}
	return fmt.Errorf("starting a resync: %w", err)
}

// plan makes the plan of a request, without an ID.
func (e *Engine) plan(r Request) (*plan, error) {
	e.look()
	e.mu.Lock()
	members := slices.Clone(e.roster.members)
	e.mu.Unlock()
	if !slices.Contains(members, e.opts.Member) {
		return nil, ErrNoMembers
	}
	p := &plan{request: r, member: e.opts.Member, startedAt: time.Now(), members: members}
	weights := make([]Weight, 0, len(r.Types))
	total := 0
	for _, t := range r.Types {
		if r.covers(t) {
			w := Weight{Type: t, Objects: e.catalog.Objects(t, r.Namespace)}
			total += max(w.Objects, 0)
			weights = append(weights, w)
		}
	}
	if r.Scope == Replica {
		p.parts = planReplica(e.opts.Member, weights)
		if r.Force {
			p.parts = append(p.parts, planHeld([]string{e.opts.Member}, true)...)
		}
		return p, nil
	}
	for i := range weights {
		w := &weights[i]
		if r.Namespace == "" && w.Type.Namespaced && len(members) > 1 && (w.Objects*2*len(members) > total || w.Objects > PartObjects) {
			w.Namespaces = e.catalog.Namespaces(w.Type)
		}
	}
	var err error
	p.parts, err = Plan(members, e.opts.Format, weights)
	if r.Force {
		p.parts = append(p.parts, planHeld(members, false)...)
	}
	return p, err
}

// newID names an operation that begins now. IDs are short, sort by time, and have no dots.
func newID(now time.Time) string {
	const random = 36 * 36 * 36 * 36
	return strconv.FormatInt(now.UnixMilli(), 36) + "-" + strconv.FormatInt(random+rand.Int64N(random), 36)[1:]
}
