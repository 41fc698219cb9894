package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/kube/reflector"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

const (
	// ringLabel and targetLabel find the ConfigMaps of a ring and target.
	ringLabel   = "vectordb-sync.io/ring"
	targetLabel = "vectordb-sync.io/target"
	// ownKey and allKey are the two checkpoints of a ConfigMap: for the member's own partitions, and for all.
	ownKey, allKey = "checkpoint", "all"
	// openKey holds [Beside.Open], deliveredKey [Beside.Delivered], statsKey [Beside.Stats].
	openKey, deliveredKey, statsKey = "open", "delivered", "stats"
)

// StoreOptions are the settings of a [Store]. All are required but Log.
type StoreOptions struct {
	// Namespace is where the ConfigMaps are; Ring and Target tell them apart from others, Member is ours.
	Namespace, Ring, Target, Member string
	// Changed is called after the book has changed, by one goroutine.
	Changed func()
	// Streams count what becomes of the watch; nil counts nothing.
	Streams *reflector.Metrics
	// Log gets what goes wrong.
	Log logr.Logger
}

// Store keeps a [Book] in step with the cluster's ConfigMaps, and writes ours.
type Store struct {
	client corev1client.ConfigMapInterface
	book   *Book
	opts   StoreOptions
	synced chan struct{} // closed after the first list
	before Past          // written before synced is closed, like ours and left
	ours   map[string][]uint64
	left   List
	once   sync.Once
	fatal  chan error // one slot: a permission is missing

	seen     sync.Mutex        // guards what follows, and is held while the book changes
	voidTo   time.Time         // until then nothing is believed; see Void
	versions map[string]uint64 // of the ConfigMaps in the book
	doubts   []Doubt           // of an earlier stay, until we have written something ourselves

	mu      sync.Mutex // guards what follows, and is held while writing
	current *corev1.ConfigMap
	data    map[string]string // what was written last
}

// NewStore returns a store of that book.
func NewStore(client corev1client.ConfigMapsGetter, book *Book, opts StoreOptions) *Store {
	return &Store{client: client.ConfigMaps(opts.Namespace), book: book, opts: opts,
		synced: make(chan struct{}), fatal: make(chan error, 1), versions: make(map[string]uint64)}
}

// Name is the name of our ConfigMap.
func (s *Store) Name() string { return s.opts.Ring + "-" + s.opts.Target + "-" + s.opts.Member }

// Synced is closed once all checkpoints that there were at the start are in the book.
func (s *Store) Synced() <-chan struct{} { return s.synced }

// Before returns what the checkpoints said that there were at the start, and, by type, the versions that those of our own name
// spoke of. It may be called once Synced is closed.
func (s *Store) Before() (all Past, ours map[string][]uint64) { return s.before, s.ours }

// Left returns what the checkpoint of our own name named that there was at the start. It may be called once Synced is closed.
func (s *Store) Left() List { return s.left }

// refreshTimeout bounds [Store.Refresh]: whoever asks tries again.
const refreshTimeout = 5 * time.Second

// Refresh brings the book up to what the API server holds now, whatever the watch has shown so far. It blocks for one request,
// five seconds at most.
func (s *Store) Refresh(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, refreshTimeout)
	defer cancel()
	list, err := s.client.List(ctx, metav1.ListOptions{LabelSelector: s.selector()})
	if err != nil {
		return fmt.Errorf("listing checkpoints: %w", err)
	}
	for i := range list.Items {
		sink{s}.take(&list.Items[i])
	}
	return nil
}

// voidFor is how long after a restore of etcd no checkpoint is believed. Each member finds out within a few seconds, and says
// nothing from then on until it has read the cluster again; what it wrote before that speaks of versions that are gone.
const voidFor = 20 * time.Second

// Void forgets all checkpoints, and believes none for 20 seconds: the cluster has gone back in time. What they covered may be
// another state under a version that begins anew. It does not block.
func (s *Store) Void() {
	s.seen.Lock()
	defer s.seen.Unlock()
	s.voidTo = time.Now().Add(voidFor)
	clear(s.versions)
	s.book.clear()
}

func (s *Store) selector() string {
	return ringLabel + "=" + s.opts.Ring + "," + targetLabel + "=" + s.opts.Target
}

// Remove deletes our ConfigMap, as for a target that is gone for good.
func (s *Store) Remove(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.current, s.data = nil, nil
	if err := s.client.Delete(ctx, s.Name(), metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("deleting checkpoint %s: %w", s.Name(), err)
	}
	return nil
}

