package checkpoint_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/checkpoint"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/ring"
)

func TestAnEntryThatLeavesOutWhatItCannotName(t *testing.T) {
	low, high := id(1), id(2)
	if checkpoint.Short(low) > checkpoint.Short(high) {
		low, high = high, low
	}
	e := checkpoint.Entry{Low: 10, High: 20, Until: checkpoint.Short(high)}
	for name, tt := range map[string]struct {
		id      resource.ID
		version uint64
		want    bool
	}{
		"below it":                 {low, 20, true},
		"below it, above high":     {low, 21, false},
		"from it on":               {high, 11, false},
		"from it on, up to low":    {high, 10, true},
		"from it on, no number":    {high, 0, false},
		"below it, no number":      {low, 0, false},
		"below it, between them":   {low, 15, true},
		"from it on, between them": {high, 15, false},
	} {
		if got := e.Covers(tt.id, tt.version); got != tt.want {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
}

// TestEntriesNameAsMuchAsThereIsRoomFor: in the middle of a first sync, one type has more unacknowledged objects
// than names. The others are named completely, and for that type all objects before the first unnamed one count.
func TestEntriesNameAsMuchAsThereIsRoomFor(t *testing.T) {
	var left, sent []resource.ID
	for i := range 3 * checkpoint.MaxExcept {
		if checkpoint.Short(id(i)) >= 1<<31 || i%100 == 0 { // half of it is done, except for a few
			left = append(left, id(i))
		} else {
			sent = append(sent, id(i))
		}
	}
	seen := map[string]uint64{"pods.v1": 1000, "nodes.v1": 1000}
	entries := checkpoint.Entries(seen, map[string]checkpoint.Backlog{
		"pods.v1": {Version: 1, IDs: left}, "nodes.v1": {Version: 1, IDs: left[:1000]},
	}, checkpoint.MaxExcept)
	if e := entries["nodes.v1"]; e.Until != 0 || len(e.Except) != 1000 {
		t.Errorf("of the shorter backlog %d are named, want 1000 and nothing left out", len(e.Except))
	}
	if e := entries["pods.v1"]; len(e.Except) != checkpoint.MaxExcept-1000 || e.High != 1000 {
		t.Errorf("of the longer backlog %d are named up to %d, want what there is room for, up to 1000", len(e.Except), e.High)
	}
	for _, id := range left {
		if entries["pods.v1"].Covers(id, 2) {
			t.Errorf("%s is covered, and was never sent", id)
		}
	}
	for _, id := range sent {
		if !entries["pods.v1"].Covers(id, 1000) {
			t.Errorf("%s is not covered, and was sent before anything that is left out", id)
		}
	}
}

// TestEntry_ReaderOfAnEarlierVersion_BelievesNoMoreThanLow: a replica of an earlier version, as in the middle of
// an upgrade, must not take objects for delivered that an entry leaves out.
func TestEntry_ReaderOfAnEarlierVersion_BelievesNoMoreThanLow(t *testing.T) {
	c := word("a", 0)
	c.Types["pods.v1"] = checkpoint.Entry{Low: 10, High: 20, Until: 1 << 31}
	text, err := c.Encode()
	if err != nil {
		t.Fatal(err)
	}
	var old struct {
		Types map[string]struct{ High, Behind uint64 }
	}
	if err := json.Unmarshal([]byte(text), &old); err != nil {
		t.Fatal(err)
	}
	if e := old.Types["pods.v1"]; e.High != 10 || e.Behind != 0 {
		t.Errorf("it reads %+v, want a high of 10", e)
	}
	got, err := checkpoint.Decode(text)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(c, got); diff != "" {
		t.Errorf("read back (-want +got):\n%s", diff)
	}
	for _, bad := range [][2]string{{`"reach":20`, `"reach":9`}, {`,"reach":20`, ``}, {`"until":2147483648,`, ``}} {
		if _, err := checkpoint.Decode(strings.Replace(text, bad[0], bad[1], 1)); err == nil || !strings.Contains(text, bad[0]) {
			t.Errorf("with %q for %q it is believed", bad[1], bad[0])
		}
	}
}

// An object that an entry leaves out existed at Low, and may have been deleted since: a search has to look there,
// too.
func TestEntry_LeavesOutAnObject_IsSearchedFromLow(t *testing.T) {
	b := checkpoint.NewLedger("f", ring.DefaultFormat())
	c := word("a", 0)
	c.View = []string{"a", "b"} // Its own partitions alone: an entry for all would begin at Low anyway.
	c.Types["pods.v1"] = checkpoint.Entry{Low: 10, High: 20, Until: 1 << 31}
	c.Types["nodes.v1"] = checkpoint.Entry{Low: 10, High: 20}
	b.Set("a/checkpoint", c)
	want := map[string][]uint64{"pods.v1": {10, 20}, "nodes.v1": {20}}
	if diff := cmp.Diff(want, b.Past(nil).Versions); diff != "" {
		t.Errorf("versions (-want +got):\n%s", diff)
	}
}
