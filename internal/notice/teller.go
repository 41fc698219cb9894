package notice

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/record"
)

const (
	// lookEvery is the time between two looks at the situation. A state that comes and goes in between is of no
	// interest to a person.
	lookEvery = time.Second
	// noteMax is the length of a note; the API server takes 1,024 bytes.
	noteMax = 1000
	// component is the name under which Events are written.
	component = "k8s-vectordb-sync"
)

// Options configure a [Teller]. All are required but Log.
type Options struct {
	// Member is the name of this replica.
	Member string
	// Look returns the situation. One goroutine calls it, once a second, and it must not block.
	Look func() Situation
	// Speaks tells whether this member is the one that speaks for the fleet. known is false while the ring forms, as
	// it does after a restore; news of that time is told afterwards.
	Speaks func() (speaks, known bool)
	// Regarding is the object to which the Events belong.
	Regarding func(ctx context.Context) *corev1.ObjectReference
	// Log takes one line when Events may not be written.
	Log logr.Logger
}

// Teller writes Events.
type Teller struct {
	opts    Options
	watcher Watcher
}

// NewTeller returns a teller that runs with [Teller.Run].
func NewTeller(opts Options) *Teller { return &Teller{opts: opts} }

// Run writes Events to the API server until ctx ends.
func (t *Teller) Run(ctx context.Context, events corev1client.EventsGetter) error {
	broadcaster := record.NewBroadcaster(record.WithContext(ctx))
	defer broadcaster.Shutdown()
	broadcaster.StartRecordingToSink(&sink{EventSink: &corev1client.EventSinkImpl{Interface: events.Events("")}, log: t.opts.Log})
	t.tell(ctx, broadcaster.NewRecorder(runtime.NewScheme(), corev1.EventSource{Component: component, Host: t.opts.Member}))
	return nil
}

// tell looks at the situation, and records the news, until ctx ends.
func (t *Teller) tell(ctx context.Context, recorder record.EventRecorder) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			speaks, known := t.opts.Speaks()
			if !known {
				continue
			}
			for _, n := range t.watcher.Look(t.opts.Look(), now) {
				if n.Own || speaks {
					t.record(ctx, recorder, n)
				}
			}
		}
	}
}

func (t *Teller) record(ctx context.Context, recorder record.EventRecorder, n Notice) {
	kind := corev1.EventTypeNormal
	if n.Warning {
		kind = corev1.EventTypeWarning
	}
	recorder.Event(t.opts.Regarding(ctx), kind, n.Reason, short(n.Note))
}

// short cuts a note that the API server would refuse.
func short(note string) string {
	if len(note) <= noteMax {
		return note
	}
	return strings.ToValidUTF8(note[:noteMax], "") + "…"
}

// sink writes Events, and accepts a refusal as an answer: without the permission, the rest works as with it.
type sink struct {
	record.EventSink

	log  logr.Logger
	once sync.Once
}

// Create implements [record.EventSink].
func (s *sink) Create(e *corev1.Event) (*corev1.Event, error) {
	written, err := s.EventSink.Create(e)
	return s.unlessRefused(e, written, err)
}

// Patch implements [record.EventSink].
func (s *sink) Patch(e *corev1.Event, data []byte) (*corev1.Event, error) {
	written, err := s.EventSink.Patch(e, data)
	return s.unlessRefused(e, written, err)
}

// unlessRefused logs once that Events may not be written, and treats a refused one as written.
func (s *sink) unlessRefused(e, written *corev1.Event, err error) (*corev1.Event, error) {
	if !apierrors.IsForbidden(err) {
		return written, err
	}
	s.once.Do(func() {
		s.log.Info("Events may not be written, so what happens is in the log, the metrics and the status alone", "reason", err.Error())
	})
	return e, nil
}
