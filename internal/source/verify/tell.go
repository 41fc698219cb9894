package verify

import (
	"context"
	"maps"
	"time"
)

// tellLoop tells the others our statement.
type tellLoop struct {
	v    *Verifier
	last Statement // the statement that was told last
	at   time.Time // when it was told
}

func (l *tellLoop) step(ctx context.Context) time.Duration {
	v, now := l.v, time.Now()
	v.mu.Lock()
	urgent := v.urgent
	v.mu.Unlock()
	pause := tellEvery
	if urgent {
		pause = tick
	}
	if wait := pause - now.Sub(l.at); wait > 0 {
		return wait
	}
	members := v.opts.Fleet.Members()
	if len(members) == 0 {
		return tick
	}
	v.refresh()
	l.at = now
	s := v.statement(now)
	if len(members) == 1 {
		return tellEvery // There is no other member.
	}
	if s.Sums = v.sums(); equal(s, l.last) {
		return tellEvery // The others know it.
	}
	if err := v.opts.Teller.Tell(ctx, s); err != nil {
		if ctx.Err() == nil {
			v.opts.Log.Error(err, "The statement of this member could not be written")
		}
		v.mu.Lock()
		v.urgent = v.urgent || urgent
		v.mu.Unlock()
		return tick
	}
	l.last = s
	return tellEvery
}

// statement returns our statement without the sums.
func (v *Verifier) statement(now time.Time) Statement {
	s := Statement{Filter: v.opts.Filter}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.urgent = false
	maps.DeleteFunc(v.told, func(k tellKey, o told) bool { return now.Sub(o.since) > keepTold && v.runs[k.run] == nil })
	for k, o := range v.told {
		if k.isList {
			put(&s.Lists, k.run, k.typ, o.list)
		} else {
			put(&s.Verdicts, k.run, k.typ, o.verdict)
		}
	}
	for id, r := range v.runs {
		if r.member == v.opts.Member {
			if s.Runs == nil {
				s.Runs = make(map[string]Request)
			}
			s.Runs[id] = r.request
		}
	}
	return s
}
