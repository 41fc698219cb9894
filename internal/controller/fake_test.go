package controller_test

import (
	"errors"
	"sync"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/controller"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/controller/status"
)

// syncing is the report of a healthy target.
var syncing = status.Report{
	Active: true, WatchedTypes: 65, Synced: 20243, SyncErrors: 2, LastError: "connection refused",
	LastSync: time.Date(2026, 1, 15, 10, 30, 0, 0, time.UTC), LastResync: time.Date(2026, 1, 15, 10, 0, 0, 0, time.UTC),
}

// fakeTargets records the calls and returns the reports that a test sets.
type fakeTargets struct {
	mu      sync.Mutex // guards all fields
	running map[string]controller.Target
	sets    map[string]int
	retries map[string]int
	reports map[string]status.Report
	fail    map[string]bool
	removed []string
	known   [][]string
	foreign bool // another member owns every object
}

func newFakeTargets() *fakeTargets {
	return &fakeTargets{
		running: map[string]controller.Target{}, sets: map[string]int{}, retries: map[string]int{},
		reports: map[string]status.Report{}, fail: map[string]bool{},
	}
}

var errFull = errors.New("no room")

func (f *fakeTargets) Set(t controller.Target) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sets[t.Name]++
	if f.fail[t.Name] {
		delete(f.running, t.Name)
		return errFull
	}
	f.running[t.Name] = t
	return nil
}

func (f *fakeTargets) Stop(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.running, name)
}

func (f *fakeTargets) Remove(name string) {
	f.Stop(name)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.removed = append(f.removed, name)
}

func (f *fakeTargets) Known(names []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.known = append(f.known, names)
}

func (f *fakeTargets) Retry(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.retries[name]++
}

func (f *fakeTargets) Report(name string) (status.Report, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r, ok := f.reports[name]
	if !ok {
		r, ok = f.reports["*"]
	}
	return r, ok
}

func (f *fakeTargets) Owns(string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return !f.foreign
}

// report has one target, or all with *, report from now on.
func (f *fakeTargets) report(name string, r status.Report) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reports[name] = r
}

// get returns the target that runs under a name.
func (f *fakeTargets) get(name string) (controller.Target, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	t, ok := f.running[name]
	return t, ok
}

// count returns how many targets run, and how often one was set and tried again.
func (f *fakeTargets) count(name string) (running, sets, retries int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.running), f.sets[name], f.retries[name]
}
