package plugin_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/api"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/plugin"
)

// direct is a transport to a replica in the same bubble.
type direct struct {
	http.Handler
	down atomic.Bool
}

func newDirect(b *backend) *direct { return &direct{Handler: api.New(b, api.Options{}).Handler()} }

// RoundTrip implements [http.RoundTripper].
func (d *direct) RoundTrip(r *http.Request) (*http.Response, error) {
	if d.down.Load() {
		return nil, errors.New("connection refused")
	}
	w := httptest.NewRecorder()
	d.ServeHTTP(w, r)
	return w.Result(), nil
}

func TestFollowShowsEachStep(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := well(0)
		b.steps = []api.Operation{step(10, 20243, 1), step(900, 20243, 2), finished("done", "")}
		var out bytes.Buffer
		start := time.Now()
		op, err := plugin.Follow(t.Context(), step(0, 20243, 0), &out, false, newDirect(b))
		if err != nil || op.Status != "done" {
			t.Fatalf("got %+v, %v", op, err)
		}
		if took := time.Since(start); took != 3*time.Second {
			t.Errorf("three reads took %s", took)
		}
		want := "resync op-1: 0 of 20243 objects (0.0%), 0 of 60 types\n" // and no line again within five seconds
		if diff := cmp.Diff(want, out.String()); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	})
}

func TestLinesAreFewAndNeverTheSame(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := well(0)
		for i := range 30 {
			b.steps = append(b.steps, step(100*(i/10), 20243, 0)) // changes every ten seconds
		}
		b.steps = append(b.steps, finished("done", ""))
		var out bytes.Buffer
		if _, err := plugin.Follow(t.Context(), step(0, 20243, 0), &out, false, newDirect(b)); err != nil {
			t.Fatal(err)
		}
		want := "resync op-1: 0 of 20243 objects (0.0%), 0 of 60 types\n" +
			"resync op-1: 100 of 20243 objects (0.5%), 0 of 60 types\n" +
			"resync op-1: 200 of 20243 objects (1.0%), 0 of 60 types\n"
		if diff := cmp.Diff(want, out.String()); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	})
}

// TestFollowSurvivesARollout stops the replica that was asked; another one knows the operation.
func TestFollowSurvivesARollout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		asked, other := newDirect(well(0)), well(1)
		asked.down.Store(true)
		other.steps = []api.Operation{step(900, 20243, 2), finished("done", "")}
		op, err := plugin.Follow(t.Context(), step(0, 20243, 0), &bytes.Buffer{}, false, asked, newDirect(other))
		if err != nil || op.Status != "done" {
			t.Errorf("got %+v, %v", op, err)
		}
	})
}

func TestFollowIsPatientWithASilentFleet(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := well(0)
		b.steps = []api.Operation{finished("done", "")}
		d := newDirect(b)
		d.down.Store(true)
		time.AfterFunc(100*time.Second, func() { d.down.Store(false) })
		if op, err := plugin.Follow(t.Context(), step(0, 20243, 0), &bytes.Buffer{}, false, d); err != nil || op.Status != "done" {
			t.Errorf("got %+v, %v", op, err)
		}
	})
}

func TestFollowGivesUpASilentFleet(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDirect(well(0))
		d.down.Store(true)
		op, err := plugin.Follow(t.Context(), step(7, 20243, 0), &bytes.Buffer{}, false, d)
		if err == nil || !strings.Contains(err.Error(), "connection refused") || op.Resources.Done != 7 {
			t.Errorf("got %+v, %v", op, err)
		}
	})
}

func TestFollowEndsWhenNobodyKnowsTheResync(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, err := plugin.Follow(t.Context(), step(0, 20243, 0), &bytes.Buffer{}, false, newDirect(well(0)), newDirect(well(1)))
		if err == nil || !strings.HasPrefix(err.Error(), "no replica knows this resync any more") {
			t.Errorf("got %v", err)
		}
	})
}

func TestFollowEndsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := well(0)
		b.steps = []api.Operation{step(5, 20243, 0)}
		ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
		defer cancel()
		op, err := plugin.Follow(ctx, step(0, 20243, 0), &bytes.Buffer{}, false, newDirect(b))
		if !errors.Is(err, context.DeadlineExceeded) || op.Resources.Done != 5 {
			t.Errorf("got %+v, %v", op, err)
		}
	})
}

// TestBarNeverFillsBeforeTheEnd gives the bar an estimate that is too small.
func TestBarNeverFillsBeforeTheEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := well(0)
		b.steps = []api.Operation{step(50, 100, 1), step(100, 100, 2), step(300, 100, 3), step(301, 1000, 4), finished("done", "")}
		var out bytes.Buffer
		if _, err := plugin.Follow(t.Context(), step(0, 0, 0), &out, true, newDirect(b)); err != nil {
			t.Fatal(err)
		}
		drawn := out.String()
		for _, want := range []string{"1 of 60 types", "(50/100", "(100/101", "(300/301", "4 of 60 types", "(301/1000"} {
			if !strings.Contains(drawn, want) {
				t.Errorf("lacks %q", want)
			}
		}
		if strings.Contains(drawn, "100%") {
			t.Error("was full")
		}
		if t.Failed() {
			t.Logf("%q", drawn)
		}
	})
}
