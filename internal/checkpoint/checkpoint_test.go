package checkpoint_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/checkpoint"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/ring"
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

// TestWhatAMemberIsStillToSendIsCoveredByNoneOfItsWords has one state under two versions, because an update in between has
// changed nothing that is sent: a member that began later knows it by the higher one. Its checkpoints end below that, and
// must not be taken for the word that the lower one is acknowledged: whoever holds it would forget it, say so, and be
// believed in turn.
func TestWhatAMemberIsStillToSendIsCoveredByNoneOfItsWords(t *testing.T) {
	format := ring.DefaultFormat()
	b := checkpoint.NewBook("receiver", format)
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

// TestEntriesNeverClaimTooMuch is the property that no change may be lost by: whatever is in a backlog, at its version
// or above, is not covered.
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
			b.Version = uint64(r.IntN(1200)) // also above what was seen, and 0: not known
			for i := range r.IntN(3) * r.IntN(600) {
				b.Found = append(b.Found, id(-1-i))
			}
			b.FoundAfter = uint64(r.IntN(1200))
			if len(b.IDs)+len(b.Found) > 0 || r.IntN(2) == 0 {
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
		for name, b := range backlog {
			book := checkpoint.NewBook("f", ring.DefaultFormat())
			for page, types := range map[string]map[string]checkpoint.Entry{"a/checkpoint": entries, "a/all": bounds} {
				c := word("a", 0)
				for name, e := range types { // Its member has found what it has found, and watches since.
					e.Since, e.Searched = seen[name], min(b.FoundAfter, seen[name])
					c.Types[name] = e
				}
				book.Set(page, c)
			}
			for _, i := range b.Found[:min(len(b.Found), 5)] {
				for _, v := range []uint64{b.FoundAfter + 1, seen[name]} {
					if v > b.FoundAfter && b.FoundAfter < seen[name] && book.CoversDeletion(name, i, b.FoundAfter, v) {
						t.Fatalf("seed %d: the deletion of %s at %d is covered by %+v, but waits since %d", seed, i, v, bounds[name], b.FoundAfter)
					}
				}
			}
			if book.Bound(name) > b.FoundAfter && len(b.Found) > 0 && book.Bound(name) > 1 {
				t.Fatalf("seed %d: nobody looks at what was deleted after %d, but only after %d", seed, b.FoundAfter, book.Bound(name))
			}
		}
		for name, high := range seen {
			if len(backlog[name].IDs)+len(backlog[name].Found) == 0 && (!entries[name].Covers(id(1), high) || !bounds[name].Covers(id(1), high)) {
				t.Fatalf("seed %d: a type without backlog is not covered up to %d", seed, high)
			}
		}
		if excepted > checkpoint.MaxExcept {
			t.Fatalf("seed %d: %d exceptions", seed, excepted)
		}
	}
}

// TestASearchHoldsBackOnlyWhatIsSaidOfDeletions: a storm found that members which came and went before their searches were
// done said nothing new of all partitions, so that half of the cluster was sent again each time.
func TestASearchHoldsBackOnlyWhatIsSaidOfDeletions(t *testing.T) {
	b := checkpoint.NewBook("f", ring.DefaultFormat())
	c := word("a", 0)
	c.Types = checkpoint.Bounds(map[string]uint64{"pods.v1": 100}, nil)
	c.Types["pods.v1"] = c.Types["pods.v1"].DeletedTo(40)
	e := c.Types["pods.v1"]
	e.Since = 90
	c.Types["pods.v1"] = e
	if !b.Set("a/all", c) {
		t.Fatal("not believed")
	}
	if !b.Covers("pods.v1", id(1), 100) || b.Covers("pods.v1", id(1), 101) || b.Acknowledged("pods.v1", id(1)) != 100 {
		t.Error("what is there is not covered up to 100")
	}
	if bound := b.Bound("pods.v1"); bound != 40 {
		t.Errorf("deletions are looked for from %d on, want 40", bound)
	}
	for _, tt := range []struct {
		after, version    uint64
		covered, disputed bool
	}{
		{95, 96, false, false}, // watched, but what a search has found would be, too, and may wait
		{60, 95, false, false}, // its search may still find it
		{30, 40, false, true},  // spoken of by somebody who may not have known
		{100, 101, false, false},
	} {
		if got := b.CoversDeletion("pods.v1", id(1), tt.after, tt.version); got != tt.covered {
			t.Errorf("a deletion in (%d, %d]: covered %v, want %v", tt.after, tt.version, got, tt.covered)
		}
		if got := b.Disputed("pods.v1", id(1), tt.after, tt.version); got != tt.disputed {
			t.Errorf("a deletion in (%d, %d]: disputed %v, want %v", tt.after, tt.version, got, tt.disputed)
		}
	}
	if got := (checkpoint.Entry{Low: 100, High: 100, Deleted: 40}).DeletedTo(60); got.Deleted != 40 {
		t.Errorf("a lower word was raised to %d", got.Deleted)
	}
	if got := (checkpoint.Entry{Low: 100, High: 100}).DeletedTo(0); got.Deleted != 0 {
		t.Errorf("no word has become %d", got.Deleted)
	}
}