// Run follows the ConfigMaps until ctx ends. It returns an error when they may not be read before they ever were.
func (s *Store) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan struct{})
	go func() { // Ends with ctx; waited for below.
		defer close(ended)
		s.guard().Run(ctx)
	}()
	defer func() { cancel(); <-ended }()
	select {
	case <-ctx.Done():
		return nil
	case err := <-s.fatal:
		return fmt.Errorf("checkpoints are kept in ConfigMaps of namespace %s, which needs list, watch, get, create, update and delete there: %w", s.opts.Namespace, err)
	}
}

func (s *Store) guard() *reflector.Guard {
	selector := s.selector()
	source := reflector.Source{
		List: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			o.LabelSelector = selector
			list, err := s.client.List(ctx, o)
			s.refused(err)
			return list, err //nolint:wrapcheck // The reflector looks at the type of the error.
		},
		Watch: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			o.LabelSelector = selector
			w, err := s.client.Watch(ctx, o)
			s.refused(err)
			return w, err //nolint:wrapcheck // The reflector looks at the type of the error.
		},
	}
	return reflector.NewGuard(reflector.Checkpoints, source, sink{s}, reflector.Options{
		Retry:   wait.Backoff{Duration: 100 * time.Millisecond, Cap: 5 * time.Second, Steps: 10, Factor: 2, Jitter: 0.5},
		Metrics: s.opts.Streams, Log: s.opts.Log,
	})
}

// refused notes a missing permission, which is fatal only before the first list has come.
func (s *Store) refused(err error) {
	if !apierrors.IsForbidden(err) {
		return
	}
	select {
	case <-s.synced:
	default:
		select {
		case s.fatal <- err:
		default: // One is enough.
		}
	}
}

// Publish writes our checkpoints, for our own partitions and for all, with what goes beside them, unless they are what was
// written last. It blocks for one request, or a few when somebody else has written.
func (s *Store) Publish(ctx context.Context, own, all Checkpoint, beside Beside) error {
	open, err := encodeOpen(beside.Open)
	if err != nil {
		return err
	}
	data := make(map[string]string, 5)
	for key, text := range map[string]string{openKey: open, deliveredKey: encodeNames(beside.Delivered), statsKey: beside.Stats} {
		if text != "" {
			data[key] = text
		}
	}
	for key, c := range map[string]Checkpoint{ownKey: own, allKey: all} {
		text, err := c.Encode()
		if err != nil {
			return err
		}
		data[key] = text
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if maps.Equal(data, s.data) {
		return nil
	}
	for range 3 {
		if err = s.write(ctx, data); err == nil {
			s.data = data
			return nil
		}
		if beside.Last || !apierrors.IsConflict(err) && !apierrors.IsAlreadyExists(err) && !apierrors.IsNotFound(err) {
			break
		}
		s.current, err = s.client.Get(ctx, s.Name(), metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			s.current, err = nil, nil
		}
		if err != nil {
			break
		}
	}
	if err == nil {
		err = errors.New("somebody else keeps writing it")
	}
	return fmt.Errorf("writing checkpoint %s: %w", s.Name(), err)
}

// Strike removes the open tombstones of a member that is gone, once all of them are delivered. Sum names them. It does nothing
// when the member has written since.
func (s *Store) Strike(ctx context.Context, member, sum string) error {
	name := s.opts.Ring + "-" + s.opts.Target + "-" + member
	m, err := s.client.Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading checkpoint %s: %w", name, err)
	}
	data, err := unpack(m)
	if err != nil {
		return err
	}
	open, err := decodeOpen(data[openKey])
	if err != nil || newList("", open, nil).Sum != sum {
		return err
	}
	data = maps.Clone(data)
	delete(data, openKey)
	if err := pack(m, data); err != nil {
		return err
	}
	if _, err = s.client.Update(ctx, m, metav1.UpdateOptions{}); err != nil && !apierrors.IsConflict(err) && !apierrors.IsNotFound(err) {
		return fmt.Errorf("writing checkpoint %s: %w", name, err)
	}
	return nil
}

func (s *Store) write(ctx context.Context, data map[string]string) error {
	m := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: s.Name(), Labels: map[string]string{
			ringLabel: s.opts.Ring, targetLabel: s.opts.Target, "app.kubernetes.io/name": "k8s-vectordb-sync",
		}},
	}
	err := pack(m, data)
	if err != nil {
		return err
	}
	if s.current == nil {
		m, err = s.client.Create(ctx, m, metav1.CreateOptions{})
	} else {
		m.ResourceVersion, m.OwnerReferences = s.current.ResourceVersion, s.current.OwnerReferences
		m, err = s.client.Update(ctx, m, metav1.UpdateOptions{})
	}
	if err == nil {
		s.current = m
	}
	return err //nolint:wrapcheck // Publish looks at its type.
}

