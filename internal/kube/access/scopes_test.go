package access_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/kube/access"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	pods   = resource.Type{Version: "v1", Resource: "pods", Kind: "Pod", Namespaced: true}
	jobs   = resource.Type{Group: "batch", Version: "v1", Resource: "jobs", Kind: "Job", Namespaced: true}
	jobsV2 = resource.Type{Group: "batch", Version: "v2", Resource: "jobs", Kind: "Job", Namespaced: true}
	nodes  = resource.Type{Version: "v1", Resource: "nodes", Kind: "Node"}
)

// reader allows single types, or all of them.
type reader struct {
	mu      sync.Mutex // guards the fields below
	all     bool
	allowed []resource.Type
	failing int // questions that get no answer
	asked   []string
}

func (r *reader) answer(what string, allowed bool) (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failing > 0 {
		r.failing--
		return true, errors.New("no answer") // a careless caller would take true for a yes
	}
	r.asked = append(r.asked, what)
	return allowed, nil
}

func (r *reader) MayReadAll(context.Context) (bool, error) { return r.answer("all", r.all) }

func (r *reader) MayRead(_ context.Context, t resource.Type) (bool, error) {
	return r.answer(t.String(), slices.Contains(r.allowed, t))
}

func names(types []resource.Type) []string {
	var all []string
	for _, t := range types {
		all = append(all, t.String())
	}
	return all
}

func TestDecide(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		include, exclude []string
		reader           *reader
		want             []string
		byNamespace      bool
		alone            bool
	}{
		"no namespaces": {want: []string{"nodes.v1", "pods.v1", "jobs.v1.batch"}},
		"everything is allowed": {
			include: []string{"b", "a"}, reader: &reader{all: true}, want: []string{"nodes.v1", "pods.v1", "jobs.v1.batch"},
		},
		"nothing is allowed": {
			include: []string{"b", "a", "c", "a"}, exclude: []string{"c"}, byNamespace: true, alone: true,
			want: []string{"nodes.v1", "pods.v1@a", "pods.v1@b", "jobs.v1.batch@a", "jobs.v1.batch@b"},
		},
		"one type is allowed": {
			include: []string{"b", "a"}, reader: &reader{allowed: []resource.Type{pods}}, byNamespace: true,
			want: []string{"nodes.v1", "pods.v1", "jobs.v1.batch@a", "jobs.v1.batch@b"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if test.reader == nil {
				test.reader = &reader{}
			}
			s := access.NewScopes(test.reader, test.include, test.exclude, logr.Discard())
			types := []resource.Type{nodes, pods, jobs}
			got := names(s.Decide(t.Context(), types))
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("read (-want +got):\n%s", diff)
			}
			if s.ByNamespace() != test.byNamespace || s.Alone() != test.alone {
				t.Errorf("by namespace is %t, want %t; alone %t, want %t", s.ByNamespace(), test.byNamespace, s.Alone(), test.alone)
			}
			test.reader.asked = nil
			if again := names(s.Decide(t.Context(), types)); !slices.Equal(again, got) || len(test.reader.asked) > 0 {
				t.Errorf("the second time %v is read, after questions about %v", again, test.reader.asked)
			}
		})
	}
}

// TestDecide_StandsForTheLifeOfTheProcess: neither a change of rights nor a new version of a type changes how
// the type is read. Decide asks about a type that comes later.
func TestDecide_StandsForTheLifeOfTheProcess(t *testing.T) {
	t.Parallel()
	r := &reader{}
	s := access.NewScopes(r, []string{"a"}, nil, logr.Discard())
	if got := names(s.Decide(t.Context(), []resource.Type{jobs})); !slices.Equal(got, []string{"jobs.v1.batch@a"}) {
		t.Errorf("read %v", got)
	}
	r.all, r.allowed = true, []resource.Type{pods, jobs, jobsV2}
	if got := names(s.Decide(t.Context(), []resource.Type{jobsV2, pods})); !slices.Equal(got, []string{"pods.v1", "jobs.v2.batch@a"}) {
		t.Errorf("read %v", got)
	}
}

// TestDecide_NobodyAnswers_NothingIsDecided: no answer is neither a yes nor a no.
func TestDecide_NobodyAnswers_NothingIsDecided(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &reader{failing: 7}
		s := access.NewScopes(r, []string{"a"}, nil, logr.Discard())
		if got := s.Of([]resource.Type{pods}); len(got) > 0 {
			t.Errorf("before anything is decided %v is read", names(got))
		}
		ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
		defer cancel()
		if got := names(s.Decide(ctx, []resource.Type{nodes, pods})); !slices.Equal(got, []string{"nodes.v1"}) {
			t.Errorf("without an answer %v is read", got)
		}
		if got := names(s.Decide(t.Context(), []resource.Type{nodes, pods})); !slices.Equal(got, []string{"nodes.v1", "pods.v1@a"}) {
			t.Errorf("with an answer %v is read", got)
		}
	})
}

func TestWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began, asked, refused := time.Now(), 0, 0
		err := access.Wait(t.Context(), func(context.Context) (bool, error) { asked++; return time.Since(began) > time.Hour, nil }, 10*time.Minute, func() { refused++ })
		if err != nil || refused != 1 || asked < 10 || asked > 20 {
			t.Errorf("Wait returned %v after %d questions, and told %d times of a refusal", err, asked, refused)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := access.Wait(ctx, func(context.Context) (bool, error) { return false, nil }, time.Second, func() {}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Wait returned %v at the end of its context", err)
		}
		if err := access.Wait(t.Context(), func(context.Context) (bool, error) { return false, errors.New("no answer") }, time.Second, func() { t.Error("a refusal") }); err != nil {
			t.Errorf("Wait returned %v without an answer", err)
		}
	})
}
