package replay

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	apiwatch "k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes/scheme"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

// maxBody bounds the body of a write.
const maxBody = 4 << 20

// errGenerated says that a client writes an object of which the server has only metadata.
var errGenerated = errors.New("an object of the recording cannot be written")

// body reads an object in either encoding.
func body(r *http.Request) (runtime.Object, error) {
	raw, err := io.ReadAll(io.LimitReader(r.Body, maxBody))
	if err != nil {
		return nil, fmt.Errorf("reading the body: %w", err)
	}
	o, _, err := scheme.Codecs.UniversalDeserializer().Decode(raw, nil, nil)
	if err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	return o, nil
}

// review allows any right and accepts any token.
func (s *Server) review(w http.ResponseWriter, r *http.Request) error {
	o, err := body(r)
	if err != nil {
		return err
	}
	switch review := o.(type) {
	case *authorizationv1.SelfSubjectAccessReview:
		review.Status.Allowed = true
	case *authorizationv1.SubjectAccessReview:
		review.Status.Allowed = true
	case *authenticationv1.TokenReview:
		review.Status.Authenticated = true
		review.Status.User.Username = "anybody"
	default:
		return apierrors.NewBadRequest(fmt.Sprintf("a %T is no review", o))
	}
	s.respond(w, http.StatusCreated, o, accepted(r.Header.Get("Accept")))
	return nil
}

// write creates, replaces or deletes an object.
func (s *Server) write(w http.ResponseWriter, r *http.Request, t *target) error {
	if r.Method == http.MethodDelete {
		return s.delete(w, r, t)
	}
	o, err := body(r)
	if err != nil {
		return err
	}
	m, err := meta.Accessor(o)
	if err != nil {
		return apierrors.NewBadRequest(err.Error())
	}
	if m.GetNamespace() == "" {
		m.SetNamespace(t.namespace)
	}
	code := http.StatusOK
	if r.Method == http.MethodPost {
		code = http.StatusCreated
		if m.GetName() == "" {
			m.SetName(m.GetGenerateName() + strconv.FormatUint(s.next(), 36))
		}
	}
	o.GetObjectKind().SetGroupVersionKind(t.gvk())
	if err := t.collection.put(o, m, r.Method == http.MethodPost, t, s.next); err != nil {
		return err
	}
	s.respond(w, code, o, t.enc)
	return nil
}

// put stores an object, if it is based on the stored version.
func (c *collection) put(o runtime.Object, m metav1.Object, create bool, t *target, next func() uint64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	key := m.GetNamespace() + "/" + m.GetName()
	old := c.written[key]
	if i, ok := c.find(m.GetNamespace(), m.GetName()); ok && c.states[i].version != 0 {
		return errGenerated
	}
	kind := apiwatch.Modified
	switch {
	case create && old != nil:
		return apierrors.NewAlreadyExists(t.groupResource(), m.GetName())
	case create:
		kind = apiwatch.Added
		m.SetUID(types.UID(fmt.Sprintf("00000000-0000-4000-8000-%012x", next())))
		m.SetCreationTimestamp(metav1.NewTime(time.Now().Truncate(time.Second)))
	case old == nil:
		return apierrors.NewNotFound(t.groupResource(), m.GetName())
	case m.GetResourceVersion() != "" && m.GetResourceVersion() != old.ResourceVersion:
		return apierrors.NewConflict(t.groupResource(), m.GetName(), errConflict)
	default:
		m.SetUID(old.UID)
		m.SetCreationTimestamp(old.CreationTimestamp)
	}
	version := next()
	m.SetResourceVersion(strconv.FormatUint(version, 10))
	stored := &object{PartialObjectMetadata: metadataOf(m), full: o.DeepCopyObject()}
	c.written[key] = stored
	c.record(kind, version, stored)
	return nil
}

// errConflict is an API server's error for a version that is not the last one.
var errConflict = errors.New("the object has been modified; please apply your changes to the latest version")

