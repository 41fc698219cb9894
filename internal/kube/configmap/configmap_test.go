package configmap_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/kube/configmap"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// noted is a sink that notes its calls.
type noted struct {
	got    []string
	listed chan struct{}
}

func (n *noted) Set(m *corev1.ConfigMap)    { n.got = append(n.got, "set "+m.Name+" "+m.Data["k"]) }
func (n *noted) Delete(m *corev1.ConfigMap) { n.got = append(n.got, "delete "+m.Name) }

func (n *noted) Replace(all []*corev1.ConfigMap) {
	text := "all"
	for _, m := range all {
		text += " " + m.Name
	}
	n.got = append(n.got, text)
	close(n.listed)
}

func TestFollow_ShowsWhatThereIsAndWhatChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := fake.NewClientset().CoreV1().ConfigMaps("ns")
		put := func(name, value string, current *corev1.ConfigMap) *corev1.ConfigMap {
			t.Helper()
			m, err := configmap.Put(t.Context(), client, name, current, configmap.Content{Labels: map[string]string{"mine": "yes"}, Data: map[string]string{"k": value}})
			if err != nil {
				t.Fatal(err)
			}
			return m
		}
		a := put("a", "1", nil)
		ctx, cancel := context.WithCancel(t.Context())
		n := &noted{listed: make(chan struct{})}
		done := make(chan error, 1)
		go func() { done <- configmap.Follow(ctx, configmap.Source{Client: client, Labels: "mine=yes"}, n) }()
		<-n.listed
		synctest.Wait()
		put("a", "2", a)
		put("b", "1", nil)
		if err := client.Delete(t.Context(), "b", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff([]string{"all a", "set a 2", "set b 1", "delete b"}, n.got); diff != "" {
			t.Errorf("shown (-want +got):\n%s", diff)
		}
	})
}

func TestFollow_WithoutPermissionAtTheStart_Ends(t *testing.T) {
	t.Parallel()
	set := fake.NewClientset()
	set.PrependReactor("list", "configmaps", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: "configmaps"}, "", nil)
	})
	err := configmap.Follow(t.Context(), configmap.Source{Client: set.CoreV1().ConfigMaps("ns")}, &noted{listed: make(chan struct{})})
	if !apierrors.IsForbidden(err) {
		t.Errorf("lists are refused: %v", err)
	}
}

func TestPut_WhenAnotherWasFaster_IsLost(t *testing.T) {
	t.Parallel()
	client := fake.NewClientset().CoreV1().ConfigMaps("ns")
	if m, err := configmap.Get(t.Context(), client, "a"); m != nil || err != nil {
		t.Fatalf("of one that does not exist: %v, %v", m, err)
	}
	m, err := configmap.Put(t.Context(), client, "a", nil, configmap.Content{Binary: map[string][]byte{"k": {1}}})
	if err != nil || m.Labels["app.kubernetes.io/name"] == "" || len(m.Data) > 0 {
		t.Fatalf("%+v, %v", m, err)
	}
	if _, err := configmap.Put(t.Context(), client, "a", nil, configmap.Content{}); !configmap.Lost(err) {
		t.Errorf("to create what is there: %v", err)
	}
	if err := client.Delete(t.Context(), "a", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := configmap.Put(t.Context(), client, "a", m, configmap.Content{}); !configmap.Lost(err) {
		t.Errorf("to update what is gone: %v", err)
	}
}
