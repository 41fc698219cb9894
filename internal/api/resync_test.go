package api_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/api"
)

// serve starts a request in a bubble and returns its answer and a function that waits for it.
func serve(h http.Handler, r *http.Request) (w *httptest.ResponseRecorder, wait func()) {
	w, done := httptest.NewRecorder(), make(chan struct{})
	go func() { defer close(done); h.ServeHTTP(w, r) }()
	return w, func() { <-done }
}

func post(ctx context.Context, target string) *http.Request {
	return httptest.NewRequestWithContext(ctx, http.MethodPost, target, http.NoBody)
}

func TestPlainPostWaitsAndAnswersLiterally(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := &backend{}
		w, wait := serve(api.New(b, api.Options{}).Handler(), post(t.Context(), "/api/v1/resync"))
		time.Sleep(9 * time.Minute)
		b.finish("op-1", api.OperationDone, 1234, "")
		wait()
		want := `{"status":"ok","resources":1234,"message":"resynced 1234 resources"}` + "\n"
		if w.Code != 200 || w.Body.String() != want {
			t.Errorf("got %d %q, want 200 %q", w.Code, w.Body, want)
		}
		if diff := cmp.Diff([]api.Request{{Scope: "fleet"}}, b.asked()); diff != "" {
			t.Error(diff)
		}
	})
}

func TestResync_OperationHasAMessage_IsAppended(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := &backend{}
		w, wait := serve(api.New(b, api.Options{}).Handler(), post(t.Context(), "/api/v1/resync"))
		synctest.Wait()
		b.finish("op-1", api.OperationDone, 5, "3 orphans > 2 & held")
		wait()
		if got := w.Body.String(); got != `{"status":"ok","resources":5,"message":"resynced 5 resources; 3 orphans > 2 & held"}`+"\n" {
			t.Errorf("got %s", got)
		}
	})
}

func TestWaitIsBounded(t *testing.T) {
	t.Parallel()
	for target, want := range map[string]time.Duration{
		"/api/v1/resync":              10 * time.Minute,
		"/api/v1/resync?timeout=90s":  90 * time.Second,
		"/api/v1/resync?timeout=1h":   time.Hour,
		"/api/v1/resync?timeout=10ms": 10 * time.Millisecond,
	} {
		t.Run(target, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := &backend{}
				start := time.Now()
				w, wait := serve(api.New(b, api.Options{}).Handler(), post(t.Context(), target))
				synctest.Wait()
				b.progress("op-1", 7)
				wait()
				if got := time.Since(start); got != want { // exact: the clock of the bubble is not real
					t.Errorf("waited %s, want %s", got, want)
				}
				if w.Code != 202 || w.Header().Get("Location") != "/api/v1/resync/op-1" {
					t.Errorf("got %d, Location %q", w.Code, w.Header().Get("Location"))
				}
				if op := decode[api.Operation](t, w); op.ID != "op-1" || op.Status != "running" || op.Resources.Done != 7 {
					t.Errorf("got %+v, want how far it is now", op)
				}
			})
		})
	}
}

func TestNoWaitAnswersAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := &backend{}
		start := time.Now()
		w := do(t, api.New(b, api.Options{}).Handler(), "POST", "/api/v1/resync?wait=false&scope=replica&resource=Deployments.apps", `{"namespace":"shop","force":true}`)
		if time.Since(start) != 0 || w.Code != 202 || w.Header().Get("Location") != "/api/v1/resync/op-1" {
			t.Errorf("got %d after %s, Location %q", w.Code, time.Since(start), w.Header().Get("Location"))
		}
		if op := decode[api.Operation](t, w); op.ID != "op-1" || op.Status != "running" {
			t.Errorf("got %+v", op)
		}
		want := []api.Request{{Scope: "replica", Resource: "deployments.apps", Namespace: "shop", Force: true}}
		if diff := cmp.Diff(want, b.asked()); diff != "" {
			t.Error(diff)
		}
	})
}

func TestFailedResyncIs500AndNamesTheOperation(t *testing.T) {
	t.Parallel()
	for name, message := range map[string]string{"the receiver is gone": "the receiver is gone", "": "the resync failed"} {
		t.Run(message, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := &backend{}
				w, wait := serve(api.New(b, api.Options{}).Handler(), post(t.Context(), "/api/v1/resync"))
				synctest.Wait()
				b.finish("op-1", api.OperationFailed, 5, name)
				wait()
				want := api.Error{Status: "error", Message: message, Suggestions: []string{}, Operation: "op-1"}
				if diff := cmp.Diff(want, decode[api.Error](t, w)); w.Code != 500 || diff != "" {
					t.Errorf("got %d, %s", w.Code, diff)
				}
			})
		})
	}
}

func TestClientThatGoesAwayCancelsNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := &backend{}
		ctx, hangUp := context.WithCancel(t.Context())
		w, wait := serve(api.New(b, api.Options{}).Handler(), post(ctx, "/api/v1/resync"))
		synctest.Wait()
		hangUp()
		wait()
		if w.Code != 499 || w.Body.Len() != 0 {
			t.Errorf("got %d %q, want 499 and nothing", w.Code, w.Body)
		}
		if op, _ := b.Resync("op-1"); op.Status != "running" {
			t.Errorf("the resync is %s", op.Status)
		}
	})
}

