package checkpoint_test

import (
	"testing"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/checkpoint"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/ring"
)

// TestLedger_SumsDiffer_CoveringIsNotConfirmed: the owner has lost the event of version 15, and claims that
// everything is acknowledged up to 20. A member that has seen the event keeps it until the owner tells the same sum.
func TestLedger_SumsDiffer_CoveringIsNotConfirmed(t *testing.T) {
	const typ, version, ours, theirs = "pods.v1", 15, 7, 6
	for name, tt := range map[string]struct {
		sum, at uint64
		compare []checkpoint.Agreement // one for each comparison
		want    bool
	}{
		"no sum is told":              {at: 0, compare: nil, want: true},
		"not compared yet":            {sum: ours, at: 20, want: false},
		"the same":                    {sum: ours, at: 20, compare: []checkpoint.Agreement{checkpoint.Agreed}, want: true},
		"another":                     {sum: theirs, at: 20, compare: []checkpoint.Agreement{checkpoint.Contested}, want: false},
		"another, of nothing":         {sum: 0, at: 20, compare: []checkpoint.Agreement{checkpoint.Contested}, want: false},
		"nothing to compare with":     {sum: theirs, at: 20, compare: []checkpoint.Agreement{checkpoint.Incomparable}, want: true},
		"the same, once we are there": {sum: ours, at: 20, compare: []checkpoint.Agreement{checkpoint.Contested, checkpoint.Agreed}, want: true},
		"another, and then long ago":  {sum: theirs, at: 20, compare: []checkpoint.Agreement{checkpoint.Contested, checkpoint.Incomparable}, want: false},
	} {
		t.Run(name, func(t *testing.T) {
			b := checkpoint.NewLedger("f", ring.DefaultFormat())
			says := func(sum, at uint64) {
				own := checkpoint.Checkpoint{Member: "o", View: []string{"o"}, RingFormat: ring.DefaultFormat().String(), Fingerprint: "f",
					Types: map[string]checkpoint.Entry{typ: {Low: 20, High: 20, Sum: sum, SumAt: at}}}
				text, err := own.Encode()
				if err != nil {
					t.Fatal(err)
				}
				if own, err = checkpoint.Decode(text); err != nil {
					t.Fatal(err)
				}
				b.Set("ring-o/checkpoint", own)
				own.Types = map[string]checkpoint.Entry{typ: {Low: 20, High: 20}}
				b.Set("ring-o/all", own)
			}
			says(tt.sum, tt.at)
			for _, result := range tt.compare {
				b.Compare(func(name string, at, sum uint64) checkpoint.Agreement {
					if name != typ || at != tt.at || sum != tt.sum {
						t.Errorf("asked for %s: %d at %d", name, sum, at)
					}
					return result
				})
				says(tt.sum, tt.at) // the same sum once more
			}
			if !b.Covers(typ, id(1), version) {
				t.Error("it is not covered")
			}
			if got := b.Confirms(typ, id(1), version); got != tt.want || b.Contests() == got {
				t.Errorf("it is confirmed: %v, want %v; contests: %v", got, tt.want, b.Contests())
			}
			if b.News(); b.Contests() {
				says(ours, 21) // The owner has been repaired.
				if b.Confirms(typ, id(1), version) {
					t.Error("it is confirmed by a sum that nobody has compared")
				}
				b.News()
				b.Compare(func(string, uint64, uint64) checkpoint.Agreement { return checkpoint.Agreed })
				if n := b.News(); !n.Of(typ, false) || !n.Touches(typ, id(1), version) {
					t.Error("that sums agree is no news")
				}
				if !b.Confirms(typ, id(1), version) || b.Contests() {
					t.Error("it is not confirmed although the sums agree")
				}
			}
		})
	}
}

// TestLedger_MemberIsForgotten_ItsSumsAre forgotten with it.
func TestLedger_MemberIsForgotten_ItsSumsAre(t *testing.T) {
	b := checkpoint.NewLedger("f", ring.DefaultFormat())
	b.Set("ring-o/checkpoint", checkpoint.Checkpoint{Member: "o", View: []string{"o"}, RingFormat: ring.DefaultFormat().String(), Fingerprint: "f",
		Types: map[string]checkpoint.Entry{"pods.v1": {Low: 20, High: 20, Sum: 1, SumAt: 20}}})
	if !b.Contests() {
		t.Fatal("a sum that nobody has compared is agreed upon")
	}
	b.Compare(func(string, uint64, uint64) checkpoint.Agreement { return checkpoint.Agreed })
	if got := b.AgreedTo("o", "pods.v1"); got != 20 {
		t.Errorf("we agree up to version %d, want 20", got)
	}
	b.Delete("ring-o/checkpoint")
	if b.Contests() {
		t.Error("the sum of a member without a checkpoint is held against ours")
	}
	if got := b.AgreedTo("o", "pods.v1"); got != 0 {
		t.Errorf("we agree up to version %d with a member that has no checkpoint", got)
	}
}

// TestLedger_SumsDifferLater_TheLastAgreementStays, until etcd is restored, after which versions mean other states.
func TestLedger_SumsDifferLater_TheLastAgreementStays(t *testing.T) {
	b := checkpoint.NewLedger("f", ring.DefaultFormat())
	for _, said := range []struct {
		at     uint64
		result checkpoint.Agreement
		want   uint64
	}{{20, checkpoint.Incomparable, 0}, {21, checkpoint.Agreed, 21}, {22, checkpoint.Contested, 21}, {23, checkpoint.Incomparable, 21}, {24, checkpoint.Agreed, 24}} {
		b.Set("ring-o/checkpoint", checkpoint.Checkpoint{Member: "o", View: []string{"o"}, RingFormat: ring.DefaultFormat().String(), Fingerprint: "f",
			Types: map[string]checkpoint.Entry{"pods.v1": {Low: said.at, High: said.at, Sum: said.at, SumAt: said.at}}})
		b.Compare(func(string, uint64, uint64) checkpoint.Agreement { return said.result })
		if got := b.AgreedTo("o", "pods.v1"); got != said.want {
			t.Errorf("a sum of version %d is %v: we agree up to %d, want %d", said.at, said.result, got, said.want)
		}
	}
}
