package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/kube/configmap"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/kube/reflector"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

const (
	// RingLabel and TargetLabel are the labels of a checkpoint's ConfigMap that name its ring and its target.
	RingLabel   = configmap.RingLabel
	TargetLabel = "vectordb-sync.io/target"
	// ownKey and allKey are the two checkpoints of a ConfigMap: for the member's own partitions, and for all.
	ownKey, allKey = "checkpoint", "all"
	// openKey and livingKey hold [Beside.Open], deliveredKey [Beside.Delivered], statsKey [Beside.Stats].
	openKey, livingKey, deliveredKey, statsKey = "open", "living", "delivered", "stats"
)

// StoreOptions are the settings of a [Store]. All are required but Streams and Log.
type StoreOptions struct {
	// Namespace is the namespace of the ConfigMaps, Ring and Target identify them, and Member is this member.
	Namespace, Ring, Target, Member string
	// DoubtFor is how long a receiver may hold a request of unknown outcome. For that time, our checkpoint repeats
	// the doubts of the last checkpoint of our name, which it replaces. Another member may own some of these objects
	// by now, and may not have read the earlier checkpoint. For as long, our own ledger holds them: an object whose
	// deletion was delivered may come back, and only then has to be sent again.
	DoubtFor time.Duration
	// Changed is called after the ledger has changed, by one goroutine.
	Changed func()
	// Streams count how the watch ends; nil counts nothing.
	Streams *reflector.Metrics
	// Log takes errors.
	Log logr.Logger
}

// Store keeps a [Ledger] in step with the cluster's ConfigMaps, and writes ours.
type Store struct {
	client corev1client.ConfigMapInterface
	ledger *Ledger
	opts   StoreOptions
	synced chan struct{} // closed after the first list
	before Past          // written before synced is closed, like the next fields
	ours   map[string][]uint64
	left   List
	once   sync.Once

	seen        sync.Mutex        // guards the fields below, and is held while the ledger changes
	voidTo      time.Time         // until then no checkpoint is believed; see Void
	versions    map[string]uint64 // of the ConfigMaps in the ledger
	lastInDoubt []Doubt           // of the previous process of our name
	lastUntil   time.Time         // until when these count

	mu      sync.Mutex // guards the fields below, and is held while writing
	current *corev1.ConfigMap
	data    map[string]string // the keys of the last write
}

// NewStore returns a store of that ledger.
func NewStore(client corev1client.ConfigMapsGetter, ledger *Ledger, opts StoreOptions) *Store {
	return &Store{client: client.ConfigMaps(opts.Namespace), ledger: ledger, opts: opts,
		synced: make(chan struct{}), versions: make(map[string]uint64)}
}

// Name is the name of our ConfigMap.
func (s *Store) Name() string { return s.opts.Ring + "-" + s.opts.Target + "-" + s.opts.Member }

// Synced is closed once the ledger has all checkpoints that existed at the start.
func (s *Store) Synced() <-chan struct{} { return s.synced }

// Before returns the summary of the checkpoints that existed at the start and, by type, the versions of those of our
// own name. It may be called once Synced is closed.
func (s *Store) Before() (all Past, ours map[string][]uint64) { return s.before, s.ours }

// Left returns the tombstones that the checkpoint of our own name named at the start. It may be called once Synced
// is closed.
func (s *Store) Left() List { return s.left }

// refreshTimeout bounds [Store.Refresh]: its caller tries again.
const refreshTimeout = 5 * time.Second

// Refresh brings the ledger up to the present state of the API server, however far the watch is. It blocks for one
// request, five seconds at most.
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

// voidFor is how long after a restore of etcd no checkpoint is believed. Each member notices the restore within a
// few seconds, and then writes none until it has read the cluster again. Its last checkpoints before that speak of
// versions that are gone.
const voidFor = 20 * time.Second