// TestOurLastWordsOfAnEarlierStayAreHeard: a replica that comes back under its name is the only one who could act on what
// it has told when it left, if all the others have left, too.
func TestOurLastWordsOfAnEarlierStayAreHeard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := fake.NewClientset()
		list := checkpoint.Deletions{{Type: "pods.v1", ID: id(1), After: 49, Version: 50}}
		if err := store(client, "a", checkpoint.NewBook("f", ring.DefaultFormat())).Publish(t.Context(), word("a", 40), word("a", 40), checkpoint.Beside{Told: list, Pending: list, Figures: "figures"}); err != nil {
			t.Fatal(err)
		}
		book := checkpoint.NewBook("f", ring.DefaultFormat())
		again := store(client, "a", book)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() { _ = again.Run(ctx) }()
		synctest.Wait()
		said := map[string]checkpoint.List{"a": {Sum: list.Sum(), Deletions: list}}
		if diff := cmp.Diff([]map[string]checkpoint.List{said, said}, []map[string]checkpoint.List{book.Deletions(), book.Pending()}); diff != "" {
			t.Errorf("heard (-want +got):\n%s", diff)
		}
		if len(book.Figures()) > 0 {
			t.Errorf("our own figures of an earlier stay count: %v", book.Figures())
		}
		for range 2 { // the second time our watch shows what we have written
			if err := again.Publish(ctx, word("a", 60), word("a", 60), checkpoint.Beside{Told: list, Pending: list}); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if len(book.Deletions()) > 0 || len(book.Pending()) > 0 {
				t.Errorf("we hear ourselves: %v %v", book.Deletions(), book.Pending())
			}
		}
	})
}

