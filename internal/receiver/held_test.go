package receiver_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/receiver"
)

// inBubble runs a test against a receiver without sockets. Its clock moves only when all goroutines wait.
func inBubble(t *testing.T, opts receiver.Options, test func(t *testing.T, r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		opts.IndexOnSearch, opts.DotAIToken = true, token
		s, err := receiver.New(opts)
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}()
		test(t, &rig{Server: s, t: t, url: "http://receiver", client: newClient(s)})
	})
}

func TestHangEndsWithItsTimeWithItsClientOrWithARelease(t *testing.T) {
	cases := map[string]struct {
		hang receiver.Duration
		end  func(r *rig, leave func())
		want error
	}{
		"time":    {receiver.Duration(3 * time.Second), func(*rig, func()) { time.Sleep(3 * time.Second) }, syscall.ECONNRESET},
		"client":  {receiver.Forever, func(_ *rig, leave func()) { leave() }, context.Canceled},
		"release": {receiver.Forever, func(r *rig, _ func()) { r.Release() }, syscall.ECONNRESET},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			inBubble(t, receiver.Options{}, func(t *testing.T, r *rig) {
				r.faults(receiver.Rule{Effect: receiver.Effect{Hang: c.hang}})
				ctx, leave := context.WithCancel(t.Context())
				defer leave()
				answered := make(chan error, 1)
				go func() { answered <- r.inFlight(ctx, body([]map[string]any{instance("a")})) }()
				synctest.Wait()
				if r.Stats().InFlight != 1 {
					t.Fatal("the request does not hang")
				}
				c.end(r, leave)
				if err := <-answered; !errors.Is(err, c.want) {
					t.Errorf("error %v, want %v", err, c.want)
				}
				synctest.Wait()
				if s := r.Stats(); s.InFlight != 0 || r.Len(receiver.Instances) != 0 {
					t.Errorf("%d in flight and %d documents, want none", s.InFlight, r.Len(receiver.Instances))
				}
			})
		})
	}
}

// inFlight posts a payload of instances under a context and returns what the client saw.
func (r *rig) inFlight(ctx context.Context, payload string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.url+instancesPath, strings.NewReader(payload))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := r.client.Do(req)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", resp.StatusCode)
	}
	return resp.Body.Close()
}

func TestLateRequestIsAppliedAfterItsClientLeftWhileOthersAreAnswered(t *testing.T) {
	inBubble(t, receiver.Options{}, func(t *testing.T, r *rig) {
		r.faults(receiver.Rule{Effect: receiver.Effect{ApplyLate: receiver.Duration(time.Minute)}, Count: 1})
		ctx, leave := context.WithTimeout(t.Context(), time.Second)
		defer leave()
		old := body([]map[string]any{instance("a", map[string]any{"kind": "Old"})})
		if err := r.inFlight(ctx, old); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("error %v, want the client's deadline", err)
		}
		r.ok(instancesPath, body([]map[string]any{instance("a", map[string]any{"kind": "New"})}))
		if d, _ := r.Document(receiver.Instances, "a"); d.Kind != "New" {
			t.Fatalf("kind %s, want New", d.Kind)
		}
		time.Sleep(59 * time.Second)
		synctest.Wait()
		if d, _ := r.Document(receiver.Instances, "a"); d.Kind != "Old" || d.Request != 1 {
			t.Errorf("kind %s of request %d, want the old one back", d.Kind, d.Request)
		}
		if rec := r.Requests(0)[0]; !rec.ClientGone || rec.AppliedAt < time.Minute {
			t.Errorf("record %+v, want a client gone and applied after a minute", rec)
		}
	})
}

func TestRequestHeldForeverIsAppliedByARelease(t *testing.T) {
	inBubble(t, receiver.Options{}, func(t *testing.T, r *rig) {
		r.faults(receiver.Rule{Effect: receiver.Effect{ApplyLate: receiver.Forever}})
		answered := make(chan error, 1)
		go func() { answered <- r.inFlight(t.Context(), body([]map[string]any{instance("a")})) }()
		time.Sleep(time.Hour)
		if n := r.Len(receiver.Instances); n != 0 {
			t.Fatalf("%d documents before the release, want 0", n)
		}
		r.Release()
		if err := <-answered; err != nil || r.Len(receiver.Instances) != 1 {
			t.Errorf("error %v and %d documents, want 1 and an answer", err, r.Len(receiver.Instances))
		}
	})
}

func TestCloseEndsWhatAFaultHoldsWithoutApplyingIt(t *testing.T) {
	inBubble(t, receiver.Options{}, func(t *testing.T, r *rig) {
		r.faults(receiver.Rule{Effect: receiver.Effect{ApplyLate: receiver.Forever}})
		answered := make(chan error, 1)
		go func() { answered <- r.inFlight(t.Context(), body([]map[string]any{instance("a")})) }()
		synctest.Wait()
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		if err := <-answered; !errors.Is(err, syscall.ECONNRESET) || r.Len(receiver.Instances) != 0 {
			t.Errorf("error %v and %d documents, want a reset and none", err, r.Len(receiver.Instances))
		}
	})
}

func TestRequestGoesOnWhenItsClientLeavesAndSettlesLater(t *testing.T) {
	opts := receiver.Options{EmbedLatency: 2 * time.Second, Settle: 10 * time.Second}
	inBubble(t, opts, func(t *testing.T, r *rig) {
		ctx, leave := context.WithTimeout(t.Context(), time.Second)
		defer leave()
		if err := r.inFlight(ctx, body(many(250, "n/%d"))); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("error %v, want the client's deadline", err)
		}
		time.Sleep(10 * time.Second)
		if n := r.Len(receiver.Instances); n != 0 {
			t.Fatalf("%d documents 11 s after the beginning, want none before 12 s", n)
		}
		time.Sleep(6 * time.Second)
		if n := r.Len(receiver.Instances); n != 250 {
			t.Errorf("%d documents, want all 250 after three calls of 2 s and 10 s to settle", n)
		}
	})
}

func TestLatenciesAreThoseOfTheContracts(t *testing.T) {
	opts := receiver.Options{EmbedLatency: time.Second, DeleteLatency: 100 * time.Millisecond}
	inBubble(t, opts, func(t *testing.T, r *rig) {
		took := func(path, payload string) time.Duration {
			start := time.Now()
			r.ok(path, payload)
			return time.Since(start)
		}
		for _, c := range []struct {
			path, payload string
			want          time.Duration
		}{
			{instancesPath, body(many(101, "n/%d")), 2 * time.Second},
			{instancesPath, body(nil, "a", "b"), 0},
			{resourcesPath, body([]map[string]any{item("a"), item("b"), item("c")}), 3 * time.Second},
			{resourcesPath, body(nil, dotDelete("a"), dotDelete("b")), 200 * time.Millisecond},
		} {
			if d := took(c.path, c.payload); d != c.want { // the bubble's clock is exact
				t.Errorf("%.60s took %v, want %v", c.payload, d, c.want)
			}
		}
	})
}
