package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/replay"
)

// sink is a receiver that remembers its objects with their revisions, and when each change arrived. It speaks
// cluster-whisperer's contract, and takes as long, and fails as often, as its settings say.
type sink struct {
	url      string
	server   *http.Server
	latency  time.Duration
	failures float64 // the share of requests that fail

	mu       sync.Mutex // guards the fields below
	away     bool
	holds    map[resource.ID]string
	waiting  map[resource.ID]time.Time // since when the first change of an object waits
	lags     []time.Duration
	received int // upserts and deletions so far
	upserts  int
	rng      *rand.Rand
}

// payload is the body of a request.
type payload struct {
	Upserts []struct {
		ID     resource.ID       `json:"id"`
		Labels map[string]string `json:"labels"`
	} `json:"upserts"`
	Deletes []resource.ID `json:"deletes"`
}

func newSink(ctx context.Context, latency time.Duration, failures float64, seed uint64) (*sink, error) {
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("starting the receiver: %w", err)
	}
	s := &sink{
		url: "http://" + ln.Addr().String() + "/api/v1/instances/sync", latency: latency, failures: failures,
		holds: make(map[resource.ID]string), waiting: make(map[resource.ID]time.Time),
		rng: rand.New(rand.NewPCG(seed, 2)),
	}
	s.server = &http.Server{Handler: s, ReadHeaderTimeout: time.Minute}
	go func() { _ = s.server.Serve(ln) }() // ends with close
	return s, nil
}

func (s *sink) close() { _ = s.server.Close() }

// ServeHTTP takes a payload.
func (s *sink) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	<-time.After(s.latency)
	s.mu.Lock()
	failed := s.away || s.rng.Float64() < s.failures
	s.mu.Unlock()
	if failed {
		http.Error(w, "away", http.StatusServiceUnavailable)
		return
	}
	var p payload
	if err := json.NewDecoder(r.Body).Decode(&p); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.take(p)
	w.Header().Set("Content-Type", "application/json")
	_, _ = fmt.Fprintf(w, `{"status":"ok","upserted":%d,"deleted":%d}`, len(p.Upserts), len(p.Deletes))
}

func (s *sink) take(p payload) {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.received += len(p.Upserts) + len(p.Deletes)
	s.upserts += len(p.Upserts)
	for _, u := range p.Upserts {
		s.holds[u.ID] = u.Labels[replay.RevisionLabel]
		s.arrived(u.ID, now)
	}
	for _, id := range p.Deletes {
		delete(s.holds, id)
		s.arrived(id, now)
	}
}

// arrived records how long a change took. The caller holds mu.
func (s *sink) arrived(id resource.ID, now time.Time) {
	if began, ok := s.waiting[id]; ok {
		s.lags = append(s.lags, now.Sub(began))
		delete(s.waiting, id)
	}
}

// changed records that an object is about to change in a way that has to arrive here.
func (s *sink) changed(id resource.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.waiting[id]; !ok {
		s.waiting[id] = time.Now()
	}
}

// setAway has every request fail, or ends that.
func (s *sink) setAway(away bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.away = away
}

// reset forgets the measurements, and keeps the objects.
func (s *sink) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lags, s.upserts = nil, 0
	clear(s.waiting)
}

// measured returns how many upserts came since reset, and the lags of changes at p50 and p99.
func (s *sink) measured() (upserts int, p50, p99 time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.lags) == 0 {
		return s.upserts, 0, 0
	}
	slices.Sort(s.lags)
	return s.upserts, s.lags[len(s.lags)/2], s.lags[len(s.lags)*99/100]
}

// missing is how many objects have changed since reset and not arrived.
func (s *sink) missing() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.waiting)
}

// arrivals is how many changes have come so far.
func (s *sink) arrivals() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.received
}

// differs returns how many objects are missing or of another revision, and how many should not be there.
func (s *sink) differs(server *replay.Server) (missing, stale int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	right := 0
	server.Present(wanted, func(id resource.ID, revision string) {
		held, ok := s.holds[id]
		switch {
		case !ok:
			missing++
		case held != revision:
			missing++
			right++
		default:
			right++
		}
	})
	return missing, len(s.holds) - right
}
