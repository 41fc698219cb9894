package checkpoint_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/checkpoint"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/ring"
)

var pods = resource.Type{Version: "v1", Resource: "pods", Kind: "Pod", Namespaced: true}

func id(i int) resource.ID { return pods.ID("a", fmt.Sprint("p", i)) }

func TestAnEntryCoversWhatIsAcknowledgedAndNothingElse(t *testing.T) {
	e := checkpoint.Entry{Low: 10, High: 20, Except: []uint32{checkpoint.Short(id(1))}}
	for name, tt := range map[string]struct {
		id      resource.ID
		version uint64
		want    bool
	}{
		"up to low":                      {id(2), 10, true},
		"up to low, excepted":            {id(1), 10, false},
		"between, not excepted":          {id(2), 15, true},
		"between, excepted":              {id(1), 15, false},
		"at high":                        {id(2), 20, true},
		"above high":                     {id(2), 21, false},
		"a version that is not a number": {id(2), 0, false},
	} {
		if got := e.Covers(tt.id, tt.version); got != tt.want {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
}

// TestLedger_StateHasTwoVersions_UnsentIsNotCovered has one state under two versions, because an update in
// between has changed nothing that is sent. A member that began later knows the state by the higher version. Its
// checkpoints end below that. If they counted for the lower version, the holder of that state would forget it, say
// so, and be believed in turn.
func TestLedger_StateHasTwoVersions_UnsentIsNotCovered(t *testing.T) {
	format := ring.DefaultFormat()
	b := checkpoint.NewLedger("receiver", format)
	const early, late = 921, 926
	seen := map[string]uint64{pods.String(): 930}
	backlog := map[string]checkpoint.Backlog{pods.String(): {Version: late, IDs: []resource.ID{id(1)}}}
	word := func(types map[string]checkpoint.Entry) checkpoint.Checkpoint {
		return checkpoint.Checkpoint{Member: "a", View: []string{"a"}, RingFormat: format.String(), Fingerprint: "receiver", Types: types}
	}
	b.Set("a/all", word(checkpoint.Bounds(seen, backlog)))
	b.Set("a/own", word(checkpoint.Entries(seen, backlog, checkpoint.MaxExcept)))
	for _, version := range []uint64{early, late} {
		if b.Covers(pods.String(), id(1), version) {
			t.Errorf("version %d is covered, and was never sent", version)
		}
	}
	if !b.Covers(pods.String(), id(2), early) {
		t.Error("another object is not covered")
	}
}

// TestEntriesNeverClaimTooMuch checks the property that keeps changes from being lost: an entry covers no object of
// a backlog, at its version or above.
func TestEntriesNeverClaimTooMuch(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 5))
		seen, backlog := map[string]uint64{}, map[string]checkpoint.Backlog{}
		for n := range r.IntN(6) {
			name := fmt.Sprint("type", n)
			seen[name] = uint64(1 + r.IntN(1000))
			var b checkpoint.Backlog
			for i := range r.IntN(3) * r.IntN(4000) {
				b.IDs = append(b.IDs, id(i))
			}
			b.Version = uint64(r.IntN(1200)) // also above the seen version, and 0 for an unknown one
			if len(b.IDs) > 0 || r.IntN(2) == 0 {
				backlog[name] = b
			}
		}
		entries, bounds := checkpoint.Entries(seen, backlog, checkpoint.MaxExcept), checkpoint.Bounds(seen, backlog)
		excepted := 0
		for name, b := range backlog {
			excepted += len(entries[name].Except)
			for _, i := range b.IDs {
				for _, v := range []uint64{b.Version, b.Version + 1, seen[name], seen[name] + 1} {
					if v >= b.Version && (entries[name].Covers(i, v) || bounds[name].Covers(i, v)) {
						t.Fatalf("seed %d: %s at %d is covered by %+v, but waits since %d", seed, i, v, entries[name].Low, b.Version)
					}
				}
			}
		}
		for name, e := range entries {
			b := backlog[name]
			for i := range 1000 {
				i += 10_000 // in no backlog
				if e.Except != nil && b.Version > 0 && checkpoint.Short(id(i)) < e.Until && !slices.Contains(e.Except, checkpoint.Short(id(i))) && !e.Covers(id(i), seen[name]) {
					t.Fatalf("seed %d: %s comes before what is left out, and is not covered by %+v", seed, id(i), e.High)
				}
			}
		}
		for name, high := range seen {
			if len(backlog[name].IDs) == 0 && (!entries[name].Covers(id(1), high) || !bounds[name].Covers(id(1), high)) {
				t.Fatalf("seed %d: a type without backlog is not covered up to %d", seed, high)
			}
		}
		if excepted > checkpoint.MaxExcept {
			t.Fatalf("seed %d: %d exceptions", seed, excepted)
		}
	}
}

