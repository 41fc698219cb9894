package verify_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/index"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/verify"
)

func statement(types int) verify.Statement {
	s := verify.Statement{
		Filter: "f", Sums: map[string]index.Sum{},
		Lists:    map[string]map[string]verify.List{"": {"pods.v1": {Sum: index.Sum{Version: 7, Objects: 2, Hash: 9}}}, "r": {"jobs.v1.batch": {Err: "no rule"}}},
		Verdicts: map[string]map[string]verify.Verdict{"r": {"pods.v1": verify.Repaired}},
		Runs:     map[string]verify.Request{"r": {Types: []string{"pods.v1"}, Label: "pods", Started: time.Unix(1, 0).UTC()}},
	}
	for i := range types {
		s.Sums[fmt.Sprintf("widgets%d.v1.example.com", i)] = index.Sum{Version: uint64(i + 1), Objects: i, Hash: uint64(i) << 60}
	}
	return s
}

func TestAStatementIsReadAsItWasWritten(t *testing.T) {
	for types, packs := range map[int]bool{0: false, 3: false, 1000: true} {
		want := statement(types)
		text, packed, err := want.Encode()
		if err != nil || packed != packs {
			t.Errorf("Encode of %d types: packed %v, %v", types, packed, err)
		}
		got, err := verify.Decode(text, packed)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%v, or a difference (-want +got):\n%s", err, diff)
		}
		if types == 1000 && len(text) > 40<<10 {
			t.Errorf("a thousand types take %d bytes", len(text))
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, n := range []int{0, 2, 1000} {
		text, packed, err := statement(n).Encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text, packed)
	}
	f.Add([]byte(`{"format":1,"sums":{"pods.v1":"1 -2 3"}}`), false)
	f.Fuzz(func(t *testing.T, text []byte, packed bool) {
		s, err := verify.Decode(text, packed)
		if err != nil {
			return
		}
		again, p, err := s.Encode()
		if err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		if _, err := verify.Decode(again, p); err != nil {
			t.Fatalf("what was written cannot be read: %v", err)
		}
	})
}
