package app

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/ownership"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/pipeline"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resync"
)

// noteboard is where members write what all are to know; [membership.Membership] is one.
type noteboard interface {
	SetNote(key, value string)
	NotesSeen() bool
	Incarnation() string
	Notices() []ownership.Notice
}

// announcer makes known, for one target, what we send for others. It implements [resync.Windows].
type announcer struct {
	board  noteboard
	member string
	note   string
	settle time.Duration
	answer time.Duration // how long the others may take to answer

	mu     sync.Mutex // guards what follows; SetNote is called with it held
	serial int
	said   []announcement // what our note holds

	ours    sync.Mutex // guards windows; taken last, for the board calls noted under a lock of its own
	windows map[*ajar]bool
}

// ajar is one of our windows.
type ajar struct {
	a           *announcer
	id          string
	permit      pipeline.Permit
	incarnation string
	alone       bool // nobody else was there to be told
}

// errUnanswered says that some member has not said that it knows of a window.
var errUnanswered = errors.New("another replica has not answered; a resync waits until all know of it")

func newAnnouncer(board noteboard, member, key string, settle, answer time.Duration) *announcer {
	return &announcer{board: board, member: member, note: windowNote + key, settle: settle, answer: answer, windows: make(map[*ajar]bool)}
}

// Open implements [resync.Windows].
func (a *announcer) Open(ctx context.Context, t resource.Type) (resync.Window, error) {
	w := &ajar{a: a, incarnation: a.board.Incarnation(), alone: alone(a.board.Notices(), a.member)}
	if !w.alone {
		a.mu.Lock()
		a.serial++
		w.id = w.incarnation + "/" + strconv.Itoa(a.serial)
		a.say(append(slices.Clone(a.said), announcement{ID: w.id, Types: []string{t.String()}}))
		a.mu.Unlock()
		if err := a.answered(ctx); err != nil {
			w.Close(true)
			return nil, err
		}
	}
	w.permit.Open()
	a.ours.Lock()
	a.windows[w] = true
	a.ours.Unlock()
	a.noted(a.board.Incarnation(), a.board.Notices()) // what has changed since the beginning
	return w, nil
}

// answered waits until all members have seen our note.
func (a *announcer) answered(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, a.answer, errUnanswered)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !a.board.NotesSeen() {
		select {
		case <-ctx.Done():
			return context.Cause(ctx) //nolint:wrapcheck // The caller says what it was waiting for.
		case <-tick.C:
		}
	}
	return nil
}

// alone tells whether we are the only member.
func alone(all []ownership.Notice, member string) bool {
	return len(all) == 1 && all[0].Member == member
}

// say replaces the note. The caller holds mu.
func (a *announcer) say(said []announcement) {
	a.said = said
	if len(said) == 0 {
		a.board.SetNote(a.note, "")
		return
	}
	text, err := json.Marshal(said)
	if err != nil { // Strings and booleans have an encoding.
		return
	}
	a.board.SetNote(a.note, string(text))
}

// noted revokes what is void: all windows when our stay in the ring has ended, those of which nobody was told when
// somebody is there now.
func (a *announcer) noted(self string, all []ownership.Notice) {
	a.ours.Lock()
	defer a.ours.Unlock()
	for w := range a.windows {
		if w.incarnation != self || w.alone && !alone(all, a.member) {
			w.permit.Revoke()
		}
	}
}

// Permit implements [resync.Window].
func (w *ajar) Permit() *pipeline.Permit { return &w.permit }

// Close implements [resync.Window].
func (w *ajar) Close(arrived bool) {
	w.permit.Revoke()
	a := w.a
	a.ours.Lock()
	delete(a.windows, w)
	a.ours.Unlock()
	if w.alone {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	i := slices.IndexFunc(a.said, func(o announcement) bool { return o.ID == w.id })
	if i < 0 {
		return
	}
	if arrived && !w.permit.Doubtful() {
		a.say(slices.Delete(slices.Clone(a.said), i, i+1))
		return
	}
	said := slices.Clone(a.said)
	said[i].Doubt = true
	a.say(said)
	time.AfterFunc(a.settle, func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.say(slices.DeleteFunc(slices.Clone(a.said), func(o announcement) bool { return o.ID == w.id }))
	})
}