// sink is what the reflector writes to.
type sink struct{ s *Store }

var _ cache.ReflectorStore = sink{}

// take puts the checkpoints of a ConfigMap into the book, and tells whether any is believed.
func (k sink) take(o any) bool {
	m, ok := o.(*corev1.ConfigMap)
	if !ok {
		return false
	}
	k.s.seen.Lock()
	defer k.s.seen.Unlock()
	if time.Now().Before(k.s.voidTo) {
		return false
	}
	version := resource.ParseVersion(m.ResourceVersion)
	if version < k.s.versions[m.Name] {
		return false // The watch is behind what Refresh has read.
	}
	k.s.versions[m.Name] = version
	believed := false
	data, err := unpack(m)
	if err != nil {
		k.s.opts.Log.Error(err, "Checkpoint cannot be unpacked", "configMap", m.Name)
	}
	var own *Checkpoint
	for _, key := range []string{ownKey, allKey} {
		c, err := Decode(data[key])
		if err != nil {
			k.s.opts.Log.Error(err, "Checkpoint is not understood, hence ignored", "configMap", m.Name, "key", key)
			k.s.book.Delete(page(m.Name, key))
			continue
		}
		believed = k.s.book.Set(page(m.Name, key), c) || believed
		if key == ownKey && c.Fingerprint == k.s.book.fingerprint {
			own = &c
		}
	}
	if own != nil {
		k.takeBeside(m.Name, *own, data)
	}
	k.s.book.setDoubts(k.s.opts.Member, k.s.doubts)
	return believed
}

// takeBeside takes what a member has written beside its checkpoints; of ours, what an earlier stay has left.
func (k sink) takeBeside(configMap string, own Checkpoint, data map[string]string) {
	open, err := decodeOpen(data[openKey])
	delivered, err2 := decodeNames(data[deliveredKey])
	if err = errors.Join(err, err2); err != nil {
		k.s.opts.Log.Error(err, "Tombstones are not understood, hence ignored", "configMap", configMap)
	}
	l := newList(own.Incarnation, open, delivered)
	if own.Member != k.s.opts.Member {
		k.s.book.setList(own.Member, l)
		k.s.book.setStats(own.Member, data[statsKey])
		return
	}
	select {
	case <-k.s.synced:
		if own.Incarnation != k.s.left.Incarnation { // else it is that of the earlier stay, read once more
			k.s.doubts = nil
		}
	default:
		k.s.left, k.s.doubts = l, own.Doubts
	}
}

// page is the name of a checkpoint in the book.
func page(configMap, key string) string { return configMap + "/" + key }

// Add takes a ConfigMap that appeared.
func (k sink) Add(o any) error { return k.Update(o) }

// Update takes a ConfigMap that changed.
func (k sink) Update(o any) error {
	k.take(o)
	k.s.opts.Changed()
	return nil
}

// Delete takes a ConfigMap that is gone.
func (k sink) Delete(o any) error {
	if m, ok := o.(*corev1.ConfigMap); ok {
		k.s.seen.Lock()
		defer k.s.seen.Unlock()
		delete(k.s.versions, m.Name)
		k.s.book.Delete(page(m.Name, ownKey))
		k.s.book.Delete(page(m.Name, allKey))
	}
	return nil
}

// Replace takes all there are. The list is believed whatever the versions in it are: etcd may have been restored from a
// backup, and what was written since then is void. What the list has not yet, the watch brings.
func (k sink) Replace(list []any, _ string) error {
	k.s.seen.Lock()
	listed := make(map[string]bool, len(list))
	for _, o := range list {
		if m, ok := o.(*corev1.ConfigMap); ok {
			listed[m.Name] = true
		}
	}
	for name := range k.s.versions {
		if !listed[name] {
			k.s.book.Delete(page(name, ownKey))
			k.s.book.Delete(page(name, allKey))
		}
	}
	clear(k.s.versions)
	k.s.seen.Unlock()
	believed := 0
	for _, o := range list {
		if k.take(o) {
			believed++
		}
	}
	k.s.once.Do(func() {
		k.s.opts.Log.Info("Checkpoints are read", "found", len(list), "believed", believed)
		k.s.before = k.s.book.Past(nil)
		k.s.ours = k.s.book.Past(func(member, _ string) bool { return member == k.s.opts.Member }).Versions
		close(k.s.synced)
	})
	k.s.opts.Changed()
	return nil
}

// Resync does nothing.
func (sink) Resync() error { return nil }
