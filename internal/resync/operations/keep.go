package operations

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	// lookEvery is the interval at which the engine by itself asks for the members and the readiness.
	lookEvery = time.Second
	// markPause is the least time between two writes of one member, and each member adds sharePause to it. So a
	// fleet of any size writes about twice a second. A late mark delays only a caller that waits for the end.
	markPause  = time.Second
	sharePause = 500 * time.Millisecond
	// idleFactor is the factor by which a member writes less often while only a progress bar moves.
	idleFactor = 5
	// firstRetry and lastRetry bound the wait after a write that failed.
	firstRetry = time.Second
	lastRetry  = 15 * time.Second
)

// keep writes until ctx ends: our progress, operations that have ended, and those that are due.
func (e *Engine) keep(ctx context.Context) {
	var retry time.Duration // 0: the last write succeeded
	var after time.Time     // nothing is written before
	for ctx.Err() == nil {
		e.look()
		e.work.Wake() // The member may have become ready.
		if !time.Now().Before(after) {
			err := e.doChores(ctx)
			switch {
			case ctx.Err() != nil:
				return
			case err == nil && retry > 0:
				e.opts.Log.Info("Progress of resyncs is written again")
				retry = 0
			case err != nil && retry == 0:
				e.opts.Log.Error(err, "Progress of resyncs cannot be written; trying again")
				fallthrough
			case err != nil:
				retry = min(max(2*retry, firstRetry), lastRetry)
				after = time.Now().Add(retry)
			}
		}
		wait := lookEvery
		if left := time.Until(after); left > 0 {
			wait = min(wait, left)
		} else if at, ok := e.publishAt(); ok {
			wait = min(wait, max(time.Until(at), 0))
		}
		select {
		case <-ctx.Done():
		case <-e.chores:
		case <-time.After(wait):
		}
	}
}

// doChores does all chores that are due. If one fails, the API server is the likely cause, so the others wait.
func (e *Engine) doChores(ctx context.Context) error {
	for _, do := range []func(context.Context) error{e.publishIfDue, e.closeEnded, e.startDue} {
		if err := do(ctx); err != nil {
			return err
		}
	}
	return nil
}

// publishAt returns when our progress is to be written; ok is false when all of it has been written.
func (e *Engine) publishAt() (at time.Time, ok bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.shares.due(max(markPause, time.Duration(len(e.roster.members))*sharePause))
}

// due returns when our progress is to be written, after a pause unless a caller waits for the end.
func (s *shares) due(pause time.Duration) (at time.Time, ok bool) {
	urgent, final := false, false
	for _, w := range s.works {
		ok = ok || w.revision > w.published
		urgent = urgent || w.urgent > w.published
		final = final || w.final > w.published
	}
	switch {
	case !ok:
		return time.Time{}, false
	case final:
		return s.written, true
	case urgent:
		return s.written.Add(pause), true
	default:
		return s.written.Add(idleFactor * pause), true
	}
}

func (e *Engine) publishIfDue(ctx context.Context) error {
	if at, ok := e.publishAt(); !ok || time.Now().Before(at) {
		return nil
	}
	return e.publish(ctx)
}

