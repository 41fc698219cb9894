package capabilities_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr/funcr"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/capabilities"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/receiver"
)

// The index library behind the receiver starts the workers of its global queue when it is imported.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m, goleak.IgnoreCurrent()) }

// cluster is the definitions of a cluster, and the store in it.
type cluster struct {
	mu       sync.Mutex // guards the fields below
	defs     map[string]string
	complete bool
	stored   map[string]string
	saves    int
	broken   error // of the store
}

func (c *cluster) Definitions() (map[string]string, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.defs), c.complete
}

func (c *cluster) Load(context.Context) (map[string]string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.stored), c.broken
}

func (c *cluster) Save(_ context.Context, done map[string]string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.broken != nil {
		return c.broken
	}
	c.stored = maps.Clone(done)
	c.saves++
	return nil
}

func (c *cluster) change(f func(c *cluster)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f(c)
}

// rig is a receiver without a network, and a cluster with definitions.
type rig struct {
	*receiver.Server
	*cluster
	t      *testing.T
	begun  time.Time
	fail   func(*http.Request) (*http.Response, error) // nil, or takes the place of the receiver
	failMu sync.Mutex
	early  int // requests that came while a scan was under way
	sent   int // names that were accepted
	lines  []string
}

func newRig(t *testing.T, names ...string) *rig {
	t.Helper()
	s, err := receiver.New(receiver.Options{IndexOnSearch: true, ScanLatency: 5900 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("closing receiver: %v", err)
		}
	})
	r := &rig{Server: s, cluster: &cluster{defs: map[string]string{}, complete: true}, t: t, begun: time.Now()}
	for _, n := range names {
		r.defs[n] = "uid-" + n
	}
	return r
}

// RoundTrip hands a request to the receiver.
func (r *rig) RoundTrip(req *http.Request) (*http.Response, error) {
	r.failMu.Lock()
	defer r.failMu.Unlock()
	if r.Len(receiver.Capabilities) < r.sent {
		r.early++
	}
	if r.fail != nil {
		return r.fail(req)
	}
	w := httptest.NewRecorder()
	r.Handler().ServeHTTP(w, req)
	if w.Code == http.StatusAccepted {
		all := r.Requests(0)
		r.sent += len(all[len(all)-1].Upserts)
	}
	return w.Result(), nil
}

func (r *rig) answer(f func(*http.Request) (*http.Response, error)) {
	r.failMu.Lock()
	defer r.failMu.Unlock()
	r.fail = f
}

// start runs a scanner until stop.
func (r *rig) start(edit ...func(*capabilities.Options)) (s *capabilities.Scanner, stop func()) {
	r.t.Helper()
	opts := capabilities.Options{Transport: r, Log: funcr.New(func(_, line string) {
		r.change(func(*cluster) { r.lines = append(r.lines, line) })
	}, funcr.Options{})}
	for _, e := range edit {
		e(&opts)
	}
	s, err := capabilities.New(&url.URL{Scheme: "http", Host: "receiver", Path: "/api/v1/capabilities/scan"}, r.cluster, r.cluster, opts)
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(r.t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }() // Ends with stop.
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			r.t.Errorf("Run: %v", err)
		}
	})
	r.t.Cleanup(stop)
	return s, stop
}

// story is the requests to the receiver, a line for each.
func (r *rig) story() []string {
	var lines []string
	for _, q := range r.Requests(0) {
		ids := []string{}
		for _, u := range q.Upserts {
			ids = append(ids, u.ID)
		}
		line := fmt.Sprintf("%v %d", q.Begin.Sub(r.begun).Round(time.Second), q.Status)
		if len(ids) > 0 {
			line += " +" + strings.Join(ids, ",")
		}
		if len(q.Deletes) > 0 {
			line += " -" + strings.Join(q.Deletes, ",")
		}
		lines = append(lines, line)
	}
	return lines
}

func (r *rig) wantStory(want ...string) {
	r.t.Helper()
	if diff := cmp.Diff(want, r.story()); diff != "" {
		r.t.Errorf("requests (-want +got):\n%s", diff)
	}
}

func (r *rig) wantHeld(want ...string) {
	r.t.Helper()
	var got []string
	for _, d := range r.Documents(receiver.Capabilities) {
		got = append(got, d.ID)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		r.t.Errorf("held by the receiver (-want +got):\n%s", diff)
	}
}

func (r *rig) wantStored(want map[string]string) {
	r.t.Helper()
	stored, _ := r.Load(r.t.Context())
	if diff := cmp.Diff(want, stored); diff != "" {
		r.t.Errorf("stored (-want +got):\n%s", diff)
	}
}