func TestClientGoneBeforeTheStartCancelsNoStart(t *testing.T) {
	t.Parallel()
	ctx, hangUp := context.WithCancel(t.Context())
	hangUp()
	b := &contextual{}
	api.New(b, api.Options{}).Handler().ServeHTTP(httptest.NewRecorder(), post(ctx, "/api/v1/resync?wait=false"))
	if b.err != nil {
		t.Errorf("the start was cancelled: %v", b.err)
	}
}

// contextual remembers whether the start of a resync was cancelled at its call.
type contextual struct {
	backend
	err error
}

func (b *contextual) StartResync(ctx context.Context, r api.Request) (api.Operation, error) {
	b.err = ctx.Err()
	return b.backend.StartResync(ctx, r)
}

func TestStartThatHangsEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		w := do(t, api.New(&backend{startBlocks: true}, api.Options{}).Handler(), "POST", "/api/v1/resync", "")
		if w.Code != 500 || time.Since(start) != 30*time.Second {
			t.Errorf("got %d after %s, want 500 after 30s", w.Code, time.Since(start))
		}
	})
}

func TestResyncsAreRateLimited(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := &backend{}
		h := api.New(b, api.Options{}).Handler()
		for i := range 10 {
			if w := do(t, h, "POST", "/api/v1/resync?wait=false", ""); w.Code != 202 {
				t.Fatalf("request %d got %d", i, w.Code)
			}
		}
		w := do(t, h, "POST", "/api/v1/resync?wait=false", "")
		if w.Code != 429 || w.Header().Get("Retry-After") != "1" || len(b.asked()) != 10 {
			t.Errorf("got %d, Retry-After %q, %d started", w.Code, w.Header().Get("Retry-After"), len(b.asked()))
		}
		if w := do(t, h, "GET", "/api/v1/resync", ""); w.Code != 200 {
			t.Errorf("reading got %d", w.Code)
		}
		time.Sleep(time.Second)
		if w := do(t, h, "POST", "/api/v1/resync?wait=false", ""); w.Code != 202 {
			t.Errorf("a second later got %d", w.Code)
		}
	})
}

func TestErrorsOfTheBackendAreAnsweredByType(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		start, wait error
		wantCode    int
		want        api.Error
	}{
		"not found": {
			start:    &api.NotFoundError{What: "resource", Name: "deploymnets", Suggestions: []string{"deployments.apps"}},
			wantCode: 404,
			want: api.Error{
				Message:     `no resource is named "deploymnets"; did you mean deployments.apps?`,
				Suggestions: []string{"deployments.apps"},
			},
		},
		"bad request": {
			start:    &api.BadRequestError{Message: "nodes have no namespace; leave one of them out"},
			wantCode: 400,
			want:     api.Error{Message: "nodes have no namespace; leave one of them out"},
		},
		"not ready": {
			start:    errors.Join(errors.New("resolving"), api.ErrNotReady),
			wantCode: 503,
			want:     api.Error{Message: "this replica is still starting; try again in some seconds"},
		},
		"anything else keeps its text": {
			start:    errors.New("dial 10.0.0.7: secret"),
			wantCode: 500,
			want:     api.Error{Message: "the request failed here; the log of this replica says why"},
		},
		"operation forgotten while waiting": {
			wait:     &api.NotFoundError{What: "resync", Name: "op-1"},
			wantCode: 404,
			want:     api.Error{Message: `no resync is named "op-1"`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := do(t, api.New(&backend{startErr: tc.start, waitErr: tc.wait}, api.Options{}).Handler(), "POST", "/api/v1/resync", "")
			tc.want.Status = "error"
			if tc.want.Suggestions == nil {
				tc.want.Suggestions = []string{}
			}
			if diff := cmp.Diff(tc.want, decode[api.Error](t, w)); w.Code != tc.wantCode || diff != "" {
				t.Errorf("got %d, want %d, %s", w.Code, tc.wantCode, diff)
			}
			if got := w.Header().Get("Retry-After"); (got == "5") != (tc.wantCode == 503) {
				t.Errorf("Retry-After %q with %d", got, w.Code)
			}
		})
	}
}

func TestOperationsCanBeReadWhileTheyRunAndAfter(t *testing.T) {
	t.Parallel()
	b := &backend{}
	h := api.New(b, api.Options{}).Handler()
	if got := do(t, h, "GET", "/api/v1/resync", "").Body.String(); got != `{"operations":[]}`+"\n" {
		t.Errorf("none: got %q", got)
	}
	do(t, h, "POST", "/api/v1/resync?wait=false", "")
	do(t, h, "POST", "/api/v1/resync?wait=false&resource=pods", "")
	b.finish("op-1", api.OperationDone, 3, "")
	if op := decode[api.Operation](t, do(t, h, "GET", "/api/v1/resync/op-1", "")); op.Status != "done" || op.Resources.Done != 3 {
		t.Errorf("got %+v", op)
	}
	all := decode[api.Operations](t, do(t, h, "GET", "/api/v1/resync", "")).Operations
	if len(all) != 2 || all[0].ID != "op-2" || all[1].ID != "op-1" {
		t.Errorf("got %+v", all)
	}
	w := do(t, h, "GET", "/api/v1/resync/op-11", "")
	if e := decode[api.Error](t, w); w.Code != 404 || len(e.Suggestions) == 0 || e.Suggestions[0] != "op-1" {
		t.Errorf("got %d %+v", w.Code, e)
	}
}