// TestASearchHoldsBackOnlyWhatIsSaidOfDeletions: members that come and go before their searches are done must still
// claim something about all partitions. Otherwise half of the cluster is sent again each time.
func TestASearchHoldsBackOnlyWhatIsSaidOfDeletions(t *testing.T) {
	b := checkpoint.NewLedger("f", ring.DefaultFormat())
	c := word("a", 0)
	seen := map[string]checkpoint.Seen{
		"pods.v1": {Version: 100, Event: 90, Deleted: 40, Earlier: []uint64{50}}, "secrets.v1": {Deleted: 30, Earlier: []uint64{35}}, "odd.v1": {Opaque: true},
	}
	own, all := checkpoint.Compose(seen, nil, nil, 10)
	want := map[string]checkpoint.Entry{
		"pods.v1": {Low: 100, High: 100, Event: 90, Deleted: 40, Earlier: []uint64{50}}, "odd.v1": {Opaque: true},
		// The type is not known yet, so the earlier entry is still true.
		"secrets.v1": {Low: 30, High: 30, Deleted: 30, Earlier: []uint64{35}},
	}
	if diff := cmp.Diff([]map[string]checkpoint.Entry{want, want}, []map[string]checkpoint.Entry{own, all}); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
	c.Types = all
	if !b.Set("a/all", c) {
		t.Fatal("not believed")
	}
	if !b.Covers("pods.v1", id(1), 100) || b.Covers("pods.v1", id(1), 101) || b.Acknowledged("pods.v1", id(1)) != 100 {
		t.Error("what is there is not covered up to 100")
	}
	if bound := b.Bound("pods.v1"); bound != 40 {
		t.Errorf("deletions are looked for from %d on, want 40", bound)
	}
	if past := b.Past(nil); !past.Opaque["odd.v1"] || len(past.Opaque) != 1 {
		t.Errorf("types whose versions are no numbers: %v", past.Opaque)
	}
}

// TestEntry_ReceiverRefusesAnObject_ExceptsItAndAdvances: the successor must not take an object for delivered that
// a receiver in trouble has refused.
func TestEntry_ReceiverRefusesAnObject_ExceptsItAndAdvances(t *testing.T) {
	seen := map[string]uint64{"pods.v1": 100}
	backlog := map[string]checkpoint.Backlog{"pods.v1": {Refused: []resource.ID{id(1)}}}
	for name, entry := range map[string]checkpoint.Entry{
		"own": checkpoint.Entries(seen, backlog, checkpoint.MaxExcept)["pods.v1"], "all": checkpoint.Bounds(seen, backlog)["pods.v1"],
	} {
		if entry.Low != 100 || entry.Covers(id(1), 50) || !entry.Covers(id(2), 50) {
			t.Errorf("%s: %+v, want all up to 100 but the one that is refused", name, entry)
		}
	}
	for i := range 60 {
		backlog["pods.v1"] = checkpoint.Backlog{Refused: append(backlog["pods.v1"].Refused, id(i))}
	}
	if entry := checkpoint.Bounds(seen, backlog)["pods.v1"]; len(entry.Refused) > 0 {
		t.Errorf("%d are named, want none where there are too many", len(entry.Refused))
	}
}