func (r *rig) wantLog(want ...string) {
	r.t.Helper()
	r.change(func(*cluster) {
		ok := len(want) == len(r.lines)
		for i := range min(len(want), len(r.lines)) {
			ok = ok && strings.Contains(r.lines[i], want[i])
		}
		if !ok {
			r.t.Errorf("logged %q, want %q", r.lines, want)
		}
	})
}

// pass lets time pass, and waits until everything that it starts has ended.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, f)
}

func TestEachDefinitionIsScannedOnceFiveAtATime(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, "a.x", "b.x", "c.x", "d.x", "e.x", "f.x", "g.x", "h.x", "i.x", "j.x", "k.x", "l.x")
		r.start()
		pass(24 * time.Hour)
		r.wantStory("30s 202 +a.x,b.x,c.x,d.x,e.x", "1m0s 202 +f.x,g.x,h.x,i.x,j.x", "1m30s 202 +k.x,l.x")
		r.wantHeld("a.x", "b.x", "c.x", "d.x", "e.x", "f.x", "g.x", "h.x", "i.x", "j.x", "k.x", "l.x")
		if r.early > 0 {
			t.Errorf("%d requests came while a scan was under way", r.early)
		}
		if r.saves != 6 {
			t.Errorf("%d writes of the store, want one before and one after each request", r.saves)
		}
		r.wantLog()
	})
}

func TestScanner_InstancesAreNotInStep_SendsNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, "a.x")
		r.complete = false
		s, _ := r.start()
		pass(time.Hour)
		r.wantStory()
		r.change(func(c *cluster) { c.complete = true })
		s.Wake()
		pass(time.Minute)
		r.wantStory("1h0m30s 202 +a.x")
	})
}

func TestARemovedDefinitionIsTakenBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, "a.x", "b.x")
		s, _ := r.start()
		pass(time.Minute)
		r.change(func(c *cluster) { delete(c.defs, "a.x"); c.defs["c.x"] = "uid-c" })
		s.Wake()
		pass(time.Hour)
		r.wantStory("30s 202 +a.x,b.x", "1m0s 202 -a.x", "1m10s 202 +c.x")
		r.wantHeld("b.x", "c.x")
		r.wantStored(map[string]string{"b.x": "uid-b.x", "c.x": "uid-c"})
	})
}

// An incomplete list is no evidence of a removal.
func TestScanner_ListIsIncomplete_RemovesNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, "a.x", "b.x")
		r.start()
		pass(time.Minute)
		r.change(func(c *cluster) { c.defs, c.complete = nil, false })
		pass(time.Hour)
		r.wantStory("30s 202 +a.x,b.x")
	})
}

func TestADefinitionThatGoesBeforeItIsScannedIsNotSent(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, "a.x")
		s, _ := r.start()
		pass(9 * time.Second)
		r.change(func(c *cluster) { clear(c.defs) })
		s.Wake()
		pass(time.Hour)
		r.wantStory()
	})
}

func TestScanner_NextProcess_ScansOnlyNewDefinitions(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, "a.x", "b.x", "c.x")
		_, stop := r.start()
		pass(time.Minute)
		stop()
		r.change(func(c *cluster) {
			c.defs["b.x"] = "uid-other" // deleted and created again
			delete(c.defs, "c.x")
			c.defs["d.x"] = "uid-d"
			c.stored["e.x"] = "" // the process was killed after it began the scan
			c.defs["e.x"] = "uid-e"
			c.stored["f.x"] = "" // the same, and removed since
		})
		r.start()
		pass(time.Hour)
		r.wantStory("30s 202 +a.x,b.x,c.x", "1m30s 202 +b.x,d.x,e.x -c.x,f.x")
		r.wantStored(map[string]string{"a.x": "uid-a.x", "b.x": "uid-other", "d.x": "uid-d", "e.x": "uid-e"})
	})
}

func TestOnlyTheLeaderScans(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, "a.x", "b.x", "c.x", "d.x", "e.x", "f.x", "g.x")
		var mu sync.Mutex
		leader := 0
		led := func(i int) func(*capabilities.Options) {
			return func(o *capabilities.Options) {
				o.Leader = func() bool {
					mu.Lock()
					defer mu.Unlock()
					return leader == i
				}
			}
		}
		r.start(led(0))
		second, _ := r.start(led(1))
		pass(40 * time.Second)
		mu.Lock()
		leader = 1
		mu.Unlock()
		second.Wake()
		pass(time.Hour)
		r.wantStory("30s 202 +a.x,b.x,c.x,d.x,e.x", "1m10s 202 +f.x,g.x") // the receiver may still scan
		if r.early > 0 {
			t.Errorf("%d requests came while a scan was under way", r.early)
		}
		r.wantHeld("a.x", "b.x", "c.x", "d.x", "e.x", "f.x", "g.x")

		mu.Lock() // and back: the first has to load what the second has scanned
		leader = 0
		mu.Unlock()
		pass(time.Hour)
		if n := len(r.story()); n != 2 {
			t.Errorf("requests are %q, want no other", r.story())
		}
	})
}

