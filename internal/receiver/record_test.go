package receiver_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/receiver"
)

func TestRecordHoldsWhatWasSentAndWhatBecameOfIt(t *testing.T) {
	r := newRig(t, receiver.Options{})
	payload := body([]map[string]any{instance("a")}, "x", "y")
	r.must(request{path: instancesPath, body: payload, header: map[string]string{receiver.SenderHeader: "pod-0"}})
	r.must(request{path: instancesPath, body: payload, header: map[string]string{"User-Agent": "curl"}})
	recs := r.Requests(0)
	if len(recs) != 2 {
		t.Fatalf("%d records, want 2", len(recs))
	}
	d, _ := r.Document(receiver.Instances, "a")
	for i, rec := range recs {
		if rec.Begin.IsZero() || rec.Applied.Before(rec.Begin) || rec.End.Before(rec.Applied) || rec.BeginAt > rec.AppliedAt || rec.AppliedAt > rec.EndAt {
			t.Errorf("times of %d are out of order: %+v", i, rec)
		}
		rec.Begin, rec.Applied, rec.End, rec.BeginAt, rec.AppliedAt, rec.EndAt, rec.Remote = time.Time{}, time.Time{}, time.Time{}, 0, 0, 0, ""
		want := receiver.Record{
			Seq: uint64(i + 1), Kind: receiver.KindInstances, Method: "POST", Path: instancesPath, Sender: []string{"pod-0", "curl"}[i],
			Bytes: int64(len(payload)), Upserts: []receiver.Upsert{{ID: "a", Hash: d.Hash, Written: true, Unchanged: i == 1}},
			Deletes: []string{"x", "y"}, Embedded: 1, Status: 200,
		}
		if diff := cmp.Diff(want, rec); diff != "" {
			t.Errorf("record %d (-want +got):\n%s", i, diff)
		}
	}
	if later := r.Requests(1); len(later) != 1 || later[0].Seq != 2 {
		t.Errorf("records since 1: %+v, want the second alone", later)
	}
}

func TestUnchangedCountsEqualContentOnly(t *testing.T) {
	r := newRig(t, receiver.Options{})
	send := func(path string, up map[string]any) int {
		before := r.Stats().Unchanged
		r.ok(path, body([]map[string]any{up}))
		return r.Stats().Unchanged - before
	}
	steps := []struct {
		name, path string
		up         map[string]any
		want       int
	}{
		{"first", instancesPath, instance("a"), 0},
		{"same", instancesPath, instance("a"), 1},
		{"other label", instancesPath, instance("a", map[string]any{"labels": map[string]any{"k": "v"}}), 0},
		{"other created", instancesPath, instance("a", map[string]any{"labels": map[string]any{"k": "v"}, "createdAt": "2027-01-01T00:00:00Z"}), 0},
		{"other store", resourcesPath, item("a"), 0},
		{"updatedAt alone", resourcesPath, item("a", map[string]any{"updatedAt": "later"}), 1},
	}
	for _, s := range steps {
		if n := send(s.path, s.up); n != s.want {
			t.Errorf("%s: %d unchanged, want %d", s.name, n, s.want)
		}
	}
	r.ok(instancesPath, body(nil, "a"))
	if n := send(instancesPath, instance("a", map[string]any{"labels": map[string]any{"k": "v"}, "createdAt": "2027-01-01T00:00:00Z"})); n != 0 {
		t.Errorf("after a delete: %d unchanged, want 0", n)
	}
}

func TestStatsSumUp(t *testing.T) {
	r := newRig(t, receiver.Options{})
	r.ok(instancesPath, body(many(3, "n/%d"), "n/0", "x"))
	r.ok(instancesPath, body(many(2, "n/%d")))
	r.post(instancesPath, `{"upserts":[1]}`)
	r.ok(resourcesPath, resync(item("a")))
	r.must(request{method: "GET", path: "/healthz"})
	s := r.Stats()
	sender := s.BySender["Go-http-client/1.1"]
	s.MaxBytes, s.BySender = 0, nil
	want := receiver.Stats{
		Requests: 5, Syncs: 4, ByStatus: map[int]int{200: 4, 400: 1}, MaxFlight: 1,
		Upserts: 6, Deletes: 2, MaxUpserts: 3, MaxDeletes: 2, Unchanged: 2, Mixed: 1, InBoth: 1, Resyncs: 1,
		Embedded: 6, EmbedCalls: 3, Documents: map[string]int{"instances": 3, "resources": 1, "capabilities": 0},
	}
	if diff := cmp.Diff(want, s); diff != "" || sender != 4 {
		t.Errorf("%d by one sender, want 4; stats (-want +got):\n%s", sender, diff)
	}
	r.ResetRequests()
	if s := r.Stats(); s.Requests != 0 || len(r.Requests(0)) != 0 {
		t.Errorf("%d requests after a reset, want 0", s.Requests)
	}
	r.ok(instancesPath, `{}`)
	if recs := r.Requests(0); len(recs) != 1 || recs[0].Seq != 6 {
		t.Errorf("records %+v, want number 6 alone", recs)
	}
}

