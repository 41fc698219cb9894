package vectors_test

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/receiver/vectors"
)

func open(t *testing.T, path, model string) *vectors.Store {
	t.Helper()
	s, _, err := vectors.Open(path, model)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func keys(all []vectors.Match) []string {
	out := []string{}
	for _, m := range all {
		out = append(out, m.Key)
	}
	return out
}

func TestNearest_OrdersByCosineThenKey(t *testing.T) {
	s := open(t, "", "m")
	must(t, s.Add(map[uint64][]float32{1: {1, 0}, 2: {0, 1}, 3: {0.6, 0.8}}))
	must(t, s.Assign(map[string]uint64{"b": 1, "a": 1, "far": 2, "near": 3, "none": 9}, nil))
	if got := keys(s.Nearest([]float32{1, 0}, 3, nil)); !slices.Equal(got, []string{"a", "b", "near"}) {
		t.Errorf("%v", got)
	}
	if got := keys(s.Nearest([]float32{1, 0}, 9, func(k string) bool { return k != "a" })); !slices.Equal(got, []string{"b", "near", "far"}) {
		t.Errorf("without a: %v", got)
	}
	if got := s.Nearest([]float32{1, 0, 0}, 9, nil); got != nil {
		t.Errorf("another dimension: %v", got)
	}
}

func TestAssign_LastDocumentOfATextGoes_VectorGoes(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "v.db"), "m")
	must(t, s.Add(map[uint64][]float32{1: {1, 0}, 2: {0, 1}}))
	must(t, s.Assign(map[string]uint64{"a": 1, "b": 1}, nil))
	must(t, s.Assign(map[string]uint64{"a": 2}, nil))
	if !s.Has(1) {
		t.Error("b still says it")
	}
	must(t, s.Assign(map[string]uint64{"c": 1}, []string{"b"})) // one call gives it up and takes it
	if !s.Has(1) {
		t.Error("c has taken it")
	}
	must(t, s.Assign(nil, []string{"c"}))
	if s.Has(1) || !s.Has(2) {
		t.Error("want the vector of a alone")
	}
}

func TestOpen_AfterClose_HasWhatWasAssigned(t *testing.T) {
	path := filepath.Join(t.TempDir(), "v.db")
	s := open(t, path, "m")
	must(t, s.Add(map[uint64][]float32{1: {1, 0}, 2: {0, 1}, 3: {0.6, 0.8}}))
	must(t, s.Assign(map[string]uint64{"a": 1, "b": 2, "c": 3}, nil))
	must(t, s.Assign(nil, []string{"b"}))
	must(t, s.Close())
	again := open(t, path, "m")
	if !again.Has(1) || again.Has(2) || !again.Has(3) {
		t.Error("want what was there, less what was removed")
	}
	must(t, again.Assign(map[string]uint64{"a": 1}, nil))
	must(t, again.Prune())
	if again.Has(3) {
		t.Error("nobody needs 3")
	}
	must(t, again.Close())
	if _, anew, err := vectors.Open(path, "other"); err != nil || anew == "" {
		t.Errorf("another model: %q %v, want the reason why it begins anew", anew, err)
	}
}

func TestAdd_OtherDimension_ChangesNothing(t *testing.T) {
	s := open(t, "", "m")
	must(t, s.Add(map[uint64][]float32{1: {1, 0}}))
	if err := s.Add(map[uint64][]float32{2: {1, 0}, 3: {1}}); !errors.Is(err, vectors.ErrDimension) || s.Has(2) || s.Has(3) {
		t.Errorf("%v", err)
	}
	must(t, s.Reset())
	must(t, s.Add(map[uint64][]float32{3: {1}}))
}

// TestNearest_ManyDocuments_AgreesWithSorting compares the cut list with a full sort.
func TestNearest_ManyDocuments_AgreesWithSorting(t *testing.T) {
	s, random := open(t, "", "m"), rand.New(rand.NewPCG(1, 2))
	assign := map[string]uint64{}
	for i := range uint64(500) {
		angle := random.Float64() * 2 * math.Pi
		must(t, s.Add(map[uint64][]float32{i: {float32(math.Cos(angle)), float32(math.Sin(angle))}}))
		assign[fmt.Sprint(i)] = i
	}
	must(t, s.Assign(assign, nil))
	all := s.Nearest([]float32{1, 0}, 500, nil)
	if !slices.IsSortedFunc(all, func(a, b vectors.Match) int { return int(math.Copysign(1, float64(b.Cosine-a.Cosine))) }) || len(all) != 500 {
		t.Fatal("the whole list is not sorted")
	}
	for _, n := range []int{1, 7, 100, 499} {
		if !slices.Equal(s.Nearest([]float32{1, 0}, n, nil), all[:n]) {
			t.Errorf("the first %d differ", n)
		}
	}
}

func BenchmarkNearest20000(b *testing.B) {
	s, _, err := vectors.Open("", "m")
	if err != nil {
		b.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	vector := func() []float32 {
		v := make([]float32, 768)
		for i := range v {
			v[i] = float32(random.NormFloat64())
		}
		return v
	}
	add, assign := map[uint64][]float32{}, map[string]uint64{}
	for i := range uint64(20000) {
		add[i], assign[fmt.Sprint(i)] = vector(), i
	}
	if err := errors.Join(s.Add(add), s.Assign(assign, nil)); err != nil {
		b.Fatal(err)
	}
	question := vector()
	for b.Loop() {
		s.Nearest(question, 200, nil)
	}
}