func TestABusyReceiverIsLeftAlone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, "a.x")
		if err := r.SetFaults(
			receiver.Rule{Effect: receiver.Effect{Status: 429, RetryAfter: "90"}, Count: 1},
			receiver.Rule{Effect: receiver.Effect{Status: 429}, Count: 1},
			receiver.Rule{Effect: receiver.Effect{Status: 429, RetryAfter: time.Now().Add(4 * time.Minute).UTC().Format(http.TimeFormat)}, Count: 1},
			receiver.Rule{Effect: receiver.Effect{Status: 429, RetryAfter: "1000000"}, Count: 1},
		); err != nil {
			t.Fatal(err)
		}
		r.start()
		pass(time.Hour)
		r.wantStory("30s 429 +a.x", "2m0s 429 +a.x", "2m30s 429 +a.x", "4m0s 429 +a.x", "19m0s 202 +a.x")
		r.wantLog() // the change of the leader is no trouble
	})
}

func TestTroubleIsWaitedOutWithPatience(t *testing.T) {
	for name, fail := range map[string]func(*http.Request) (*http.Response, error){
		"no connection":                       func(*http.Request) (*http.Response, error) { return nil, errors.New("refused") },
		"500":                                 func(*http.Request) (*http.Response, error) { return response(500, `{"error":"x"}`), nil },
		"not mounted":                         func(*http.Request) (*http.Response, error) { return response(404, "404 Not Found"), nil },
		"unauthorized":                        func(*http.Request) (*http.Response, error) { return response(401, ""), nil },
		"a redirect":                          func(*http.Request) (*http.Response, error) { return response(302, ""), nil },
		"200 of a proxy that knows nothing":   func(*http.Request) (*http.Response, error) { return response(200, "<html>"), nil },
		"200 of another program":              func(*http.Request) (*http.Response, error) { return response(200, "{}"), nil },
		"202 that has not read what was sent": func(*http.Request) (*http.Response, error) { return response(202, `{"upserts":0,"deletes":0}`), nil },
		"an answer without end": func(*http.Request) (*http.Response, error) {
			return response(202, `{"upserts":1,"deletes":0}`+strings.Repeat(" ", 70_000)), nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r := newRig(t, "a.x")
				var at []string
				r.answer(func(q *http.Request) (*http.Response, error) {
					at = append(at, time.Since(r.begun).String())
					return fail(q)
				})
				reg := prometheus.NewRegistry()
				r.start(func(o *capabilities.Options) { o.Registerer = reg })
				pass(20 * time.Minute)
				want := []string{"30s", "35s", "45s", "1m5s", "1m45s", "3m5s", "5m45s", "10m45s", "15m45s"}
				if diff := cmp.Diff(want, at); diff != "" {
					t.Errorf("times of requests (-want +got):\n%s", diff)
				}
				r.wantLog("Capabilities cannot be scanned")
				if err := testutil.GatherAndCompare(reg, strings.NewReader(`
# HELP k8s_vectordb_sync_capabilities_pending_definitions CustomResourceDefinitions whose addition or removal is still to be sent; 0 on members that do not send it.
# TYPE k8s_vectordb_sync_capabilities_pending_definitions gauge
k8s_vectordb_sync_capabilities_pending_definitions 1
# HELP k8s_vectordb_sync_capabilities_requests_total Requests for a scan, by outcome.
# TYPE k8s_vectordb_sync_capabilities_requests_total counter
k8s_vectordb_sync_capabilities_requests_total{outcome="accepted"} 0
k8s_vectordb_sync_capabilities_requests_total{outcome="busy"} 0
k8s_vectordb_sync_capabilities_requests_total{outcome="failed"} 9
k8s_vectordb_sync_capabilities_requests_total{outcome="refused"} 0
`), "k8s_vectordb_sync_capabilities_pending_definitions", "k8s_vectordb_sync_capabilities_requests_total"); err != nil {
					t.Error(err)
				}
				r.answer(nil)
				pass(time.Hour)
				r.wantHeld("a.x")
				r.wantStored(map[string]string{"a.x": "uid-a.x"})
				r.wantLog("Capabilities cannot be scanned", "scanned again")
			})
		})
	}
}

func response(status int, body string) *http.Response {
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))}
}

