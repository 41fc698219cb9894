package reflector

import (
	"context"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/clock"
)

// retry is the backoff of retries: 0.8 s at first, twice as long each time, and 30 s at most. client-go begins
// with 0.8 s again every two minutes, which makes some 250 attempts an hour. Its own backoff waits for up to a
// minute.
var retry = wait.Backoff{Duration: 800 * time.Millisecond, Factor: 2, Jitter: 0.5, Cap: 20 * time.Second, Steps: 30}

// newReflector makes a Reflector that logs to quiet, waits by the clock waits, and retries with the given
// backoff.
func newReflector(name string, lw cache.ListerWatcher, store cache.ReflectorStore, quiet logr.Logger, waits clock.Clock, backoff wait.Backoff) *cache.Reflector {
	return cache.NewReflectorWithOptions(lw, nil, store, cache.ReflectorOptions{
		Logger:          &quiet,
		Name:            name,
		TypeDescription: name,
		Clock:           waits,
		Backoff:         &backoff,
	})
}

// stopClock is the real clock, but its waits end early when a context is done. A Reflector that backs off from a
// refused connection does not look at its context. It would delay the end of the process by up to half a minute.
type stopClock struct {
	clock.RealClock
	ctx context.Context
}

// After returns a channel that receives once, after d or when the context is done.
func (c stopClock) After(d time.Duration) <-chan time.Time {
	ctx, cancel := context.WithTimeout(c.ctx, d)
	ch := make(chan time.Time, 1)
	context.AfterFunc(ctx, func() {
		cancel()
		ch <- time.Now()
	})
	return ch
}

// quietLogger returns a logger for a Reflector, with messages at V(2) and errors at V(1). The requests see all
// errors, and decide which of them an operator gets to see.
func quietLogger(log logr.Logger) logr.Logger {
	sink := log.GetSink()
	if sink == nil {
		return logr.Discard()
	}
	return logr.New(quietSink{sink})
}

// quietSink raises the verbosity levels of messages.
type quietSink struct{ logr.LogSink }

// Init does nothing, because the sink beneath is initialised already.
func (s quietSink) Init(logr.RuntimeInfo) {}

// Enabled tells whether Info would log.
func (s quietSink) Enabled(level int) bool { return s.LogSink.Enabled(level + 2) }

// Info logs at a level that is higher by two.
func (s quietSink) Info(level int, msg string, kv ...any) { s.LogSink.Info(level+2, msg, kv...) }

// Error logs at level 1.
func (s quietSink) Error(err error, msg string, kv ...any) {
	if s.LogSink.Enabled(1) {
		s.LogSink.Info(1, msg, append([]any{"err", err}, kv...)...)
	}
}

// WithValues keeps the sink quiet.
func (s quietSink) WithValues(kv ...any) logr.LogSink { return quietSink{s.LogSink.WithValues(kv...)} }

// WithName keeps the sink quiet.
func (s quietSink) WithName(name string) logr.LogSink { return quietSink{s.LogSink.WithName(name)} }
