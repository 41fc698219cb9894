//go:build e2e

package e2e

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/fleet"
)

// TestMembersComeAndGoWithoutAListAndWithoutAWord has a member join, one leave and one die and come back while
// nothing changes. The members that stay list nothing, and send next to nothing.
func TestMembersComeAndGoWithoutAListAndWithoutAWord(t *testing.T) {
	besideUnlessMeasured(t, 40*time.Second)
	m := stormMeasure(t)
	s := newStorm(t, m)
	s.verify = "0" // its lists come with the hour, and not with a member
	cluster(t, s.rig, m.objects)
	for i := range 3 {
		s.start(replicaName(i))
	}
	s.ready()
	s.rig.WaitEqual(2 * time.Minute)
	s.waitCheckpoints()
	_, n := s.rig.WaitEqual(time.Minute)

	for _, c := range []struct {
		what string
		do   func()
	}{
		{"a member joins", func() { s.start("replica-3"); s.ready() }},
		{"a member leaves", func() {
			leaver := s.slots["replica-3"]
			delete(s.slots, "replica-3")
			leaver.Signal(syscall.SIGTERM)
			if code := leaver.Wait(grace); code != 0 {
				t.Errorf("exit code %d, want 0", code)
			}
			s.ready()
		}},
		{"a member dies", func() { s.inside(deedKill, "replica-0"); s.ready() }},
		{"it comes back", func() { s.start("replica-0"); s.ready() }},
	} {
		mark, before := s.rig.Mark(), s.listsBy()
		stay := slices.Collect(maps.Values(s.slots))
		c.do()
		s.rig.WaitEqual(time.Minute)
		lists := 0
		for _, one := range stay {
			if s.slots[one.Name] != one {
				continue
			}
			lists += s.listsBy()[one.user] - before[one.user]
		}
		again := 0
		for _, rec := range s.rig.Since(mark) {
			again += len(rec.Upserts) + len(rec.Deletes)
		}
		t.Logf("%s: %d lists by those that stayed, %d of %d objects sent", c.what, lists, again, n)
		if lists > 0 {
			t.Errorf("%s: %d lists by those that stayed, want none", c.what, lists)
		}
		if again > n/100 {
			t.Errorf("%s: %d objects sent, want at most %d", c.what, again, n/100)
		}
	}
}

// waitCheckpoints waits until every replica has written one more checkpoint.
func (s *storm) waitCheckpoints() {
	s.t.Helper()
	s.rig.Kube("", "create", "configmap", "beside")
	objects := client(s.t, s.rig).Resource(configMaps).Namespace("default")
	version := func(name string) uint64 {
		o, err := objects.Get(s.t.Context(), name, metav1.GetOptions{})
		if err != nil {
			return 0
		}
		v, err := strconv.ParseUint(o.GetResourceVersion(), 10, 64)
		if err != nil {
			s.t.Fatal(err)
		}
		return v
	}
	beside := version("beside")
	s.rig.WaitEqual(time.Minute)
	fleet.Eventually(s.t, time.Minute, func() string {
		for name := range s.slots {
			if version("k8s-vectordb-sync-default-"+name) <= beside {
				return fmt.Sprintf("%s has not written a checkpoint since the last change", name)
			}
		}
		return ""
	})
}

// listsBy counts the lists of watched resources by client.
func (s *storm) listsBy() map[string]int {
	s.t.Helper()
	events, err := s.rig.AuditEvents()
	if err != nil {
		s.t.Fatal(err)
	}
	by := make(map[string]int)
	for _, e := range events {
		initial := e.Verb == "watch" && strings.Contains(e.URI, "sendInitialEvents=true")
		if (e.Verb == "list" || initial) && e.Namespace == "" {
			by[e.User]++
		}
	}
	return by
}