// TestWhatTheReceiverRefusesIsExceptedAndHoldsNothingBack: an object that a receiver in trouble has refused must not be
// taken for delivered by whoever takes it over.
func TestWhatTheReceiverRefusesIsExceptedAndHoldsNothingBack(t *testing.T) {
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
	b := checkpoint.NewBook("f", ring.DefaultFormat())
	own := word("a", 100)
	own.View = []string{"a", "b"}
	own.Types["pods.v1"] = checkpoint.Entry{Low: 60, High: 100, Except: []uint32{checkpoint.Short(id(1))}}
	all := word("b", 100)
	all.Types["pods.v1"] = checkpoint.Entry{Low: 40, High: 40}
	b.Set("a", own)
	b.Set("b/all", all)
	mine, err := b.Owns("a", own.View)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 50 {
		want := uint64(40)
		if mine(id(i)) {
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

func TestTheLargestCheckpointReadsBack(t *testing.T) {
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

func TestWhatIsNotACheckpointIsRefused(t *testing.T) {
	good, err := full().Encode()
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"nothing": "", "no JSON": "{", "cut": good[:len(good)/2], "another format": strings.Replace(good, `"format":2`, `"format":1`, 1),
		"no member":      strings.Replace(good, `"member":"a"`, `"member":""`, 1),
		"broken base64":  strings.Replace(good, `"except":"`, `"except":"!`, 1),
		"low below zero": `{"format":2,"member":"a","view":["a"],"types":{"pods.v1":{"behind":5,"high":4}}}`,
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
	f.Add(`{"format":1,"member":"a","view":["a"],"types":{"pods.v1":{"behind":5,"high":9,"except":"AAAAAAAAAAA="}}}`)
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

func TestABookSpeaksOnlyForThePartitionsOfTheView(t *testing.T) {
	format := ring.DefaultFormat()
	r, err := ring.New([]string{"a", "b"}, format)
	if err != nil {
		t.Fatal(err)
	}
	b := checkpoint.NewBook("f", format)
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

func TestABookDoesNotBelieveOfAnotherReceiverClusterOrRing(t *testing.T) {
	format := ring.DefaultFormat()
	good := checkpoint.Checkpoint{Member: "a", View: []string{"a"}, RingFormat: format.String(), Fingerprint: "f",
		Types: map[string]checkpoint.Entry{"pods.v1": {Low: 10, High: 10}}}
	for name, change := range map[string]func(*checkpoint.Checkpoint){
		"another fingerprint":   func(c *checkpoint.Checkpoint) { c.Fingerprint = "g" },
		"another ring format":   func(c *checkpoint.Checkpoint) { c.RingFormat = "x" },
		"a view without a ring": func(c *checkpoint.Checkpoint) { c.View = []string{"a", "a"} },
	} {
		b := checkpoint.NewBook("f", format)
		b.Set("cm", good)
		bad := good
		change(&bad)
		if b.Set("cm", bad) || b.Covers("pods.v1", id(1), 1) {
			t.Errorf("%s: believed, or its predecessor still is", name)
		}
	}
}

// TestADeletionIsCoveredOnlyByWhoeverKnowsOfIt is what keeps a deletion alive that the owner's watch did not show.
func TestADeletionIsCoveredOnlyByWhoeverKnowsOfIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := fake.NewClientset()
		ours := checkpoint.NewBook("f", ring.DefaultFormat())
		us, owner := store(client, "a", ours), store(client, "b", checkpoint.NewBook("f", ring.DefaultFormat()))
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() { _ = us.Run(ctx) }()
		word := word("b", 100)
		word.Types["pods.v1"] = checkpoint.Entry{Low: 100, High: 100, Since: 50}
		publish := func() {
			t.Helper()
			if err := owner.Publish(ctx, word, word, checkpoint.Beside{}); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		publish()
		if !ours.CoversDeletion("pods.v1", id(1), 50, 51) || ours.Disputed("pods.v1", id(1), 50, 51) {
			t.Error("a deletion that the owner's watch has shown is not covered")
		}
		if ours.CoversDeletion("pods.v1", id(1), 49, 50) || !ours.Disputed("pods.v1", id(1), 49, 50) || !ours.Covers("pods.v1", id(1), 50) {
			t.Error("a deletion before the owner's list is covered, or a state is not")
		}
		// Of a deletion somewhere after 40 and before 60, the owner's list at 50 may have come later.
		if ours.CoversDeletion("pods.v1", id(1), 40, 60) || !ours.Disputed("pods.v1", id(1), 40, 60) {
			t.Error("a deletion that may have been before the owner's list is covered")
		}
		word.Types["pods.v1"] = checkpoint.Entry{Low: 100, High: 100, Since: 50, Searched: 40}
		publish()
		if !ours.CoversDeletion("pods.v1", id(1), 40, 60) || ours.Disputed("pods.v1", id(1), 40, 60) || ours.CoversDeletion("pods.v1", id(1), 39, 60) {
			t.Error("a deletion that the owner has found itself is not covered, or another one is")
		}
		word.Types["pods.v1"] = checkpoint.Entry{Low: 100, High: 100, Since: 50}
		publish()
		if ours.Disputed("pods.v1", id(1), 100, 101) {
			t.Error("disputed although the owner has not spoken of it")
		}
		list := checkpoint.Deletions{{Type: "pods.v1", ID: id(1), Version: 50}}
		if err := us.Publish(ctx, checkpoint.Checkpoint{Member: "a", View: []string{"a"}, RingFormat: word.RingFormat, Fingerprint: "f"}, word, checkpoint.Beside{Told: list}); err != nil {
			t.Fatal(err)
		}
		read := checkpoint.NewBook("f", ring.DefaultFormat())
		if err := store(client, "b", read).Refresh(ctx); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(map[string]checkpoint.List{"a": {Sum: list.Sum(), Deletions: list}}, read.Deletions()); diff != "" {
			t.Errorf("the owner reads (-want +got):\n%s", diff)
		}
		word.Heard = map[string]string{"a": "another list"}
		publish()
		if ours.CoversDeletion("pods.v1", id(1), 49, 50) {
			t.Error("covered by a member that has heard of something else")
		}
		word.Heard = map[string]string{"a": list.Sum()}
		publish()
		if !ours.CoversDeletion("pods.v1", id(1), 49, 50) || ours.CoversDeletion("pods.v1", id(2), 49, 50) {
			t.Error("not covered after the owner has heard, or covered without having been told")
		}
	})
}

// TestWhatANewWordNamesIsNotCoveredByAnOlderOne is a ghost of a storm: between the writing of our checkpoint and its
// return by the watch, the one before it is still in the book. It knows nothing of what the new one names.
func TestWhatANewWordNamesIsNotCoveredByAnOlderOne(t *testing.T) {
	client := fake.NewClientset()
	ours := checkpoint.NewBook("f", ring.DefaultFormat())
	us := store(client, "a", ours)
	word := func(except ...resource.ID) checkpoint.Checkpoint {
		c := word("a", 100)
		c.Incarnation = "a.1"
		c.Types = checkpoint.Entries(map[string]uint64{"pods.v1": 100}, map[string]checkpoint.Backlog{"pods.v1": {Found: except, FoundAfter: 9}}, checkpoint.MaxExcept)
		e := c.Types["pods.v1"]
		e.Since = 50
		c.Types["pods.v1"] = e
		return c
	}
	covered := func() bool { return ours.CoversDeletion("pods.v1", id(1), 9, 10) }
	for _, step := range []struct {
		except  []resource.ID
		pending checkpoint.Deletions
		want    bool // once the watch has brought it
	}{
		{nil, nil, false},
		{[]resource.ID{id(1)}, checkpoint.Deletions{{Type: "pods.v1", ID: id(1), After: 9, Version: 10}}, false},
		{nil, nil, true},
	} {
		c := word(step.except...)
		if err := us.Publish(t.Context(), c, c, checkpoint.Beside{Pending: step.pending}); err != nil {
			t.Fatal(err)
		}
		if covered() {
			t.Errorf("covered by the checkpoint before %+v", step)
		}
		m, err := client.CoreV1().ConfigMaps("ns").Get(t.Context(), us.Name(), metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		us.Take(m)
		if covered() != step.want {
			t.Errorf("covered: %v after %+v", covered(), step)
		}
	}
}

// TestADeletionIsKnownToWhoeverHasNamedIt, or has taken a list that names it: its owner, which has only been told of it,
// says by its next checkpoint that it is delivered, and nobody sends it once more.
func TestADeletionIsKnownToWhoeverHasNamedIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := fake.NewClientset()
		ours := checkpoint.NewBook("f", ring.DefaultFormat())
		us, owner := store(client, "a", ours), store(client, "b", checkpoint.NewBook("f", ring.DefaultFormat()))
		gone := store(client, "c", checkpoint.NewBook("f", ring.DefaultFormat()))
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() { _ = us.Run(ctx) }()
		list := checkpoint.Deletions{{Type: "pods.v1", ID: id(1), After: 9, Version: 10}}
		says := func(s *checkpoint.Store, c checkpoint.Checkpoint, beside checkpoint.Beside) {
			t.Helper()
			if err := s.Publish(ctx, c, c, beside); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		want := func(when string, covered bool) {
			t.Helper()
			if got := ours.CoversDeletion("pods.v1", id(1), 9, 10); got != covered {
				t.Errorf("%s: covered %v, want %v", when, got, covered)
			}
			if covered && ours.CoversDeletion("pods.v1", id(1), 9, 11) || ours.CoversDeletion("pods.v1", id(2), 9, 10) {
				t.Errorf("%s: another deletion is covered, too", when)
			}
		}
		at := func(except ...resource.ID) checkpoint.Checkpoint {
			c := word("b", 100)
			c.Incarnation = "b.1"
			c.Types = checkpoint.Entries(map[string]uint64{"pods.v1": 100}, map[string]checkpoint.Backlog{"pods.v1": {Found: except, FoundAfter: 9}}, checkpoint.MaxExcept)
			e := c.Types["pods.v1"]
			e.Since = 50 // its list came after the deletion
			c.Types["pods.v1"] = e
			return c
		}
		says(gone, word("c", 5), checkpoint.Beside{Pending: list})
		says(owner, at(), checkpoint.Beside{})
		want("the owner knows nothing", false)
		taken := at(id(1))
		taken.Taken = map[string]string{"c": list.Sum()}
		says(owner, taken, checkpoint.Beside{})
		want("the owner has taken the list, and not yet delivered", false)
		taken = at()
		taken.Taken = map[string]string{"c": list.Sum()}
		says(owner, taken, checkpoint.Beside{})
		want("the owner has taken the list, and delivered", true)
		taken.Taken = map[string]string{"c": "another"}
		says(owner, taken, checkpoint.Beside{})
		want("the owner has taken an earlier list", false)
		taken.Taken, taken.Heard = nil, map[string]string{"c": list.Sum()}
		says(owner, taken, checkpoint.Beside{})
		want("the owner has heard what was not told", false)
		says(gone, word("c", 6), checkpoint.Beside{Told: list})
		want("the owner has heard it", true)

		says(owner, at(id(1)), checkpoint.Beside{Pending: list})
		want("it waits at the owner", false)
		says(owner, at(), checkpoint.Beside{})
		want("it has waited at the owner", true)
		later := at()
		later.Incarnation = "b.2"
		says(owner, later, checkpoint.Beside{})
		want("it has waited at the owner in an earlier stay", false)
	})
}

// TestWhatANewCheckpointOverwritesIsStillLookedAt until its member has looked back.
func TestWhatANewCheckpointOverwritesIsStillLookedAt(t *testing.T) {
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
	b := checkpoint.NewBook("f", ring.DefaultFormat())
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
