package configmaps_test

import (
	"errors"
	"testing"
	"testing/synctest"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/configmaps"
)

func named(name string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"name": name}}}
}

func TestUpdate_OfAnOldVersion_IsRefused(t *testing.T) {
	c := configmaps.NewServer().Client("a")
	first, err := c.Create(t.Context(), named("m"), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Create(t.Context(), named("m"), metav1.CreateOptions{}); !apierrors.IsAlreadyExists(err) {
		t.Errorf("a second one: %v", err)
	}
	if _, err := c.Update(t.Context(), first, metav1.UpdateOptions{}); err != nil {
		t.Errorf("from the present version: %v", err)
	}
	if _, err := c.Update(t.Context(), first, metav1.UpdateOptions{}); !apierrors.IsConflict(err) {
		t.Errorf("from an old version: %v, want a conflict", err)
	}
}

// TestWatch_FromAList_BringsWhatHasChangedSince has changes between a list and its watch, and while the watch is deaf.
func TestWatch_FromAList_BringsWhatHasChangedSince(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := configmaps.NewServer()
		c := s.Client("a")
		s.Edit("before", func(map[string]string) {})
		list, err := c.List(t.Context(), metav1.ListOptions{})
		if err != nil || len(list.Items) != 1 {
			t.Fatalf("%d ConfigMaps, %v", len(list.Items), err)
		}
		create := func(name string) {
			if _, err := c.Create(t.Context(), named(name), metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		create("m")
		create("other")
		w, err := c.Watch(t.Context(), metav1.ListOptions{ResourceVersion: list.ResourceVersion, LabelSelector: "name=m"})
		if err != nil {
			t.Fatal(err)
		}
		defer w.Stop()
		if e := <-w.ResultChan(); e.Type != watch.Added {
			t.Errorf("%+v, want the creation after the list", e)
		}
		c.Break(func(f *configmaps.Faults) { f.Deaf = true })
		s.Remove("m")
		synctest.Wait()
		select {
		case e := <-w.ResultChan():
			t.Errorf("deaf, it brings %+v", e)
		default:
		}
		c.Break(func(f *configmaps.Faults) { f.Deaf = false })
		if e := <-w.ResultChan(); e.Type != watch.Deleted {
			t.Errorf("%+v, want the deletion", e)
		}
	})
}

func TestFaults_FailRequests(t *testing.T) {
	s := configmaps.NewServer()
	c, ours, all := s.Client("a"), errors.New("ours"), errors.New("all")
	c.Break(func(f *configmaps.Faults) { f.Lost = 1 })
	if _, err := c.Create(t.Context(), named("m"), metav1.CreateOptions{}); !apierrors.IsTimeout(err) || s.Written() != 1 {
		t.Errorf("%v after %d writes, want a lost answer", err, s.Written())
	}
	s.Answer(all)
	if _, err := s.Client("b").Get(t.Context(), "m", metav1.GetOptions{}); !errors.Is(err, all) {
		t.Errorf("b: %v", err)
	}
	c.Break(func(f *configmaps.Faults) { f.Err = ours })
	if _, err := c.Get(t.Context(), "m", metav1.GetOptions{}); !errors.Is(err, ours) {
		t.Errorf("a: %v", err)
	}
}
