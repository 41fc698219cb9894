package watch_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/watch"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/watch/watchtest"
)

func TestMetricsFollowTheTypes(t *testing.T) {
	reg := prometheus.NewRegistry()
	compare := func(t *testing.T, want string) {
		t.Helper()
		synctest.Wait()
		err := testutil.GatherAndCompare(reg, strings.NewReader(want),
			"k8s_vectordb_sync_watch_types", "k8s_vectordb_sync_watch_failing", "k8s_vectordb_sync_watch_listed_objects")
		if err != nil {
			t.Error(err)
		}
	}
	inBubble(t, watch.Options{Registerer: reg}, func(s *watchtest.Server) {
		s.Fail(widgets.GVR(), forbidden(widgets))
		s.Put(pods.GVR(), meta("a", "x"))
	}, func(t *testing.T, b *bubble) {
		const header = `
# HELP k8s_vectordb_sync_watch_types Wanted resource types by phase of their watch.
# TYPE k8s_vectordb_sync_watch_types gauge
`
		b.Set([]resource.Type{pods, widgets})
		compare(t, header+`
k8s_vectordb_sync_watch_types{phase="failing"} 1
k8s_vectordb_sync_watch_types{phase="listing"} 0
k8s_vectordb_sync_watch_types{phase="synced"} 1
k8s_vectordb_sync_watch_types{phase="unreadable"} 0
k8s_vectordb_sync_watch_types{phase="waiting"} 0
# HELP k8s_vectordb_sync_watch_failing 1 for each resource that cannot be read, with the reason; absent for all others.
# TYPE k8s_vectordb_sync_watch_failing gauge
k8s_vectordb_sync_watch_failing{reason="forbidden",resource="widgets.v1.example.com"} 1
# HELP k8s_vectordb_sync_watch_listed_objects Objects in the last complete list of a resource, after the namespace filter.
# TYPE k8s_vectordb_sync_watch_listed_objects gauge
k8s_vectordb_sync_watch_listed_objects{resource="pods.v1"} 1
`)
		b.server.Fail(widgets.GVR(), unavailable())
		time.Sleep(time.Minute)
		b.Set(nil)
		compare(t, header+`
k8s_vectordb_sync_watch_types{phase="failing"} 0
k8s_vectordb_sync_watch_types{phase="listing"} 0
k8s_vectordb_sync_watch_types{phase="synced"} 0
k8s_vectordb_sync_watch_types{phase="unreadable"} 0
k8s_vectordb_sync_watch_types{phase="waiting"} 0
`)
	})
}
