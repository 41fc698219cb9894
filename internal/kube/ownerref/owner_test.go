package ownerref_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	metadatafake "k8s.io/client-go/metadata/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/kube/ownerref"
)

var sets = schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "statefulsets"}

// cluster is an API server that has a StatefulSet or none, and counts how often it is read.
type cluster struct {
	t       *testing.T
	core    *fake.Clientset
	meta    *metadatafake.FakeMetadataClient
	belongs *ownerref.Owner
	lookups int
	refuse  error
}

func newCluster(t *testing.T) *cluster {
	scheme := metadatafake.NewTestScheme()
	if err := metav1.AddMetaToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	c := &cluster{t: t, core: fake.NewClientset(), meta: metadatafake.NewSimpleMetadataClient(scheme)}
	c.meta.PrependReactor("get", "statefulsets", func(clienttesting.Action) (bool, runtime.Object, error) {
		c.lookups++
		return c.refuse != nil, nil, c.refuse
	})
	c.belongs = ownerref.New(c.meta, "ns", "sync", logr.Discard())
	return c
}

// set replaces the StatefulSet by one with that UID, which may be about to be deleted. With an empty UID there
// is none.
func (c *cluster) set(uid types.UID, deleting bool) {
	c.t.Helper()
	_ = c.meta.Tracker().Delete(sets, "ns", "sync")
	if uid == "" {
		return
	}
	o := &metav1.PartialObjectMetadata{
		TypeMeta:   metav1.TypeMeta{APIVersion: "apps/v1", Kind: "StatefulSet"},
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "sync", UID: uid},
	}
	if deleting {
		o.DeletionTimestamp, o.Finalizers = &metav1.Time{Time: time.Now()}, []string{"orphan"}
	}
	if err := c.meta.Tracker().Create(sets, o, "ns"); err != nil {
		c.t.Fatal(err)
	}
}

// writes creates or updates a ConfigMap and a Lease, and returns the UID of the owner that both then have.
func (c *cluster) writes(name string, owner types.UID, create bool) types.UID {
	c.t.Helper()
	meta := metav1.ObjectMeta{Namespace: "ns", Name: name}
	if owner != "" {
		meta.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "StatefulSet", Name: "sync", UID: owner}}
	}
	maps := ownerref.ConfigMaps(c.core.CoreV1(), c.belongs).ConfigMaps("ns")
	leases := ownerref.Leases(c.core.CoordinationV1(), c.belongs).Leases("ns")
	ctx := c.t.Context()
	m, l := &corev1.ConfigMap{ObjectMeta: meta}, &coordinationv1.Lease{ObjectMeta: meta}
	var errs error
	write := func(create bool) {
		var err error
		if create {
			_, err = maps.Create(ctx, m.DeepCopy(), metav1.CreateOptions{})
			errs = errors.Join(errs, err)
			_, err = leases.Create(ctx, l.DeepCopy(), metav1.CreateOptions{})
		} else {
			_, err = maps.Update(ctx, m.DeepCopy(), metav1.UpdateOptions{})
			errs = errors.Join(errs, err)
			_, err = leases.Update(ctx, l.DeepCopy(), metav1.UpdateOptions{})
		}
		errs = errors.Join(errs, err)
	}
	write(create)
	if errs != nil {
		c.t.Fatal(errs)
	}
	return c.owner(ctx, name)
}

func (c *cluster) owner(ctx context.Context, name string) types.UID {
	c.t.Helper()
	m, err := c.core.CoreV1().ConfigMaps("ns").Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		c.t.Fatal(err)
	}
	l, err := c.core.CoordinationV1().Leases("ns").Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		c.t.Fatal(err)
	}
	var uids []types.UID
	for _, refs := range [][]metav1.OwnerReference{m.OwnerReferences, l.OwnerReferences} {
		switch {
		case len(refs) == 0:
			uids = append(uids, "")
		case refs[0].APIVersion == "apps/v1" && refs[0].Kind == "StatefulSet" && refs[0].Name == "sync" && refs[0].Controller == nil:
			uids = append(uids, refs[0].UID)
		default:
			c.t.Fatalf("the owner is %+v", refs[0])
		}
	}
	if uids[0] != uids[1] {
		c.t.Fatalf("the ConfigMap belongs to %q, the Lease to %q", uids[0], uids[1])
	}
	return uids[0]
}

func TestOwner_ObjectIsCreated_BelongsToTheStatefulSet(t *testing.T) {
	c := newCluster(t)
	c.set("one", false)
	if got := c.writes("a", "", true); got != "one" {
		t.Errorf("it belongs to %q", got)
	}
	c.set("two", false)
	if got := c.writes("b", "", true); got != "two" {
		t.Errorf("after the StatefulSet was made anew it belongs to %q", got)
	}
}

func TestOwner_CreatedAfterTheStatefulSetWent_BelongsToTheEarlierOne(t *testing.T) {
	c := newCluster(t)
	c.set("one", false)
	c.writes("a", "", true)
	for i, deleting := range []types.UID{"one", ""} {
		c.set(deleting, true)
		if got := c.writes(string(rune('b'+i)), "", true); got != "one" {
			t.Errorf("it belongs to %q, so that nobody will collect it", got)
		}
	}
}

func TestAnUpdateLeavesTheOwnerAlone(t *testing.T) {
	c := newCluster(t)
	c.set("one", false)
	c.writes("a", "", true)
	c.set("two", false)
	c.lookups = 0
	if got := c.writes("a", "one", false); got != "one" || c.lookups > 0 {
		t.Errorf("it belongs to %q after %d looks at the StatefulSet", got, c.lookups)
	}
}

func TestOwner_ObjectHasNone_IsAdoptedInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		none := ownerref.New(c.meta, "ns", "", logr.Discard())
		c.belongs, none = none, c.belongs
		if got := c.writes("a", "", true); got != "" || c.lookups > 0 {
			t.Fatalf("without a StatefulSet it belongs to %q after %d looks at one", got, c.lookups)
		}
		c.belongs = none

		c.set("one", true) // about to be deleted without its pods
		for range 5 {
			if got := c.writes("a", "", false); got != "" {
				t.Errorf("it was given to %q, which is being deleted", got)
			}
		}
		if c.lookups != 1 {
			t.Errorf("the StatefulSet was looked up %d times", c.lookups)
		}
		c.set("two", false)
		time.Sleep(time.Minute)
		adopted := map[types.UID]bool{}
		for range 2 { // the first lookup is for the ConfigMap; the Lease's turn comes a minute later
			m, err := ownerref.ConfigMaps(c.core.CoreV1(), c.belongs).ConfigMaps("ns").Update(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "a"}}, metav1.UpdateOptions{})
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range m.OwnerReferences {
				adopted[r.UID] = true
			}
			time.Sleep(time.Minute)
		}
		if len(adopted) != 1 || !adopted["two"] {
			t.Errorf("it was given to %v", adopted)
		}
	})
}

func TestWithoutPermissionNothingHasAnOwner(t *testing.T) {
	c := newCluster(t)
	c.set("one", false)
	c.refuse = apierrors.NewForbidden(sets.GroupResource(), "sync", errors.New("no"))
	if got := c.writes("a", "", true); got != "" {
		t.Errorf("it belongs to %q", got)
	}
	if got := c.writes("a", "", false); got != "" {
		t.Errorf("it belongs to %q", got)
	}
}