func TestBoundedRecordsForgetTheOldest(t *testing.T) {
	r := newRig(t, receiver.Options{MaxRecords: 3})
	for i := range 5 {
		r.ok(instancesPath, body([]map[string]any{instance(fmt.Sprint(i))}))
	}
	recs := r.Requests(0)
	if len(recs) != 3 || recs[0].Seq != 3 {
		t.Errorf("%d records from %d, want 3 from 3", len(recs), recs[0].Seq)
	}
	if s := r.Stats(); s.Forgotten != 2 || s.Requests != 5 {
		t.Errorf("%d forgotten of %d, want 2 of 5", s.Forgotten, s.Requests)
	}
}

// TestOverlapsAreFound: two requests in flight at once that hold one ID break the rule of one sender. They do not
// if the client of the first had left.
func TestOverlapsAreFound(t *testing.T) {
	a, b := body([]map[string]any{instance("a"), instance("b")}), body([]map[string]any{instance("b"), instance("c")})
	remove := body(nil, "b")
	cases := map[string]struct {
		first, second string
		firstLeaves   bool
		wait          time.Duration // between the beginnings
		want          []string      // IDs
		wantAbandoned bool
	}{
		"upsert and upsert":   {first: a, second: b, wait: time.Second, want: []string{"b"}},
		"upsert and delete":   {first: a, second: remove, wait: time.Second, want: []string{"b"}},
		"different IDs":       {first: remove, second: body([]map[string]any{instance("c")}), wait: time.Second},
		"one after another":   {first: a, second: b, wait: 10 * time.Second},
		"first client gone":   {first: a, second: b, wait: 3 * time.Second, firstLeaves: true, want: []string{"b"}, wantAbandoned: true},
		"leaves afterwards":   {first: a, second: b, wait: time.Second, firstLeaves: true, want: []string{"b"}},
		"touching each other": {first: a, second: b, wait: 5*time.Second + 1, want: nil},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			inBubble(t, receiver.Options{}, func(t *testing.T, r *rig) {
				r.faults(receiver.Rule{Effect: receiver.Effect{ApplyLate: receiver.Duration(5 * time.Second)}})
				ctx := t.Context()
				if c.firstLeaves {
					var leave context.CancelFunc
					ctx, leave = context.WithTimeout(ctx, 2*time.Second)
					defer leave()
				}
				first := make(chan error, 1)
				go func() { first <- r.inFlight(ctx, c.first) }()
				time.Sleep(c.wait)
				if err := r.inFlight(t.Context(), c.second); err != nil {
					t.Fatal(err)
				}
				if err := <-first; err != nil && !errors.Is(err, context.DeadlineExceeded) {
					t.Fatal(err)
				}
				synctest.Wait()
				var ids []string
				for _, o := range r.Overlaps() {
					ids = append(ids, o.ID)
					if o.First.Seq != 1 || o.Second.Seq != 2 || o.Abandoned != c.wantAbandoned {
						t.Errorf("requests %d and %d, abandoned %t, want 1 and 2, %t", o.First.Seq, o.Second.Seq, o.Abandoned, c.wantAbandoned)
					}
				}
				if diff := cmp.Diff(c.want, ids); diff != "" {
					t.Errorf("IDs (-want +got):\n%s", diff)
				}
				s := r.Stats()
				broken, abandoned := len(c.want), 0
				if c.wantAbandoned {
					broken, abandoned = 0, len(c.want)
				}
				if s.Overlaps != broken || s.Abandoned != abandoned {
					t.Errorf("%d overlaps and %d abandoned, want %d and %d", s.Overlaps, s.Abandoned, broken, abandoned)
				}
			})
		})
	}
}

// A request holds its IDs from its first byte, although the receiver knows them only after its last.
func TestOverlapIsFoundWhenTheFirstEndsWhileTheSecondIsStillRead(t *testing.T) {
	r := newRig(t, receiver.Options{})
	reader, writer := io.Pipe()
	second := make(chan error, 1)
	go func() {
		resp, err := r.client.Post(r.url+instancesPath, "application/json", reader)
		if err == nil {
			err = resp.Body.Close()
		}
		second <- err
	}()
	for r.Stats().InFlight == 0 {
		runtime.Gosched() // with a real socket, only the kernel knows when
	}
	payload := body([]map[string]any{instance("a")})
	r.ok(instancesPath, payload)
	if _, err := io.WriteString(writer, payload); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(writer.Close(), <-second); err != nil {
		t.Fatal(err)
	}
	if o := r.Overlaps(); len(o) != 1 || o[0].ID != "a" || o[0].Abandoned {
		t.Errorf("overlaps %+v, want one of a", o)
	}
}

func TestClientThatLeavesASocketIsNoticed(t *testing.T) {
	r := newRig(t, receiver.Options{})
	r.faults(receiver.Rule{Effect: receiver.Effect{Hang: receiver.Forever}}) // ends only when the client leaves
	ctx, leave := context.WithCancel(t.Context())
	answered := make(chan error, 1)
	go func() { answered <- r.inFlight(ctx, `{}`) }()
	for r.Stats().InFlight == 0 {
		runtime.Gosched() // with a real socket, only the kernel knows when
	}
	leave()
	if err := <-answered; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	for r.Stats().InFlight > 0 {
		runtime.Gosched() // with a real socket, only the kernel knows when
	}
	if rec := r.Requests(0)[0]; !rec.ClientGone || rec.Status != 0 {
		t.Errorf("record %+v, want the client gone and no status", rec)
	}
}
