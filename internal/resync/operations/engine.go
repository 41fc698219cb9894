package operations

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/util/validation"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/kube/reflector"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/ring"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/wake"
)

// Runner sends parts.
type Runner interface {
	// Take takes parts of one operation that are then run one after another: no other member sends any object of
	// them until the batch ends. It blocks until it has taken the parts, or ctx ends. An error while ctx has not
	// ended is final for the first part.
	Take(ctx context.Context, op Request, parts []Part) (Batch, error)
}

// Batch is some parts that are run together. It is used by one goroutine.
type Batch interface {
	// End gives the parts back. It does not block.
	End()
	// Run sends one part again and returns when all its objects have arrived at every target, or are set aside, or
	// ctx has ended. One goroutine at a time calls it. Through progress it reports how many objects it has offered
	// since the call, and how many of them have not arrived. Any goroutine may call progress until Run returns, and
	// progress does not block. An error while ctx has not ended is final: the part counts as done, with that
	// message; repairs count all the same.
	Run(ctx context.Context, op Request, part Part, progress func(offered, open int)) (Repair, error)
}

// Repair counts the documents of a part whose objects are gone.
type Repair struct {
	// Deleted is the number of deleted documents. Held is the number that was kept, because there are more than may
	// be deleted without a person's consent.
	Deleted, Held int
}

// Catalog knows the objects that can be sent. Many goroutines call its methods at once, and they do not block for
// long.
type Catalog interface {
	// Types returns the types of a full operation, and none while they are not known yet.
	Types() []resource.Type
	// Objects returns the number of objects of a type in a namespace; empty means all namespaces.
	Objects(t resource.Type, namespace string) int
	// Namespaces returns the number of objects of a type in each namespace. The engine asks for large types only: at
	// planning, and before it runs a part of one.
	Namespaces(t resource.Type) map[string]int
}

// View knows the members.
type View interface {
	// Members returns the live members, ourselves included, and none while we are not a member. It does not block.
	// The engine calls it about once a second.
	Members() []string
}

// Options of an [Engine]. Namespace, Ring and Member are required.
type Options struct {
	// Namespace is the namespace of the ConfigMap, Ring the name of the ring, Member our own name.
	Namespace, Ring, Member string
	// Name is the name of the ConfigMap; the zero value means the ring's name with "-resyncs". Two engines of one
	// ring need two names.
	Name string
	// Format is the ring's; the zero value is [ring.DefaultFormat]. All members must have the same.
	Format ring.Format
	// Interval is the time between the end of a full operation and the next; 0 for none.
	Interval time.Duration
	// GiveUpAfter is how long a member that was asked for its own share may be gone. 0 means 5 minutes, which is
	// enough for Kubernetes to schedule a pod again and to pull its image.
	GiveUpAfter time.Duration
	// Ready tells whether this member can run parts and plan operations; nil means always. The engine asks about
	// once a second.
	Ready func() bool
	// Streams count the events of the watch of the ConfigMap; nil counts nothing.
	Streams *reflector.Metrics
	// Log gets a line when an operation begins or ends, and when a step fails.
	Log logr.Logger
	// Registerer takes the metrics; nil registers none.
	Registerer prometheus.Registerer
}

// Errors of an [Engine].
var (
	// ErrStopped says that the engine has stopped.
	ErrStopped = errors.New("resyncs are not run here any more")
	// ErrNoMembers says that we are not a member of the ring at the moment, so no member can share the work.
	ErrNoMembers = errors.New("this replica is not a member of the ring")
	// ErrUnknown says that there is no such operation, or that it is too old to be kept.
	ErrUnknown = errors.New("no such resync")
	// ErrBusy says that too many operations are under way to begin another one.
	ErrBusy = errors.New("too many resyncs are under way; wait until one has ended")
)

// Engine shares out operations, runs our parts of them and follows the others. Create it with [New].
type Engine struct {
	runner  Runner
	catalog Catalog
	view    View
	opts    Options
	metrics *metrics
	decoder *decoder
	store   *store
	work    wake.Slot     // the loop that runs parts
	chores  wake.Slot     // the loop that writes
	stopped chan struct{} // closed when Run has ended
	looking sync.Mutex    // held by look, and before mu

	mu       sync.Mutex // guards everything below; never held while store is called
	doc      *document
	changed  chan struct{} // closed and replaced when doc changes
	roster   roster
	shares   shares
	running  *run // nil: none
	schedule schedule
	missing  map[string]time.Time // since when no member can run the operation, by operation
}