func TestAcknowledgedIsTheWordOfTheOwnerOrOfOneWhoSpeaksForAll(t *testing.T) {
	b := checkpoint.NewLedger("f", ring.DefaultFormat())
	own := word("a", 100)
	own.View = []string{"a", "b"}
	own.Types["pods.v1"] = checkpoint.Entry{Low: 60, High: 100, Except: []uint32{checkpoint.Short(id(1))}}
	all := word("b", 100)
	all.Types["pods.v1"] = checkpoint.Entry{Low: 40, High: 40}
	b.Set("a", own)
	b.Set("b/all", all)
	mine, err := b.Owns("a", own.View, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 50 {
		want := uint64(40)
		if mine("pods.v1", id(i)) {
			want = 60
		}
		if got := b.Acknowledged("pods.v1", id(i)); got != want {
			t.Errorf("%s: %d, want %d", id(i), got, want)
		}
	}
	own.Types["pods.v1"] = checkpoint.Entry{Low: 100, High: 100, Refused: []uint32{checkpoint.Short(id(1))}}
	all.Types["pods.v1"] = own.Types["pods.v1"]
	b.Set("a", own)
	b.Set("b/all", all)
	if got := b.Acknowledged("pods.v1", id(1)); got != 0 {
		t.Errorf("%d of an object that the receiver refuses, want 0", got)
	}
	if b.Acknowledged("nodes.v1", id(2)) != 0 || b.Acknowledged("pods.v1", id(2)) != 100 {
		t.Error("of an unknown type something is known, or of a known one nothing")
	}
}

func full() checkpoint.Checkpoint {
	c := checkpoint.Checkpoint{
		Member: "a", View: []string{"a", "b"}, RingFormat: ring.DefaultFormat().String(), Fingerprint: "f",
		Types: map[string]checkpoint.Entry{},
	}
	for n := range 300 {
		c.Types[fmt.Sprintf("averagelengthresources%d.v1alpha1.example.com", n)] = checkpoint.Entry{Low: 1 << 40, High: 1<<40 + 5}
	}
	e := checkpoint.Entry{Low: 5, High: 1 << 40}
	for i := range uint32(checkpoint.MaxExcept) {
		e.Except = append(e.Except, i<<20)
	}
	c.Types["pods.v1"] = e
	c.Types["events.v1"] = checkpoint.Entry{Low: 7, High: 1 << 40, Until: 1 << 31, Except: e.Except[:9]}
	c.Types["nodes.v1"] = checkpoint.Entry{Low: 1 << 40, High: 1 << 40, Deleted: 7}
	return c
}

func TestCodec_LargestCheckpoint_ReadsBack(t *testing.T) {
	text, err := full().Encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := checkpoint.Decode(text)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(full(), got); diff != "" {
		t.Error(diff)
	}
}

func TestDecode_NoCheckpoint_IsRefused(t *testing.T) {
	good, err := full().Encode()
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"nothing": "", "no JSON": "{", "cut": good[:len(good)/2], "another format": strings.Replace(good, `"format":3`, `"format":1`, 1),
		"no member":      strings.Replace(good, `"member":"a"`, `"member":""`, 1),
		"broken base64":  strings.Replace(good, `"except":"`, `"except":"!`, 1),
		"a broken part":  `{"format":3,"member":"a","view":["a"],"takes":["pods"],"types":{}}`,
		"low below zero": `{"format":3,"member":"a","view":["a"],"types":{"pods.v1":{"behind":5,"high":4}}}`,
	} {
		if _, err := checkpoint.Decode(text); err == nil {
			t.Errorf("%s: believed", name)
		}
	}
}