// Void forgets all checkpoints, and believes none for 20 seconds: the cluster has gone back in time. After that,
// another state may have a version that they covered. Void does not block.
func (s *Store) Void() {
	s.seen.Lock()
	defer s.seen.Unlock()
	s.voidTo = time.Now().Add(voidFor)
	clear(s.versions)
	s.ledger.clear()
}

func (s *Store) selector() string {
	return RingLabel + "=" + s.opts.Ring + "," + TargetLabel + "=" + s.opts.Target
}

// Run follows the ConfigMaps until ctx ends. It returns an error when they may not be read before the first list.
func (s *Store) Run(ctx context.Context) error {
	err := configmap.Follow(ctx, configmap.Source{
		Client: s.client, Labels: s.selector(), Stream: reflector.Checkpoints, Streams: s.opts.Streams, Log: s.opts.Log,
	}, sink{s})
	if err != nil {
		return fmt.Errorf("checkpoints are kept in ConfigMaps of namespace %s, which needs list, watch, get, create, update and delete there: %w", s.opts.Namespace, err)
	}
	return nil
}

// Publish writes our checkpoints, for our own partitions and for all, with the data beside them, unless they equal
// those of the last write. It blocks for one request, or a few after a write of another member.
func (s *Store) Publish(ctx context.Context, own, all Checkpoint, beside Beside) error {
	open, err := encodeOpen(beside.Open, false)
	living, err2 := encodeOpen(beside.Open, true)
	if err := errors.Join(err, err2); err != nil {
		return err
	}
	s.seen.Lock()
	before := s.predecessors()
	s.seen.Unlock()
	own.InDoubt = added(own.InDoubt, before, func(d Doubt) uint64 { return d.ID })
	data := make(map[string]string, 6)
	for key, text := range map[string]string{openKey: open, livingKey: living, deliveredKey: encodeNames(beside.Delivered), statsKey: beside.Stats} {
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
		if beside.Last || !configmap.Lost(err) {
			break
		}
		if s.current, err = configmap.Get(ctx, s.client, s.Name()); err != nil {
			break
		}
	}
	if err == nil {
		err = errors.New("another member keeps writing it")
	}
	return fmt.Errorf("writing checkpoint %s: %w", s.Name(), err)
}

// predecessors are the doubts of the previous process of our name, as long as the receiver may hold its requests.
// The caller holds seen.
func (s *Store) predecessors() []Doubt {
	if !time.Now().Before(s.lastUntil) {
		return nil
	}
	return s.lastInDoubt
}

// Strike removes the open tombstones of a member that is gone, once all of them are delivered. sum names them. It
// does nothing when the member has written since.
func (s *Store) Strike(ctx context.Context, member, sum string) error {
	name := s.opts.Ring + "-" + s.opts.Target + "-" + member
	m, err := configmap.Get(ctx, s.client, name)
	if m == nil && err == nil {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading checkpoint %s: %w", name, err)
	}
	data, err := unpack(m)
	if err != nil {
		return err
	}
	open, err := decodeOpen(data[openKey], data[livingKey])
	if err != nil || newList("", open, nil).Sum != sum {
		return err
	}
	data = maps.Clone(data)
	delete(data, openKey)
	delete(data, livingKey)
	if _, err := s.put(ctx, name, m, data); err != nil && !configmap.Lost(err) {
		return fmt.Errorf("writing checkpoint %s: %w", name, err)
	}
	return nil
}

func (s *Store) write(ctx context.Context, data map[string]string) error {
	m, err := s.put(ctx, s.Name(), s.current, data)
	if err == nil {
		s.current = m
	}
	return err
}

func (s *Store) put(ctx context.Context, name string, current *corev1.ConfigMap, data map[string]string) (*corev1.ConfigMap, error) {
	c := configmap.Content{Labels: map[string]string{RingLabel: s.opts.Ring, TargetLabel: s.opts.Target}}
	var err error
	if c.Data, c.Binary, err = pack(data); err != nil {
		return nil, err
	}
	return configmap.Put(ctx, s.client, name, current, c)
}

