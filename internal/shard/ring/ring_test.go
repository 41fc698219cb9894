package ring_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/buraksezer/consistent"
	"github.com/cespare/xxhash/v2"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/ring"
)

// names returns n members of the fleet with that number, named as a StatefulSet names its pods.
func names(fleet, n int) []string {
	ms := make([]string, n)
	for i := range ms {
		ms[i] = fmt.Sprintf("fleet%d-vectordb-sync-%d", fleet, i)
	}
	return ms
}

func mustNew(t testing.TB, members []string, f ring.Format) *ring.Ring {
	t.Helper()
	r, err := ring.New(members, f)
	if err != nil {
		t.Fatalf("New(%d members): %v", len(members), err)
	}
	return r
}

func TestEveryPartitionHasOneOwnerAndSharesAreEven(t *testing.T) {
	t.Parallel()
	for n := 1; n <= 50; n++ {
		if testing.Short() && n > 10 && n%10 > 0 {
			continue // the race detector, which cannot find a race here, makes a second of each
		}
		r := mustNew(t, names(n, n), ring.DefaultFormat())
		owned := make([]int, 4093)
		largest := 0
		for _, m := range r.Members() {
			ps := r.Partitions(m)
			if len(ps) != r.Share(m) {
				t.Fatalf("n=%d: Share(%s) = %d, want %d", n, m, r.Share(m), len(ps))
			}
			largest = max(largest, len(ps))
			for _, p := range ps {
				owned[p]++
				if r.Owner(p) != m {
					t.Fatalf("n=%d: Owner(%d) = %s, want %s", n, p, r.Owner(p), m)
				}
			}
		}
		if i := slices.IndexFunc(owned, func(c int) bool { return c != 1 }); i >= 0 {
			t.Fatalf("n=%d: partition %d has %d owners, want 1", n, i, owned[i])
		}
		if mean := 4093 / float64(n); float64(largest)/mean > 1.06 {
			t.Errorf("n=%d: largest share is %.3f of the mean, want at most 1.06", n, float64(largest)/mean)
		}
	}
}

// TestJoinAndLeaveMoveLittleMoreThanOneShare builds rings of many fleets; a leave is a join read backwards.
func TestJoinAndLeaveMoveLittleMoreThanOneShare(t *testing.T) {
	t.Parallel()
	fleets := 20
	if testing.Short() {
		fleets = 2
	}
	for _, n := range []int{1, 2, 3, 4, 5, 7, 10, 15, 20} {
		ideal := 100 / float64(n+1)
		sum, worst := 0.0, 0.0
		for fleet := range fleets {
			before, after := mustNew(t, names(fleet, n), ring.DefaultFormat()), mustNew(t, names(fleet, n+1), ring.DefaultFormat())
			moved := 100 * float64(len(moves(before, after))) / 4093
			sum, worst = sum+moved, max(worst, moved)
		}
		mean := sum / float64(fleets)
		t.Logf("%d to %d members: moved %.2f %% in the mean, %.2f %% at worst, ideal %.2f %%", n, n+1, mean, worst, ideal)
		if mean > ideal+1 || worst > ideal+4 {
			t.Errorf("%d to %d members: moved %.2f %% in the mean and %.2f %% at worst, want at most %.2f %% and %.2f %%",
				n, n+1, mean, worst, ideal+1, ideal+4)
		}
	}
}

func TestOrderOfMembersMeansNothing(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	for n := 1; n <= 12; n++ {
		members := names(0, n)
		want := mustNew(t, members, ring.DefaultFormat())
		for range 3 {
			rng.Shuffle(n, func(i, j int) { members[i], members[j] = members[j], members[i] })
			given := slices.Clone(members)
			if moved := moves(want, mustNew(t, members, ring.DefaultFormat())); len(moved) != 0 {
				t.Fatalf("n=%d: another order of members moved %d partitions, want none", n, len(moved))
			}
			if !slices.Equal(given, members) {
				t.Fatalf("n=%d: New changed the caller's slice", n)
			}
		}
	}
}

// TestOwnersArePinned fails when any owner changes under an unchanged format string: two versions in a rolling
// upgrade would then name different owners. A change of the sums is a change of ring.Algorithm, too.
func TestOwnersArePinned(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]uint64{1: 0xda6f51b6923d063a, 3: 0x9ca339c1d0bbe96b, 10: 0xc08bb93145aefd94} {
		r := mustNew(t, names(0, n), ring.DefaultFormat())
		h := xxhash.New()
		for p := range 4093 {
			_, _ = h.WriteString(r.Owner(p) + "\n")
		}
		if got := h.Sum64(); got != want {
			t.Errorf("n=%d: owners hash to %#x, want %#x", n, got, want)
		}
	}
	if got := ring.DefaultFormat().Partition("default/apps/v1/Deployment/nginx"); got != 261 {
		t.Errorf("Partition = %d, want %d", got, 261)
	}
}

type libMember string

func (m libMember) String() string { return string(m) }

type libHash struct{}

func (libHash) Sum64(b []byte) uint64 { return xxhash.Sum64(b) }