// TestAnUnknownOutcomeIsTakenBack: a name without an answer may have arrived, so it is removed with its definition.
func TestAnUnknownOutcomeIsTakenBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, "a.x")
		r.answer(func(*http.Request) (*http.Response, error) { return nil, io.ErrUnexpectedEOF })
		s, _ := r.start()
		pass(30 * time.Second)
		r.wantStored(map[string]string{"a.x": ""})
		r.change(func(c *cluster) { clear(c.defs) })
		r.answer(nil)
		s.Wake()
		pass(time.Hour)
		r.wantStory("35s 202 -a.x")
		r.wantStored(map[string]string{})
	})
}

func TestANameThatIsRefusedHoldsUpNoOther(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, "a.x", "b.x", "c.x", "d.x")
		if err := r.SetFaults(receiver.Rule{Match: receiver.Match{ID: "b.x"}, Effect: receiver.Effect{Refuse: "path"}}); err != nil {
			t.Fatal(err)
		}
		s, _ := r.start()
		pass(time.Hour)
		r.wantStory("30s 400 +a.x,b.x,c.x,d.x", "35s 202 +a.x", "41s 400 +b.x", "46s 202 +c.x", "52s 202 +d.x")
		r.wantHeld("a.x", "c.x", "d.x")
		r.wantLog("Definition is refused")

		r.ClearFaults()
		r.change(func(c *cluster) { c.defs["b.x"] = "uid-other" })
		s.Wake()
		pass(time.Minute)
		r.wantHeld("a.x", "b.x", "c.x", "d.x")
	})
}

func TestScanner_StateCannotBeWritten_SendsNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, "a.x")
		r.start()
		pass(5 * time.Second)
		r.change(func(c *cluster) { c.broken = errors.New("conflict") })
		pass(time.Hour)
		r.wantStory()
		r.wantLog("Capabilities wait")
		r.change(func(c *cluster) { c.broken = nil })
		pass(5 * time.Minute)
		r.wantHeld("a.x")
		r.wantStored(map[string]string{"a.x": "uid-a.x"})
	})
}

func TestScanner_EarlierStateIsNotRead_SendsNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, "a.x", "b.x")
		r.stored = map[string]string{"a.x": "uid-a.x"}
		r.broken = errors.New("no connection")
		r.start()
		pass(time.Hour)
		r.wantStory()
		r.change(func(c *cluster) { c.broken = nil })
		pass(time.Hour)
		r.wantHeld("b.x")
	})
}

func TestRunEndsInTheMiddleOfARequest(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, "a.x")
		r.answer(func(q *http.Request) (*http.Response, error) { <-q.Context().Done(); return nil, q.Context().Err() })
		_, stop := r.start()
		pass(40 * time.Second)
		stop()
		if took := time.Since(r.begun); took != 40*time.Second {
			t.Errorf("ended after %v, want at once", took-40*time.Second)
		}
		r.wantLog()
	})
}

func TestARequestThatHangsIsGivenUp(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, "a.x")
		r.answer(func(q *http.Request) (*http.Response, error) { <-q.Context().Done(); return nil, q.Context().Err() })
		r.start()
		pass(90 * time.Second) // half a minute and one more
		r.answer(nil)
		pass(time.Minute)
		r.wantHeld("a.x")
		r.wantLog("Capabilities cannot be scanned", "scanned again")
	})
}

func TestNewRefusesWhatIsNoEndpoint(t *testing.T) {
	t.Parallel()
	for name, u := range map[string]*url.URL{"none": nil, "no host": {Scheme: "http", Path: "/scan"}, "no scheme": {Host: "h"}} {
		if _, err := capabilities.New(u, nil, nil, capabilities.Options{}); err == nil {
			t.Errorf("%s: New succeeds", name)
		}
	}
	if _, err := capabilities.New(&url.URL{Scheme: "http", Host: "h"}, nil, nil, capabilities.Options{CA: []byte("none")}); err == nil {
		t.Error("a bundle without a certificate: New succeeds")
	}
}

func TestMetricsAreWellFormed(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewPedanticRegistry()
	if _, err := capabilities.New(&url.URL{Scheme: "http", Host: "h"}, nil, nil, capabilities.Options{Registerer: reg}); err != nil {
		t.Fatal(err)
	}
	if problems, err := testutil.GatherAndLint(reg); err != nil || len(problems) > 0 {
		t.Errorf("lint: %v, %v", problems, err)
	}
}

// TestScanner_SeveralWait_SendsInTheOrderOfNames: waiting names are sent in an order that does not depend on a
// map's.
func TestScanner_SeveralWait_SendsInTheOrderOfNames(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var names []string
		for i := range 40 {
			names = append(names, fmt.Sprintf("%02d.x", i))
		}
		r := newRig(t, names...)
		r.start()
		pass(time.Hour)
		var sent []string
		for _, q := range r.Requests(0) {
			for _, u := range q.Upserts {
				sent = append(sent, u.ID)
			}
		}
		if !slices.Equal(sent, names) {
			t.Errorf("sent %v", sent)
		}
	})
}
