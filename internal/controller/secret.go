package controller

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	apiwatch "k8s.io/apimachinery/pkg/watch"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/api/v1alpha1"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/controller/status"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/kube/reflector"
)

// maxTokenBytes bounds a token, in bytes: servers bound all headers together at 8 to 16 KiB.
const maxTokenBytes = 8 << 10

// problem returns the reason why a target cannot run, or cannot send.
func problem(reason, message string) *status.Problem {
	return &status.Problem{Reason: reason, Message: message}
}

// valueRef names one value of one Secret.
type valueRef struct{ namespace, name, key string }

// errNotRead says that a Secret has not been read yet.
var errNotRead = errors.New("the Secret with the token has not been read yet")

// secrets keeps the values that objects refer to, and no others. Each value has one watch, limited to its one
// Secret by name. Its goroutines end with the last user of their value, or with close.
type secrets struct {
	client  corev1client.SecretsGetter
	log     logr.Logger
	streams *reflector.Metrics               // may be nil
	changed func(owner types.NamespacedName) // called when a value may have changed, from any goroutine
	ctx     context.Context
	cancel  context.CancelFunc
	all     sync.WaitGroup

	mu     sync.Mutex // guards the fields below, and the owners of each value
	values map[valueRef]*value
	users  map[types.NamespacedName]valueRef
}

func newSecrets(client corev1client.SecretsGetter, log logr.Logger, changed func(types.NamespacedName)) *secrets {
	ctx, cancel := context.WithCancel(context.Background())
	return &secrets{
		client: client, log: log, changed: changed, ctx: ctx, cancel: cancel,
		values: make(map[valueRef]*value), users: make(map[types.NamespacedName]valueRef),
	}
}

// close ends all watches and waits for them.
func (s *secrets) close() {
	s.cancel()
	s.all.Wait()
}

// use returns the value to which owner refers from now on, and releases the one to which it referred before.
func (s *secrets) use(owner types.NamespacedName, ref valueRef) *value {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.users[owner] != ref {
		s.drop(owner)
	}
	v, ok := s.values[ref]
	if !ok {
		v = &value{ref: ref, owners: make(map[types.NamespacedName]bool)}
		s.values[ref] = v
		s.watch(v)
	}
	s.users[owner] = ref
	v.owners[owner] = true
	return v
}

// release gives up the value to which owner refers.
func (s *secrets) release(owner types.NamespacedName) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop(owner)
}

func (s *secrets) drop(owner types.NamespacedName) {
	ref, ok := s.users[owner]
	if !ok {
		return
	}
	delete(s.users, owner)
	v := s.values[ref]
	delete(v.owners, owner)
	if len(v.owners) == 0 {
		v.cancel()
		delete(s.values, ref)
	}
}

func (s *secrets) ownersOf(v *value) []types.NamespacedName {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Keys(v.owners))
}

// watch starts the watch of a value.
func (s *secrets) watch(v *value) {
	var ctx context.Context
	ctx, v.cancel = context.WithCancel(s.ctx)
	client := s.client.Secrets(v.ref.namespace)
	selector := fields.OneTermEqualSelector(metav1.ObjectNameField, v.ref.name).String()
	store := valueStore{v, func() {
		for _, owner := range s.ownersOf(v) {
			s.changed(owner)
		}
	}}
	source := reflector.Source{
		List: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			o.FieldSelector = selector
			list, err := client.List(ctx, o)
			if err != nil {
				store.failed(err)
				return nil, fmt.Errorf("listing one secret: %w", err)
			}
			return list, nil
		},
		Watch: func(ctx context.Context, o metav1.ListOptions) (apiwatch.Interface, error) {
			o.FieldSelector = selector
			w, err := client.Watch(ctx, o)
			if err != nil {
				store.failed(err)
			}
			return w, err // The reflector looks at the type of the error.
		},
	}
	s.all.Go(func() { // ends with ctx
		reflector.NewGuard(reflector.Secrets, source, store, reflector.Options{Client: client, Metrics: s.streams, Log: s.log}).Run(ctx)
	})
}

// value is one value of one Secret, as its watch shows it.
type value struct {
	ref    valueRef
	cancel context.CancelFunc
	owners map[types.NamespacedName]bool // guarded by secrets.mu

	mu      sync.Mutex // guards the fields below; it is taken after secrets.mu, or alone
	read    bool       // the watch has shown the Secret, or its absence
	token   string
	problem *status.Problem
	changes uint64 // how many times the token has changed
}

