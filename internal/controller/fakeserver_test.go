package controller_test

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	apiwatch "k8s.io/apimachinery/pkg/watch"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/api/v1alpha1"
)

// objects are the ResourceSyncConfigs of an API server, as a cache shows them and as statuses are written to them.
type objects struct {
	client.Reader
	client.SubResourceWriter

	mu      sync.Mutex // guards all fields
	version int
	held    map[client.ObjectKey]*v1alpha1.ResourceSyncConfig
	stale   map[client.ObjectKey]*v1alpha1.ResourceSyncConfig // the cache shows these instead
	writes  int
	drops   bool // the installed definition knows no observedGeneration
	refuse  error
}

func newObjects() *objects {
	return &objects{held: map[client.ObjectKey]*v1alpha1.ResourceSyncConfig{}, stale: map[client.ObjectKey]*v1alpha1.ResourceSyncConfig{}}
}

func (s *objects) put(o *v1alpha1.ResourceSyncConfig) client.ObjectKey {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.version++
	o = o.DeepCopy()
	o.ResourceVersion = strconv.Itoa(s.version)
	s.held[client.ObjectKeyFromObject(o)] = o
	return client.ObjectKeyFromObject(o)
}

// change changes the spec of an object, which gives it another generation.
func (s *objects) change(key client.ObjectKey, change func(*v1alpha1.ResourceSyncConfigSpec)) {
	o := s.get(key)
	change(&o.Spec)
	o.Generation++
	s.put(o)
}

func (s *objects) remove(key client.ObjectKey) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.held, key)
}

func (s *objects) get(key client.ObjectKey) *v1alpha1.ResourceSyncConfig {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.held[key].DeepCopy()
}

func (s *objects) Get(_ context.Context, key client.ObjectKey, into client.Object, _ ...client.GetOption) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	o, ok := s.held[key]
	if !ok {
		return apierrors.NewNotFound(schema.GroupResource{Resource: "resourcesyncconfigs"}, key.Name)
	}
	if old, ok := s.stale[key]; ok {
		o = old
	}
	o.DeepCopyInto(into.(*v1alpha1.ResourceSyncConfig))
	return nil
}

func (s *objects) Patch(_ context.Context, o client.Object, p client.Patch, _ ...client.SubResourcePatchOption) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writes++
	if s.refuse != nil {
		return s.refuse
	}
	data, err := p.Data(o)
	if err != nil {
		return err
	}
	held, ok := s.held[client.ObjectKeyFromObject(o)]
	if !ok {
		return apierrors.NewNotFound(schema.GroupResource{Resource: "resourcesyncconfigs"}, o.GetName())
	}
	if p.Type() != "application/merge-patch+json" {
		return errors.New("not a merge patch")
	}
	next := held.DeepCopy()
	if err := json.Unmarshal(data, next); err != nil {
		return err
	}
	if next.UID != held.UID {
		return apierrors.NewConflict(schema.GroupResource{}, o.GetName(), errors.New("another UID"))
	}
	if s.drops {
		next.Status.ObservedGeneration = 0
	}
	s.version++
	next.ResourceVersion = strconv.Itoa(s.version)
	s.held[client.ObjectKeyFromObject(o)] = next
	next.DeepCopyInto(o.(*v1alpha1.ResourceSyncConfig))
	return nil
}

// secretServer holds Secrets and shows them to watches, each limited to one Secret by its name.
type secretServer struct {
	t       *testing.T
	mu      sync.Mutex // guards the fields below
	held    map[client.ObjectKey]*corev1.Secret
	watches map[*apiwatch.FakeWatcher]client.ObjectKey
	refuse  error
}

func newSecretServer(t *testing.T) *secretServer {
	return &secretServer{t: t, held: map[client.ObjectKey]*corev1.Secret{}, watches: map[*apiwatch.FakeWatcher]client.ObjectKey{}}
}

func (s *secretServer) Secrets(namespace string) corev1client.SecretInterface {
	return secretClient{server: s, namespace: namespace}
}

func (s *secretServer) put(namespace, name string, data map[string]string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := client.ObjectKey{Namespace: namespace, Name: name}
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, ResourceVersion: "1"}, Data: map[string][]byte{}}
	for k, v := range data {
		secret.Data[k] = []byte(v)
	}
	_, known := s.held[key]
	s.held[key] = secret
	for w, of := range s.watches {
		switch {
		case of != key:
		case known:
			w.Modify(secret)
		default:
			w.Add(secret)
		}
	}
}

func (s *secretServer) remove(namespace, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := client.ObjectKey{Namespace: namespace, Name: name}
	for w, of := range s.watches {
		if of == key {
			w.Delete(s.held[key])
		}
	}
	delete(s.held, key)
}

func (s *secretServer) setRefuse(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuse = err
}

// interrupt ends all watches, so that their clients begin anew.
func (s *secretServer) interrupt() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for w := range s.watches {
		w.Stop()
	}
	clear(s.watches)
}

type secretClient struct {
	corev1client.SecretInterface
	server    *secretServer
	namespace string
}

// IsWatchListSemanticsUnSupported makes reflectors list.
func (secretClient) IsWatchListSemanticsUnSupported() bool { return true }

func (c secretClient) key(o metav1.ListOptions) client.ObjectKey {
	const prefix = "metadata.name="
	if len(o.FieldSelector) <= len(prefix) || o.FieldSelector[:len(prefix)] != prefix {
		c.server.t.Errorf("asked for Secrets with the selector %q, want one Secret", o.FieldSelector)
		return client.ObjectKey{}
	}
	return client.ObjectKey{Namespace: c.namespace, Name: o.FieldSelector[len(prefix):]}
}

func (c secretClient) List(_ context.Context, o metav1.ListOptions) (*corev1.SecretList, error) {
	s := c.server
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refuse != nil {
		return nil, s.refuse
	}
	list := &corev1.SecretList{ListMeta: metav1.ListMeta{ResourceVersion: "1"}}
	if secret, ok := s.held[c.key(o)]; ok {
		list.Items = append(list.Items, *secret)
	}
	return list, nil
}

func (c secretClient) Watch(_ context.Context, o metav1.ListOptions) (apiwatch.Interface, error) {
	s := c.server
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refuse != nil {
		return nil, s.refuse
	}
	w := apiwatch.NewFakeWithChanSize(10, false)
	s.watches[w] = c.key(o)
	return w, nil
}