// sink takes the ConfigMaps of the watch.
type sink struct{ s *Store }

// take puts the checkpoints of a ConfigMap into the ledger, and tells whether any is believed.
func (k sink) take(m *corev1.ConfigMap) bool {
	k.s.seen.Lock()
	defer k.s.seen.Unlock()
	if time.Now().Before(k.s.voidTo) {
		return false
	}
	version := resource.ParseVersion(m.ResourceVersion)
	if version < k.s.versions[m.Name] { // The watch is behind the list of Refresh.
		if data, err := unpack(m); err == nil {
			if c, err := Decode(data[ownKey]); err == nil {
				k.s.ledger.SetFormer(entryName(m.Name, ownKey), c)
			}
		}
		return false
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
			k.s.ledger.Delete(entryName(m.Name, key))
			continue
		}
		believed = k.s.ledger.Set(entryName(m.Name, key), c) || believed
		if key == ownKey && c.Fingerprint == k.s.ledger.fingerprint {
			own = &c
		}
	}
	if own != nil {
		k.takeBeside(m.Name, *own, data)
	}
	k.s.ledger.setInDoubt(k.s.opts.Member, k.s.predecessors())
	return believed
}

// takeBeside takes the data that a member has written beside its checkpoints. Ours are those of an earlier
// incarnation.
func (k sink) takeBeside(configMap string, own Checkpoint, data map[string]string) {
	open, err := decodeOpen(data[openKey], data[livingKey])
	delivered, err2 := decodeNames(data[deliveredKey])
	if err = errors.Join(err, err2); err != nil {
		k.s.opts.Log.Error(err, "Tombstones are not understood, hence ignored", "configMap", configMap)
	}
	l := newList(own.Incarnation, open, delivered)
	if own.Member != k.s.opts.Member {
		k.s.ledger.setList(own.Member, l)
		k.s.ledger.setStats(own.Member, data[statsKey])
		return
	}
	select {
	case <-k.s.synced: // It is our own, or the earlier incarnation's once more.
	default:
		k.s.left, k.s.lastInDoubt, k.s.lastUntil = l, own.InDoubt, time.Now().Add(k.s.opts.DoubtFor)
	}
}

// entryName is the name of a checkpoint in the ledger.
func entryName(configMap, key string) string { return configMap + "/" + key }

// Set takes a ConfigMap that appeared or changed.
func (k sink) Set(m *corev1.ConfigMap) {
	k.take(m)
	k.s.opts.Changed()
}

// Delete takes a ConfigMap that is gone.
func (k sink) Delete(m *corev1.ConfigMap) {
	k.s.seen.Lock()
	defer k.s.seen.Unlock()
	delete(k.s.versions, m.Name)
	k.forget(m.Name)
}

func (k sink) forget(configMap string) {
	k.s.ledger.Delete(entryName(configMap, ownKey))
	k.s.ledger.Delete(entryName(configMap, allKey))
}

// Replace takes a list of all ConfigMaps. It believes the list whatever its versions are: etcd may have been
// restored from a backup, and later writes are void. The watch brings newer ones.
func (k sink) Replace(all []*corev1.ConfigMap) {
	k.s.seen.Lock()
	for name := range k.s.versions {
		if !slices.ContainsFunc(all, func(m *corev1.ConfigMap) bool { return m.Name == name }) {
			k.forget(name)
		}
	}
	clear(k.s.versions)
	k.s.seen.Unlock()
	believed := 0
	for _, m := range all {
		if k.take(m) {
			believed++
		}
	}
	k.s.once.Do(func() {
		k.s.opts.Log.Info("Checkpoints are read", "found", len(all), "believed", believed)
		k.s.before = k.s.ledger.Past(nil)
		k.s.ours = k.s.ledger.Past(func(member, _ string) bool { return member == k.s.opts.Member }).Versions
		close(k.s.synced)
	})
	k.s.opts.Changed()
}
