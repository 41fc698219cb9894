package backfill_test

import (
	"context"
	"errors"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/repair"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/pipeline"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/pipeline/pipelinetest"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/index"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/watch"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/target/backfill"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/target/projection"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/target/retired"
)

var pods = resource.Type{Version: "v1", Resource: "pods", Kind: "Pod", Namespaced: true}

func all(resource.Type, string, string) bool { return true }

// pager has pods, and fails a number of times before it lists them.
type pager struct {
	fails   int
	records []resource.Record
}

func (p *pager) Pages(_ context.Context, _ resource.Type, _ watch.ListOptions, page func([]resource.Record) error) (uint64, error) {
	if p.fails--; p.fails >= 0 {
		return 0, errors.New("not now")
	}
	return 100, page(p.records)
}

// options are those of a receiver that should have every object, and of which nothing is known.
func options(x *index.Index, p *pipeline.Pipeline, pages *pager) backfill.Options {
	return backfill.Options{Index: x, Pager: pages, Pipeline: p, Log: logr.Discard(), Receiver: backfill.Receiver{
		Wants: all, Count: func(t resource.Type) int { return x.Type(t).Objects },
		Covers: func(resource.Type, resource.ID, uint64) bool { return false },
	}}
}

// fill has a receiver with the projection before succeeded by one with the projection now.
func fill(t *testing.T, x *index.Index, p *pipeline.Pipeline, records []resource.Record, now, before *projection.Projection) {
	t.Helper()
	o := options(x, p, &pager{records: records})
	o.Projection = now
	o.Before = retired.Begin(retired.Options{Index: x, Wants: all, Projection: before})
	defer o.Before.Close()
	o.Delete = (&repair.Deleter{
		Index: x, Pipeline: p, Hides: now.Hides, Gone: func(resource.Type) bool { return false },
		MaySend: func(resource.Type, resource.ID) bool { return true },
	}).Delete
	if !backfill.New(o).Run(t.Context()) {
		t.Error("it is not done")
	}
}

// TestBackfill_ViewIsNarrowed_DeletesWhatLeftIt narrows the view of a receiver: it loses the objects that left the
// view, and no other.
func TestBackfill_ViewIsNarrowed_DeletesWhatLeftIt(t *testing.T) {
	t.Parallel()
	selecting := func(text string) *resource.Selection {
		s, err := resource.ParseSelector(text)
		if err != nil {
			t.Fatal(err)
		}
		return &resource.Selection{Selector: s}
	}
	record := func(name string, version int, labels map[string]string) resource.Record {
		return resource.NewRecord(&metav1.ObjectMeta{Namespace: "a", Name: name, ResourceVersion: strconv.Itoa(version), Labels: labels}, resource.AnnotationFilter{})
	}
	x := index.New(nil)
	all := []resource.Record{
		record("stays", 1, map[string]string{"team": "shop"}), record("leaves", 2, map[string]string{"team": "other"}),
		record("never", 3, nil), record("comes", 4, map[string]string{"team": "new"}),
	}
	x.Replace(pods, all, 100)
	for name, tt := range map[string]struct {
		before *resource.Selection
		want   []string
	}{
		"narrower":      {selecting("team in (shop,other)"), []string{"leaves"}},
		"from all":      {nil, []string{"leaves", "never"}},
		"to the same":   {selecting("team in (shop,new)"), nil},
		"from another":  {selecting("!team"), []string{"never"}},
		"none was here": {selecting("nobody"), nil},
	} {
		p := pipelinetest.Idle()
		before := projection.New(tt.before)
		for _, r := range all {
			before.Show(pods, r)
		}
		fill(t, x, p, all, projection.New(selecting("team in (shop,new)")), before)
		if diff := cmp.Diff(tt.want, pipelinetest.PendingDeletions(p, pods)); diff != "" {
			t.Errorf("%s: the successor has to delete (-want +got):\n%s", name, diff)
		}
	}
}

// TestBackfill_ATypeCannotBeRead_IsTriedAgain, and every object that is not covered is offered in the end.
func TestBackfill_ATypeCannotBeRead_IsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x, p := index.New(nil), pipelinetest.Idle()
		records := []resource.Record{{Namespace: "a", Name: "p", ResourceVersion: 1, Digest: 1}, {Namespace: "a", Name: "q", ResourceVersion: 2, Digest: 1}}
		x.Replace(pods, records, 100)
		b := backfill.New(options(x, p, &pager{fails: 2, records: records}))
		began := time.Now()
		if !b.Run(t.Context()) || b.Remaining() != 0 || time.Since(began) != 20*time.Second {
			t.Errorf("after %s %d objects remain", time.Since(began), b.Remaining())
		}
		if n := p.Stats().First.Total; n != 2 {
			t.Errorf("%d objects are to be sent, want 2", n)
		}
	})
}

// TestBackfill_CheckpointsCoverAType_DoesNotReadIt, because none of its objects would be sent.
func TestBackfill_CheckpointsCoverAType_DoesNotReadIt(t *testing.T) {
	t.Parallel()
	x, pages := index.New(nil), &pager{fails: 1}
	x.Replace(pods, []resource.Record{{Namespace: "a", Name: "p", ResourceVersion: 1, Digest: 1}}, 100)
	o := options(x, pipelinetest.Idle(), pages)
	o.Covers = func(_ resource.Type, _ resource.ID, version uint64) bool { return version == 1 }
	if !backfill.New(o).Run(t.Context()) || pages.fails != 1 {
		t.Error("it was read")
	}
}

// TestBackfill_ItsContextEnds_IsNotDone, so that no member takes the receiver for one that has every object.
func TestBackfill_ItsContextEnds_IsNotDone(t *testing.T) {
	t.Parallel()
	x := index.New(nil)
	x.Replace(pods, []resource.Record{{Namespace: "a", Name: "p", ResourceVersion: 1, Digest: 1}}, 100)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if backfill.New(options(x, pipelinetest.Idle(), &pager{})).Run(ctx) {
		t.Error("it says that it is done")
	}
}
