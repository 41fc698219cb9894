package watch

import (
	"context"
	"time"

	apiwatch "k8s.io/apimachinery/pkg/watch"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/kube/reflector"
)

// hooks returns the hooks that note the events and the end of a stream.
func (l *requester) hooks(ctx context.Context) reflector.Hooks {
	m, metrics := l.w.m, l.w.m.metrics
	return reflector.Hooks{
		Event: func(ev apiwatch.Event) {
			metrics.events.WithLabelValues(string(ev.Type)).Inc()
			if ev.Type != apiwatch.Error {
				l.w.active()
			}
		},
		Listed: func(took time.Duration) {
			m.reach.Answered()
			metrics.lists.Observe(took.Seconds())
		},
		Failed: func(err error, listing bool) { l.streamFailed(ctx, err, listing) },
		Silent: func() {
			l.w.restarted(restartStale)
			m.opts.Streams.Silent(reflector.Objects)
		},
		GivenUp: func() {
			l.w.restarted(restartUnlisted)
			m.opts.Streams.GivenUp(reflector.Objects)
		},
	}
}

// streamFailed notes an error of a stream. An error in the middle of a list is only counted: the Reflector tries
// a plain list next, and the error of that list decides. An expired version is no failure either, because a list
// follows.
func (l *requester) streamFailed(ctx context.Context, err error, listing bool) {
	if ctx.Err() != nil {
		return
	}
	reason := ReasonFor(err)
	l.w.deny(err)
	l.w.m.metrics.errors.WithLabelValues(string(reason)).Inc()
	if !listing && reason != Expired {
		l.w.fail(err)
	}
}