// get returns the token, its problem, and how many times it has changed; ok is false before the Secret was read.
func (v *value) get() (token string, changes uint64, p *status.Problem, ok bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.token, v.changes, v.problem, v.read || v.problem != nil
}

// Token implements [Target.Token].
func (v *value) Token() (string, error) {
	token, _, p, ok := v.get()
	switch {
	case p != nil:
		return "", errors.New(p.Message)
	case !ok:
		return "", errNotRead
	}
	return token, nil
}

// valueStore is the store to which the reflector of a value writes.
type valueStore struct {
	v      *value
	notify func()
}

var _ cache.ReflectorStore = valueStore{}

// Add takes a Secret that appeared.
func (s valueStore) Add(o any) error { return s.Update(o) }

// Update takes a Secret that changed.
func (s valueStore) Update(o any) error {
	secret, ok := o.(*corev1.Secret)
	if !ok {
		return fmt.Errorf("watch of a secret shows a %T", o)
	}
	token, p := tokenOf(secret, s.v.ref)
	s.set(token, p)
	return nil
}

// Delete takes a Secret that is gone.
func (s valueStore) Delete(any) error {
	s.set("", missing(s.v.ref))
	return nil
}

// Replace takes a list, of one Secret or none.
func (s valueStore) Replace(list []any, _ string) error {
	if len(list) == 0 {
		return s.Delete(nil)
	}
	return s.Update(list[0])
}

// Resync does nothing: the watch has no handlers to call again.
func (valueStore) Resync() error { return nil }

func (s valueStore) set(token string, p *status.Problem) {
	v := s.v
	v.mu.Lock()
	same := v.read && v.token == token && (v.problem == nil) == (p == nil) && (p == nil || *p == *v.problem)
	if token != v.token {
		v.changes++
	}
	v.read, v.token, v.problem = true, token, p
	v.mu.Unlock()
	if !same {
		s.notify()
	}
}

// failed records that the Secret cannot be read. A token that was read stays valid: the failure proves nothing
// about it.
func (s valueStore) failed(err error) {
	p := problem(v1alpha1.ReasonSecretUnreadable, fmt.Sprintf("The API server does not answer for Secret %s in namespace %s; it is asked again.", s.v.ref.name, s.v.ref.namespace))
	if apierrors.IsForbidden(err) {
		p = problem(v1alpha1.ReasonSecretForbidden, fmt.Sprintf("The controller may not read Secret %s in namespace %s. Allow its ServiceAccount "+
			"list and watch of this Secret there; the chart does so with resourceSyncConfig.enabled=true.", s.v.ref.name, s.v.ref.namespace))
	}
	v := s.v
	v.mu.Lock()
	tell := !v.read && (v.problem == nil || *v.problem != *p)
	if tell {
		v.problem = p
	}
	v.mu.Unlock()
	if tell {
		s.notify()
	}
}

// tokenOf returns the token in a Secret. It cuts off space around the token, such as the line feed of a file.
func tokenOf(secret *corev1.Secret, ref valueRef) (string, *status.Problem) {
	raw, ok := secret.Data[ref.key]
	if !ok {
		return "", problem(v1alpha1.ReasonSecretKeyNotFound, fmt.Sprintf(
			"Secret %s in namespace %s has no key %s. Add it, or name the right one in spec.mcpAuthSecretRef.key.", ref.name, ref.namespace, ref.key))
	}
	token := strings.TrimSpace(string(raw))
	odd := func(r rune) bool { return r <= ' ' || r >= 0x7f }
	switch {
	case token == "":
		return "", problem(v1alpha1.ReasonSecretEmpty, fmt.Sprintf(
			"Key %s of Secret %s in namespace %s is empty. Put the receiver's token there.", ref.key, ref.name, ref.namespace))
	case len(token) > maxTokenBytes || strings.IndexFunc(token, odd) >= 0:
		return "", problem(v1alpha1.ReasonSecretInvalid, fmt.Sprintf(
			"Key %s of Secret %s in namespace %s holds no token: it is longer than %d bytes, or has space or other characters within that cannot stand in a header.",
			ref.key, ref.name, ref.namespace, maxTokenBytes))
	}
	return token, nil
}

func missing(ref valueRef) *status.Problem {
	return problem(v1alpha1.ReasonSecretNotFound, fmt.Sprintf("Secret %s does not exist in namespace %s. Create it: "+
		"kubectl create secret generic %s --namespace %s --from-literal=%s=<token>", ref.name, ref.namespace, ref.name, ref.namespace, ref.key))
}