// delete removes an object, if its preconditions hold.
func (s *Server) delete(w http.ResponseWriter, r *http.Request, t *target) error {
	var opts metav1.DeleteOptions
	if o, err := body(r); err == nil {
		if given, ok := o.(*metav1.DeleteOptions); ok {
			opts = *given
		}
	}
	c := t.collection
	c.mu.Lock()
	defer c.mu.Unlock()
	key := t.namespace + "/" + t.name
	old := c.written[key]
	if old == nil {
		return apierrors.NewNotFound(t.groupResource(), t.name)
	}
	if p := opts.Preconditions; p != nil {
		if p.UID != nil && *p.UID != old.UID || p.ResourceVersion != nil && *p.ResourceVersion != old.ResourceVersion {
			return apierrors.NewConflict(t.groupResource(), t.name, errConflict)
		}
	}
	delete(c.written, key)
	version := s.next()
	last := &object{PartialObjectMetadata: old.DeepCopy(), full: old.full.DeepCopyObject()}
	last.ResourceVersion = strconv.FormatUint(version, 10)
	if m, err := meta.Accessor(last.full); err == nil {
		m.SetResourceVersion(last.ResourceVersion)
	}
	c.record(apiwatch.Deleted, version, last)
	status := &metav1.Status{Status: metav1.StatusSuccess}
	status.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}
	s.respond(w, http.StatusOK, status, encoding{})
	return nil
}

func metadataOf(m metav1.Object) *metav1.PartialObjectMetadata {
	return &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{
		Name: m.GetName(), Namespace: m.GetNamespace(), UID: m.GetUID(), ResourceVersion: m.GetResourceVersion(),
		CreationTimestamp: m.GetCreationTimestamp(), Labels: m.GetLabels(), Annotations: m.GetAnnotations(),
		OwnerReferences: m.GetOwnerReferences(), Finalizers: m.GetFinalizers(),
	}}
}

// Ref is one generated object of a [Server].
type Ref struct {
	collection *collection
	number     int
}

// ID returns the ID of the object.
func (r Ref) ID() resource.ID {
	namespace, name := r.collection.name(r.number)
	return r.collection.typ.ID(namespace, name)
}

// Type returns the type of the object.
func (r Ref) Type() resource.Type { return r.collection.typ }

// Namespace returns the namespace of the object, empty for a cluster-scoped type.
func (r Ref) Namespace() string {
	namespace, _ := r.collection.name(r.number)
	return namespace
}

// Objects returns the generated objects of the types that match, also those that do not exist at the moment.
func (s *Server) Objects(match func(resource.Type) bool) []Ref {
	var refs []Ref
	for _, path := range slices.Sorted(maps.Keys(s.collections)) {
		if c := s.collections[path]; match(c.typ) {
			for i := range c.states {
				refs = append(refs, Ref{c, i})
			}
		}
	}
	return refs
}

// Touch writes an object's status: only version and managedFields change, which no receiver stores.
func (s *Server) Touch(r Ref) bool {
	return r.collection.change(r.number, s.next, func(st state) (state, apiwatch.EventType, bool) {
		st.statusWrites++
		return st, apiwatch.Modified, st.version != 0
	})
}

// Relabel sets an object's [RevisionLabel] to the next number.
func (s *Server) Relabel(r Ref) bool {
	return r.collection.change(r.number, s.next, func(st state) (state, apiwatch.EventType, bool) {
		st.labels++
		return st, apiwatch.Modified, st.version != 0
	})
}

// Delete deletes an object.
func (s *Server) Delete(r Ref) bool {
	return r.collection.change(r.number, s.next, func(st state) (state, apiwatch.EventType, bool) {
		return st, apiwatch.Deleted, st.version != 0
	})
}

// Create creates a new object in place of a deleted one, under its name.
func (s *Server) Create(r Ref) bool {
	return r.collection.change(r.number, s.next, func(st state) (state, apiwatch.EventType, bool) {
		st.born++
		return st, apiwatch.Added, st.version == 0
	})
}

// Present calls f with each object that exists, and with its label of revisions.
func (s *Server) Present(match func(resource.Type) bool, f func(id resource.ID, revision string)) {
	for _, path := range slices.Sorted(maps.Keys(s.collections)) {
		c := s.collections[path]
		if !match(c.typ) || strings.HasSuffix(path, "/events") {
			continue
		}
		snap, _ := c.take(s.current)
		c.each(snap, 0, func(_ int, o *object) bool {
			f(c.typ.ID(o.Namespace, o.Name), o.Labels[RevisionLabel])
			return true
		})
	}
}
