package pipeline_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/delivery"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/pipeline"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bubble runs a test in virtual time.
func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}

func wantRequests(t *testing.T, r *rig, want ...string) {
	t.Helper()
	synctest.Wait()
	if diff := cmp.Diff(want, r.rcv.requests()); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}

func wantDocs(t *testing.T, r *rig, nameBody ...string) {
	t.Helper()
	want := map[resource.ID]resource.Body{}
	for i := 0; i < len(nameBody); i += 2 {
		want[id(nameBody[i])] = resource.Body(nameBody[i+1])
	}
	if diff := cmp.Diff(want, r.rcv.documents()); diff != "" {
		t.Errorf("documents (-want +got):\n%s", diff)
	}
}

func TestChangesWaitForQuietAndOnlyTheLastStateIsSent(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, pipeline.Options{})
		r.list()
		r.put("x", "1")
		time.Sleep(4 * time.Second)
		r.put("x", "2")
		time.Sleep(4 * time.Second)
		r.put("x", "3")
		time.Sleep(14 * time.Second) // quiet 10 s after second 8, then 5 s for the batch to fill
		wantRequests(t, r)
		time.Sleep(2 * time.Second)
		wantRequests(t, r, "23s +x=3")
	})
}

func TestARestlessObjectIsSentEveryMaxWait(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, pipeline.Options{Debounce: 10 * time.Second, MaxWait: 30 * time.Second, FlushInterval: time.Second})
		r.list()
		for s := range 100 {
			r.put("x", fmt.Sprint(s))
			time.Sleep(time.Second)
		}
		got := r.rcv.requests()
		if len(got) != 3 {
			t.Errorf("sent %v, want one every 30 s", got)
		}
	})
}

func TestDeletesGoAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, pipeline.Options{})
		r.list("x", "1")
		time.Sleep(time.Minute)
		r.del("x")
		time.Sleep(time.Second)
		wantRequests(t, r, "5s +x=1", "60s -x")
		wantDocs(t, r)
	})
}

func TestADeleteOvertakesTheDebounceOfItsObject(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, pipeline.Options{})
		r.list()
		r.put("x", "1")
		time.Sleep(time.Second)
		r.del("x")
		time.Sleep(time.Minute)
		wantRequests(t, r, "1s -x")
	})
}

func TestDeleteThenRecreateBecomesOneUpsertWhileTheReceiverIsBusy(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, pipeline.Options{})
		r.rcv.decide = func(int, delivery.Request) answer { a := delivered; a.took = 20 * time.Second; return a }
		r.list("x", "1", "y", "1", "z", "1")
		time.Sleep(time.Minute)
		r.del("y")
		synctest.Wait()
		r.del("z")
		synctest.Wait() // both slots are taken
		r.del("x")
		r.put("x", "2")
		time.Sleep(3 * time.Minute)
		wantRequests(t, r, "5s +x=1 +y=1 +z=1", "60s -y", "60s -z", "80s +x=2")
		wantDocs(t, r, "x", "2")
	})
}

func TestAChangeThatIsUndoneIsNotSent(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, pipeline.Options{})
		r.list("x", "1")
		time.Sleep(time.Minute)
		r.put("x", "2")
		time.Sleep(time.Second)
		r.put("x", "1")
		time.Sleep(time.Minute)
		wantRequests(t, r, "5s +x=1")
		if s := r.p.Stats(); s.Dirty != 0 {
			t.Errorf("dirty: %+v", s)
		}
	})
}

func TestAnAcknowledgementKeepsANewerState(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, pipeline.Options{FlushInterval: time.Second})
		r.rcv.decide = func(int, delivery.Request) answer { a := delivered; a.took = 30 * time.Second; return a }
		r.list()
		r.put("x", "1")
		time.Sleep(20 * time.Second) // in flight from 11 s to 41 s
		r.put("x", "2")              // quiet at 30 s, while in flight
		time.Sleep(2 * time.Minute)
		wantRequests(t, r, "11s +x=1", "42s +x=2")
		wantDocs(t, r, "x", "2")
	})
}

func TestADeleteDuringItsUpsertFollowsIt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, pipeline.Options{FlushInterval: time.Second})
		r.rcv.decide = func(int, delivery.Request) answer { a := delivered; a.took = 30 * time.Second; return a }
		r.list()
		r.put("x", "1")
		time.Sleep(20 * time.Second)
		r.del("x")
		time.Sleep(2 * time.Minute)
		wantRequests(t, r, "11s +x=1", "41s -x")
		wantDocs(t, r)
	})
}

func TestBatchesAreCutByCountAndBytes(t *testing.T) {
	for name, opts := range map[string]pipeline.Options{
		"count": {MaxUpserts: 7}, "bytes": {MaxBytes: 720 + 20},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r := newRig(t, opts)
				var objects []string
				for i := range 100 {
					objects = append(objects, fmt.Sprintf("o%03d", i), "1")
				}
				r.list(objects...)
				time.Sleep(time.Minute)
				most := 0
				for _, line := range r.rcv.requests() {
					most = max(most, strings.Count(line, "+"))
				}
				if most != 7 || len(r.rcv.documents()) != 100 {
					t.Errorf("largest request has %d upserts, want 7; %d documents, want 100", most, len(r.rcv.documents()))
				}
				if r.rcv.most > 2 {
					t.Errorf("%d requests at once, want at most 2", r.rcv.most)
				}
			})
		})
	}
}

func TestAFullBatchDoesNotWaitForTheFlush(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, pipeline.Options{MaxUpserts: 2, FlushInterval: time.Hour})
		r.list()
		r.put("x", "1")
		r.put("y", "1")
		r.put("z", "1")
		time.Sleep(time.Minute)
		wantRequests(t, r, "10s +x=1 +y=1")
	})
}

func TestLiveChangesGoBeforeBulk(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, pipeline.Options{MaxUpserts: 1, Debounce: time.Second, MaxWait: time.Second, FlushInterval: time.Millisecond})
		r.rcv.decide = func(int, delivery.Request) answer { a := delivered; a.took = 2 * time.Second; return a }
		var objects []string
		for i := range 50 {
			objects = append(objects, fmt.Sprintf("o%03d", i), "1")
		}
		r.list(objects...)
		r.put("live", "1")
		time.Sleep(5 * time.Second)
		if got := r.rcv.documents()[id("live")]; got != "1" {
			t.Errorf("the live change waits behind the first sync: %v", r.rcv.requests())
		}
	})
}