// publish writes our progress.
func (e *Engine) publish(ctx context.Context) error {
	revisions := make(map[string]int)
	err := e.store.update(ctx, false, func(data map[string]string) (bool, error) {
		doc := e.decoder.read(data)
		clear(revisions)
		change := false
		e.mu.Lock()
		defer e.mu.Unlock()
		for id, w := range e.shares.works {
			if w.revision == w.published {
				continue
			}
			revisions[id] = w.revision
			r := doc.records[id]
			if r == nil || r.result != nil {
				continue
			}
			if p, ok := r.runs[e.opts.Member]; ok {
				w.absorb(p)
			}
			text, err := w.encode()
			if err != nil {
				return false, err
			}
			change = change || data[runKey(id, e.opts.Member)] != text
			data[runKey(id, e.opts.Member)] = text
		}
		return change, nil
	})
	if err != nil {
		return fmt.Errorf("writing our progress: %w", err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for id, revision := range revisions {
		if w := e.shares.works[id]; w != nil {
			w.published = max(w.published, revision)
		}
	}
	e.shares.written = time.Now()
	return nil
}

// closeEnded closes operations that have ended or must be given up, as far as we are responsible for them.
func (e *Engine) closeEnded(ctx context.Context) error {
	var errs []error
	for id, message := range e.toClose() {
		errs = append(errs, e.close(ctx, id, message))
	}
	return errors.Join(errs...)
}

// toClose returns the operations that we have to close, with the reason if one is given up.
func (e *Engine) toClose() map[string]string {
	e.mu.Lock()
	defer e.mu.Unlock()
	now, ids := time.Now(), make(map[string]string)
	for id := range e.missing {
		if r := e.doc.records[id]; r == nil || !r.open() || e.roster.live(r.member) {
			delete(e.missing, id)
		}
	}
	for id, r := range e.doc.records {
		if r.ended() && e.roster.responsible(id) {
			ids[id] = ""
		}
		if !r.open() || r.request.Scope != Replica || e.roster.live(r.member) || len(e.roster.members) == 0 {
			continue
		}
		since, ok := e.missing[id]
		if !ok {
			since = now
			e.missing[id] = now
		}
		if now.Sub(since) >= e.opts.GiveUpAfter && e.roster.responsible(id) {
			ids[id] = r.gone(e.opts.GiveUpAfter)
		}
	}
	return ids
}

// close closes an operation, unless another member has closed it meanwhile.
func (e *Engine) close(ctx context.Context, id, message string) error {
	var closed *plan
	err := e.store.update(ctx, false, func(data map[string]string) (bool, error) {
		closed = nil
		r := e.decoder.read(data).records[id]
		if r == nil || r.result != nil || (message == "" && !r.ended()) {
			return false, nil
		}
		closed = r.close(message, time.Now())
		text, err := closed.encode()
		if err != nil {
			return false, err
		}
		data[opKey(id)] = text
		if r.request.Full() {
			data[lastKey] = closed.result.FinishedAt.Format(time.RFC3339Nano)
		}
		tidy(data, e.decoder.read(data))
		return true, nil
	})
	if err != nil {
		return fmt.Errorf("closing resync %s: %w", id, err)
	}
	if closed == nil {
		return nil
	}
	res := closed.result
	e.metrics.ended.WithLabelValues(string(res.Status), triggerLabel(closed.request.Trigger)).Inc()
	e.opts.Log.Info("Resync ended", "operation", id, "status", string(res.Status), "objects", res.Offered, "failedTypes", res.Failed,
		"duration", res.FinishedAt.Sub(closed.startedAt).Round(time.Millisecond).String(), "reason", message)
	return nil
}

// schedule holds the end of the last full operation. It is guarded by Engine.mu.
type schedule struct {
	last time.Time // never later than the time at which we learned of it
	said time.Time // the written time
}

// take takes the written time.
func (s *schedule) take(said, now time.Time) {
	if said.Equal(s.said) {
		return
	}
	s.said, s.last = said, said
	if said.After(now) {
		s.last = now // A clock that was ahead, or an edit by hand, must not end the schedule.
	}
}

// startDue starts the full operation that is due, if we are responsible for it.
func (e *Engine) startDue(ctx context.Context) error {
	if e.opts.Interval <= 0 || !e.opts.Ready() {
		return nil
	}
	e.mu.Lock()
	at, ok := e.next()
	said, ours := e.schedule.said, e.roster.responsible(scheduleKey) && e.roster.live(e.opts.Member)
	e.mu.Unlock()
	switch {
	case !ours:
		return nil
	case said.IsZero():
		return e.startSchedule(ctx)
	case !ok || time.Now().Before(at):
		return nil
	}
	types := e.catalog.Types()
	if len(types) == 0 {
		return nil // The types will be known soon.
	}
	_, err := e.start(ctx, Request{Types: types, Trigger: Scheduled}, func(doc *document) error {
		if !doc.last.Equal(said) {
			return errNotDue
		}
		return nil
	})
	if err != nil && !errors.Is(err, errNotDue) && !errors.Is(err, ErrNoMembers) {
		return err
	}
	return nil
}

// startSchedule begins to count: the first sending of a new release counts as its first resync.
func (e *Engine) startSchedule(ctx context.Context) error {
	err := e.store.update(ctx, true, func(data map[string]string) (bool, error) {
		if !e.decoder.read(data).last.IsZero() {
			return false, nil
		}
		data[lastKey] = time.Now().UTC().Format(time.RFC3339Nano)
		return true, nil
	})
	if err != nil {
		return fmt.Errorf("beginning the schedule: %w", err)
	}
	return nil
}