func FuzzDecode(f *testing.F) {
	text, err := full().Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add(`{"format":3,"member":"a","view":["a"],"types":{"pods.v1":{"behind":5,"high":9,"except":"AAAAAAAAAAA="}}}`)
	f.Fuzz(func(t *testing.T, text string) {
		c, err := checkpoint.Decode(text)
		if err != nil {
			return
		}
		again, err := c.Encode()
		if err != nil {
			t.Fatal(err)
		}
		back, err := checkpoint.Decode(again)
		if err != nil {
			t.Fatalf("what was decoded does not decode again: %v", err)
		}
		if diff := cmp.Diff(c, back); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestALedgerSpeaksOnlyForThePartitionsOfTheView(t *testing.T) {
	format := ring.DefaultFormat()
	r, err := ring.New([]string{"a", "b"}, format)
	if err != nil {
		t.Fatal(err)
	}
	b := checkpoint.NewLedger("f", format)
	c := checkpoint.Checkpoint{
		Member: "a", View: []string{"a", "b"}, RingFormat: format.String(), Fingerprint: "f",
		Types: map[string]checkpoint.Entry{"pods.v1": {Low: 10, High: 10}},
	}
	if !b.Set("cm-a", c) {
		t.Fatal("not believed")
	}
	own, other := 0, 0
	for i := range 1000 {
		mine := r.Owner(r.Partition(string(id(i)))) == "a"
		if got := b.Covers("pods.v1", id(i), 10); got != mine {
			t.Fatalf("%s: covered %v, owned %v", id(i), got, mine)
		}
		if mine {
			own++
		} else {
			other++
		}
	}
	if own < 400 || other < 400 {
		t.Fatalf("%d own, %d other: the test proves nothing", own, other)
	}
	if b.Covers("nodes.v1", id(1), 1) {
		t.Error("covers a type that it does not speak of")
	}
	b.Delete("cm-a")
	if b.Len() != 0 {
		t.Error("a deleted checkpoint is believed")
	}
}

func TestALedgerDoesNotBelieveOfAnotherReceiverClusterOrRing(t *testing.T) {
	format := ring.DefaultFormat()
	good := checkpoint.Checkpoint{Member: "a", View: []string{"a"}, RingFormat: format.String(), Fingerprint: "f",
		Types: map[string]checkpoint.Entry{"pods.v1": {Low: 10, High: 10}}}
	for name, change := range map[string]func(*checkpoint.Checkpoint){
		"another fingerprint":   func(c *checkpoint.Checkpoint) { c.Fingerprint = "g" },
		"another ring format":   func(c *checkpoint.Checkpoint) { c.RingFormat = "x" },
		"a view without a ring": func(c *checkpoint.Checkpoint) { c.View = []string{"a", "a"} },
	} {
		b := checkpoint.NewLedger("f", format)
		b.Set("cm", good)
		bad := good
		change(&bad)
		if b.Set("cm", bad) || b.Covers("pods.v1", id(1), 1) {
			t.Errorf("%s: believed, or its predecessor still is", name)
		}
	}
}

// TestLedger_CheckpointIsOverwritten_EarlierOneStaysUntilSearched until the member's search for deletions is done.
func TestLedger_CheckpointIsOverwritten_EarlierOneStaysUntilSearched(t *testing.T) {
	c := word("a", 0)
	c.View = []string{"a", "b"}
	c.Types["pods.v1"] = checkpoint.Entry{Low: 90, High: 100, Earlier: []uint64{10, 20, 30, 40, 50}}
	text, err := c.Encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := checkpoint.Decode(text)
	if err != nil {
		t.Fatal(err)
	}
	b := checkpoint.NewLedger("f", ring.DefaultFormat())
	if !b.Set("a/checkpoint", got) {
		t.Fatal("not believed")
	}
	want := map[string][]uint64{"pods.v1": {20, 30, 40, 50, 100}}
	if diff := cmp.Diff(want, b.Past(func(member, _ string) bool { return member == "a" }).Versions); diff != "" {
		t.Errorf("versions to look at (-want +got):\n%s", diff)
	}
	if others := b.Past(func(member, _ string) bool { return member == "b" }).Versions; len(others) > 0 {
		t.Errorf("of somebody else: %v", others)
	}
}