// New returns an engine that follows nothing yet. It fails when the options are unsound.
func New(client corev1client.ConfigMapsGetter, runner Runner, catalog Catalog, view View, opts Options) (*Engine, error) {
	if opts.Format == (ring.Format{}) {
		opts.Format = ring.DefaultFormat()
	}
	if opts.GiveUpAfter <= 0 {
		opts.GiveUpAfter = 5 * time.Minute
	}
	if opts.Ready == nil {
		opts.Ready = func() bool { return true }
	}
	var errs []error
	if opts.Namespace == "" || opts.Ring == "" {
		errs = append(errs, errors.New("the namespace or the name of the ring is empty, want both"))
	}
	if problems := validation.IsConfigMapKey(runKey(newID(time.Now()), opts.Member)); opts.Member == "" || len(problems) > 0 {
		errs = append(errs, fmt.Errorf("member %q cannot be part of a key of a ConfigMap, want the name of a pod of at most 200 characters: %s",
			opts.Member, strings.Join(problems, ", ")))
	}
	if err := errors.Join(append(errs, opts.Format.Validate())...); err != nil {
		return nil, fmt.Errorf("configuring resyncs: %w", err)
	}
	e := &Engine{
		runner: runner, catalog: catalog, view: view, opts: opts,
		decoder: &decoder{log: opts.Log}, work: wake.New(), chores: wake.New(), stopped: make(chan struct{}),
		doc: &document{}, changed: make(chan struct{}), roster: roster{self: opts.Member}, shares: shares{works: make(map[string]*work)}, missing: make(map[string]time.Time),
	}
	e.metrics = newMetrics(opts.Registerer, e)
	e.store = newStore(client, opts.Namespace, opts.Ring, opts.Log, e.metrics, e.apply)
	e.store.streams = opts.Streams
	if opts.Name != "" {
		e.store.name = opts.Name
	}
	return e, nil
}

// Run follows operations and runs our parts until ctx ends. Then it writes our progress and returns nil. It
// returns an error if it was never allowed to read the ConfigMap. Call it once.
func (e *Engine) Run(ctx context.Context) error {
	defer close(e.stopped)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var loops sync.WaitGroup
	loops.Go(func() { // Ends with ctx.
		select {
		case <-e.store.synced:
		case <-ctx.Done():
			return
		}
		loops.Go(func() { e.execute(ctx) })
		e.keep(ctx)
	})
	err := e.store.run(ctx)
	cancel()
	loops.Wait()
	e.lastWords(ctx)
	return err
}

// lastWordsTimeout bounds the last write. Without that write the other members send again the parts that were
// finished in the last second.
const lastWordsTimeout = 2 * time.Second

func (e *Engine) lastWords(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWordsTimeout)
	defer cancel()
	if err := e.publish(ctx); err != nil {
		e.opts.Log.Error(err, "The parts that this replica finished last could not be recorded; another replica sends them again")
	}
}

// Changed says that the members or the readiness may have changed. Without the call, the engine notices within a
// second.
func (e *Engine) Changed() { e.chores.Wake() }

// Synced is closed once the engine knows all operations that existed at the start.
func (e *Engine) Synced() <-chan struct{} { return e.store.synced }

// Get returns an operation, running or recent.
func (e *Engine) Get(id string) (Operation, bool) {
	e.mu.Lock()
	r := e.doc.records[id]
	e.mu.Unlock()
	if r == nil {
		return Operation{}, false
	}
	return r.operation(), true
}

// List returns the running and recent operations, newest first.
func (e *Engine) List() []Operation {
	e.mu.Lock()
	doc := e.doc
	e.mu.Unlock()
	var list []Operation
	for _, r := range doc.newest() {
		list = append(list, r.operation())
	}
	return list
}

