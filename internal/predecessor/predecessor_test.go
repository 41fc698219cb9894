package predecessor_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr/funcr"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"
	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	metadatafake "k8s.io/client-go/metadata/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/predecessor"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var deployments = schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}

// cluster is an API server with Deployments, of which some may be listed. It may also be down.
type cluster struct {
	t    *testing.T
	meta *metadatafake.FakeMetadataClient
	core *fake.Clientset
	reg  *prometheus.Registry

	mu      sync.Mutex // guards the fields below
	away    error
	allowed []string // namespaces, the empty one for all
	lists   []string
	logged  []string
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	scheme := metadatafake.NewTestScheme()
	if err := metav1.AddMetaToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	c := &cluster{t: t, meta: metadatafake.NewSimpleMetadataClient(scheme), core: fake.NewClientset(), reg: prometheus.NewRegistry(), allowed: []string{""}}
	c.core.PrependReactor("create", "selfsubjectaccessreviews", func(a clienttesting.Action) (bool, runtime.Object, error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		review := a.(clienttesting.CreateAction).GetObject().(*authorizationv1.SelfSubjectAccessReview).DeepCopy()
		review.Status.Allowed = slices.Contains(c.allowed, review.Spec.ResourceAttributes.Namespace)
		return true, review, c.away
	})
	c.meta.PrependReactor("list", "deployments", func(a clienttesting.Action) (bool, runtime.Object, error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.lists = append(c.lists, a.GetNamespace())
		if !slices.Contains(c.allowed, a.GetNamespace()) {
			c.t.Errorf("Deployments of namespace %q are listed, which is not allowed", a.GetNamespace())
		}
		return false, nil, nil
	})
	return c
}

func (c *cluster) deploy(namespace, name, label string) {
	c.t.Helper()
	o := &metav1.PartialObjectMetadata{
		TypeMeta:   metav1.TypeMeta{APIVersion: "apps/v1", Kind: "Deployment"},
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{"app.kubernetes.io/name": label}},
	}
	if err := c.meta.Tracker().Create(deployments, o, namespace); err != nil {
		c.t.Fatal(err)
	}
}

func (c *cluster) remove(namespace, name string) {
	c.t.Helper()
	if err := c.meta.Tracker().Delete(deployments, namespace, name); err != nil {
		c.t.Fatal(err)
	}
}

// start runs a Watcher, and sends its result to the channel.
func (c *cluster) start(ctx context.Context, resourceSyncConfig bool) chan error {
	w := predecessor.New(c.meta, c.core.AuthorizationV1(), predecessor.Options{
		Namespaces: []string{"sync", "team", "sync"}, ResourceSyncConfig: resourceSyncConfig, Registerer: c.reg,
		Log: funcr.New(func(_, args string) {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.logged = append(c.logged, args)
		}, funcr.Options{}),
	})
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	return ended
}

// said returns the log so far.
func (c *cluster) said() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.logged)
}

// answers has the API server answer with this error, or without any.
func (c *cluster) answers(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.away = err
}

func (c *cluster) counts(want int) {
	c.t.Helper()
	expected := strings.NewReader(strings.ReplaceAll(`# HELP k8s_vectordb_sync_predecessor_deployments Deployments of k8s-vectordb-sync 0.1, or of dot-ai-controller where ResourceSyncConfigs are read: two writers race.
# TYPE k8s_vectordb_sync_predecessor_deployments gauge
k8s_vectordb_sync_predecessor_deployments N
`, "N\n", string(rune('0'+want))+"\n"))
	if err := testutil.GatherAndCompare(c.reg, expected); err != nil {
		c.t.Error(err)
	}
}

func TestWatcher_APredecessor_IsNamedOnceAndSaidToBeGone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		c.deploy("old", "k8s-vectordb-sync-controller-manager", "k8s-vectordb-sync")
		c.deploy("dot-ai", "dot-ai-controller-manager", "dot-ai-controller") // a rival only with ResourceSyncConfigs
		c.deploy("shop", "web", "web")
		ended := c.start(t.Context(), false)
		time.Sleep(12 * time.Minute)
		synctest.Wait()
		if said := c.said(); len(said) != 1 || !strings.Contains(said[0], `["old/k8s-vectordb-sync-controller-manager"]`) {
			t.Errorf("logged %q, want the Deployment once", said)
		}
		c.counts(1)
		c.remove("old", "k8s-vectordb-sync-controller-manager")
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if said := c.said(); len(said) != 2 || !strings.Contains(said[1], "gone") {
			t.Errorf("logged %q, want that it is gone", said)
		}
		c.counts(0)
	})
}

func TestWatcher_ResourceSyncConfigsAreRead_DotAIControllerRacesToo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		c.deploy("dot-ai", "dot-ai-controller-manager", "dot-ai-controller")
		ctx, stop := context.WithCancel(t.Context())
		ended := c.start(ctx, true)
		synctest.Wait()
		c.counts(1)
		stop()
		if err := <-ended; err != nil || !strings.Contains(strings.Join(c.said(), ""), "dot-ai/dot-ai-controller-manager") {
			t.Errorf("ended with %v and logged %q", err, c.said())
		}
	})
}

func TestWatcher_WithoutARight_LooksWhereItMayAndSaysNothing(t *testing.T) {
	t.Parallel()
	for name, allowed := range map[string][]string{
		"everywhere": {""}, "in its namespace": {"sync"}, "in two namespaces": {"sync", "team"}, "nowhere": nil,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(t)
				c.allowed = allowed
				if err := <-c.start(t.Context(), false); err != nil {
					t.Error(err)
				}
				if diff := cmp.Diff(allowed, c.lists); diff != "" {
					t.Errorf("namespaces that were looked into (-want +got):\n%s", diff)
				}
				if said := c.said(); len(said) > 0 {
					t.Errorf("logged %q, want nothing", said)
				}
			})
		})
	}
}

func TestWatcher_EvenTheQuestionIsForbidden_SaysNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		c.answers(apierrors.NewForbidden(deployments.GroupResource(), "", errors.New("no role")))
		if err := <-c.start(t.Context(), false); err != nil || len(c.said()) > 0 || len(c.lists) > 0 {
			t.Errorf("ended with %v, logged %q, listed %q", err, c.said(), c.lists)
		}
	})
}

func TestWatcher_AnAPIServerThatIsAway_IsAskedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		c.deploy("old", "sync", "k8s-vectordb-sync")
		c.answers(apierrors.NewServiceUnavailable("starting"))
		ctx, stop := context.WithCancel(t.Context())
		ended := c.start(ctx, false)
		time.Sleep(time.Minute)
		synctest.Wait()
		c.counts(0)
		c.answers(nil)
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		c.counts(1)
		stop()
		<-ended
	})
}