func TestAgreesWithTheLibraryOnEveryKey(t *testing.T) {
	t.Parallel()
	members := names(7, 5)
	lib := consistent.New(nil, consistent.Config{Hasher: libHash{}, PartitionCount: 271, ReplicationFactor: 40, Load: 1.2})
	for _, m := range members {
		lib.Add(libMember(m))
	}
	r := mustNew(t, members, ring.Format{Algorithm: ring.Algorithm, Partitions: 271, Replicas: 40, Load: 1.2})
	for i := range 5000 {
		key := fmt.Sprintf("ns-%d/v1/ConfigMap/name-%d", i%17, i)
		if got, want := r.Partition(key), lib.FindPartitionID([]byte(key)); got != want {
			t.Fatalf("Partition(%s) = %d, want %d", key, got, want)
		}
		if got, want := r.Owner(r.Partition(key)), lib.LocateKey([]byte(key)).String(); got != want {
			t.Fatalf("owner of %s is %s, want %s", key, got, want)
		}
	}
}

func TestNewRefusesWhatNoRingCanBeBuiltFrom(t *testing.T) {
	t.Parallel()
	ok := ring.DefaultFormat()
	with := func(change func(*ring.Format)) ring.Format { f := ok; change(&f); return f }
	for name, c := range map[string]struct {
		members []string
		format  ring.Format
		want    string
	}{
		"no members":           {nil, ok, "0 members"},
		"too many members":     {names(0, 501), ok, "501 members"},
		"empty name":           {[]string{"a", ""}, ok, "empty"},
		"duplicate":            {[]string{"a", "b", "a"}, ok, `"a" appears twice`},
		"zero format":          {[]string{"a"}, ring.Format{}, "algorithm"},
		"other algorithm":      {[]string{"a"}, with(func(f *ring.Format) { f.Algorithm = "jump" }), "algorithm"},
		"too few partitions":   {[]string{"a"}, with(func(f *ring.Format) { f.Partitions = 7 }), "7 partitions"},
		"too many partitions":  {[]string{"a"}, with(func(f *ring.Format) { f.Partitions = 1 << 20 }), "partitions"},
		"negative partitions":  {[]string{"a"}, with(func(f *ring.Format) { f.Partitions = -1 }), "partitions"},
		"one virtual node":     {[]string{"a"}, with(func(f *ring.Format) { f.Replicas = 1 }), "1 virtual nodes"},
		"absurd virtual nodes": {[]string{"a"}, with(func(f *ring.Format) { f.Replicas = 1 << 30 }), "virtual nodes"},
		"load of 1":            {[]string{"a"}, with(func(f *ring.Format) { f.Load = 1 }), "load"},
		"load of 3":            {[]string{"a"}, with(func(f *ring.Format) { f.Load = 3 }), "load"},
		"load of NaN":          {[]string{"a"}, with(func(f *ring.Format) { f.Load = math.NaN() }), "load"},
	} {
		r, err := ring.New(c.members, c.format)
		if r != nil || err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: New = %v, %v; want an error that mentions %q", name, r, err, c.want)
		}
	}
}

// TestNeverPanics builds rings at the bounds of the parameters.
func TestNeverPanics(t *testing.T) {
	t.Parallel()
	for _, f := range []ring.Format{
		{Algorithm: ring.Algorithm, Partitions: 64, Replicas: 10, Load: 1.01},
		{Algorithm: ring.Algorithm, Partitions: 64, Replicas: 10, Load: 2},
		{Algorithm: ring.Algorithm, Partitions: 4093, Replicas: 10, Load: 1.01},
	} {
		for _, n := range []int{1, 2, 3, 31, 63, 64, 65, 129, 500} {
			if testing.Short() && n > 200 {
				continue // three seconds with the race detector
			}
			if _, err := ring.New(names(1, n), f); err != nil {
				t.Errorf("New(%d members, %s): %v", n, f, err)
			}
		}
	}
}

func TestOwnerOfWhatDoesNotExist(t *testing.T) {
	t.Parallel()
	r := mustNew(t, []string{"a"}, ring.DefaultFormat())
	if got := r.Owner(-1) + r.Owner(4093); got != "" {
		t.Errorf("owner of a partition that does not exist is %q, want none", got)
	}
	if got := r.Partitions("b"); got != nil {
		t.Errorf("partitions of a stranger are %v, want none", got)
	}
}

// moves returns the partitions that have another owner in one ring than in another of the same format.
func moves(from, to *ring.Ring) (moved []int) {
	for p := range from.Format().Partitions {
		if from.Owner(p) != to.Owner(p) {
			moved = append(moved, p)
		}
	}
	return moved
}

func TestFormatIsSpelledAsLeasesCarryIt(t *testing.T) {
	t.Parallel()
	if got := ring.DefaultFormat().String(); got != "consistent1-xxh64/4093/400/1.05" {
		t.Errorf("String = %s", got)
	}
}

func BenchmarkNew(b *testing.B) {
	for _, n := range []int{3, 10, 50, 100, 500} {
		b.Run(fmt.Sprintf("members=%d", n), func(b *testing.B) {
			members := names(0, n)
			for b.Loop() {
				mustNew(b, members, ring.DefaultFormat())
			}
		})
	}
}

func BenchmarkOwnerOfKey(b *testing.B) {
	r := mustNew(b, names(0, 10), ring.DefaultFormat())
	for b.Loop() {
		r.Owner(r.Partition("default/apps/v1/Deployment/nginx"))
	}
}