// Refresh reads the operations from the API server, for an ID that another member gave out and our watch has not
// brought yet.
func (e *Engine) Refresh(ctx context.Context) error {
	if err := e.store.read(ctx); err != nil {
		return fmt.Errorf("reading resyncs: %w", err)
	}
	return nil
}

// Wait blocks until an operation has ended and returns it. When ctx ends or the engine stops before, it returns
// an error and the last known state. It returns [ErrUnknown] when there is no such operation, after one question
// to the API server.
func (e *Engine) Wait(ctx context.Context, id string) (Operation, error) {
	var o Operation
	for asked := false; ; {
		e.mu.Lock()
		r, changed := e.doc.records[id], e.changed
		e.mu.Unlock()
		if r == nil && !asked {
			asked = true
			if err := e.Refresh(ctx); err != nil {
				return o, fmt.Errorf("waiting for resync %s: %w", id, err)
			}
			continue
		}
		if r == nil {
			return o, fmt.Errorf("waiting for resync %s: %w", id, ErrUnknown)
		}
		if o = r.operation(); o.Finished() {
			return o, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return o, fmt.Errorf("waiting for resync %s: %w", id, ctx.Err())
		case <-e.stopped:
			return o, fmt.Errorf("waiting for resync %s: %w", id, ErrStopped)
		}
	}
}

// Next returns when the next full operation is due; ok is false when none is due, or one is under way.
func (e *Engine) Next() (at time.Time, ok bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.next()
}

// next is called with mu held.
func (e *Engine) next() (at time.Time, ok bool) {
	if e.opts.Interval <= 0 || e.schedule.last.IsZero() {
		return time.Time{}, false
	}
	for _, r := range e.doc.records {
		if r.result == nil && r.request.Full() {
			return time.Time{}, false
		}
	}
	return e.schedule.last.Add(e.opts.Interval), true
}

func (e *Engine) nextDue() float64 {
	at, ok := e.Next()
	if !ok {
		return 0
	}
	return float64(at.UnixMilli()) / 1000
}

func (e *Engine) countRunning() float64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := 0
	for _, r := range e.doc.records {
		if r.open() {
			n++
		}
	}
	return float64(n)
}

// apply takes the present content of the ConfigMap. The store calls it with every content, in order.
func (e *Engine) apply(data map[string]string) {
	doc := e.decoder.read(data)
	e.decoder.complain()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.doc = doc
	for id, r := range doc.records {
		if p, ok := r.runs[e.opts.Member]; ok && r.result == nil {
			e.shares.of(id).absorb(p)
		}
	}
	maps.DeleteFunc(e.shares.works, func(id string, _ *work) bool {
		r := doc.records[id]
		return r == nil || r.result != nil
	})
	e.schedule.take(doc.last, time.Now())
	e.reconsider()
	close(e.changed)
	e.changed = make(chan struct{})
	e.work.Wake()
	e.chores.Wake()
}

// look asks the View for the members.
func (e *Engine) look() {
	e.looking.Lock()
	defer e.looking.Unlock()
	members := slices.Sorted(slices.Values(e.view.Members()))
	e.mu.Lock()
	same := slices.Equal(members, e.roster.members)
	e.mu.Unlock()
	if same {
		return
	}
	var r *ring.Ring
	if len(members) > 0 {
		var err error
		if r, err = ring.New(members, e.opts.Format); err != nil {
			e.opts.Log.Error(err, "Resyncs cannot be shared out over these members", "members", len(members))
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.roster.members, e.roster.ring = members, r
	e.reconsider()
	e.work.Wake()
}

// roster holds the members that share the work. Engine.mu guards it.
type roster struct {
	self    string
	members []string   // sorted
	ring    *ring.Ring // nil while there are no members
}

// live tells whether a member is in the view.
func (r *roster) live(member string) bool {
	_, ok := slices.BinarySearch(r.members, member)
	return ok
}

// owner returns the member that is responsible for a key, empty for none. Any member could do the task.
func (r *roster) owner(key string) string {
	if r.ring == nil {
		return ""
	}
	return r.ring.Owner(r.ring.Partition(key))
}

// responsible tells whether we are the owner of a key.
func (r *roster) responsible(key string) bool { return r.owner(key) == r.self }
