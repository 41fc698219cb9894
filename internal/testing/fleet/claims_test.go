package fleet_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/receiver"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/ring"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/fleet"
)

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// at is a moment of a story, in seconds.
func at(seconds float64) time.Time { return epoch.Add(time.Duration(seconds * float64(time.Second))) }

// script writes a history, one version after the other.
type script struct{ versions []fleet.LeaseVersion }

// writes is a renewal at a moment, which the history sees 10 ms later.
func (s *script) writes(member, state string, seconds float64, view ...string) {
	s.versions = append(s.versions, fleet.LeaseVersion{
		Member: member, State: state, View: view, Renewed: at(seconds), Seen: at(seconds + 0.01), Revision: int64(len(s.versions) + 1),
	})
}

// parts is writes, with the takes and yields of the Lease.
func (s *script) parts(member string, seconds float64, takes, yields []string, view ...string) {
	s.writes(member, "live", seconds, view...)
	last := &s.versions[len(s.versions)-1]
	last.Takes, last.Yields = takes, yields
}

// marked is a write by another member.
func (s *script) marked(member, state string, seconds float64, view ...string) {
	var renewed time.Time
	for _, v := range s.versions {
		if v.Member == member {
			renewed = v.Renewed
		}
	}
	s.writes(member, state, seconds, view...)
	s.versions[len(s.versions)-1].Renewed = renewed
}

// owned finds an ID that one member owns among these.
func owned(t *testing.T, by string, members ...string) string {
	t.Helper()
	r, err := ring.New(members, ring.DefaultFormat())
	if err != nil {
		t.Fatal(err)
	}
	for n := range 10_000 {
		if id := fmt.Sprintf("default/v1/ConfigMap/c-%d", n); r.Owner(r.Partition(id)) == by {
			return id
		}
	}
	t.Fatalf("%s owns nothing", by)
	return ""
}

var configMaps = []string{"default//v1/configmaps//"}

func TestJudgeFindsWhoMayNotSend(t *testing.T) {
	t.Parallel()
	ofA, ofB := owned(t, "a", "a", "b"), owned(t, "b", "a", "b")
	type count struct{ fenced, unclaimed, usurped int }
	for name, c := range map[string]struct {
		story  func(s *script)
		sender string
		id     string
		begun  float64
		want   count
	}{
		"under its own claim":          {func(s *script) { s.writes("a", "live", 0, "a", "b") }, "a", ofA, 1, count{}},
		"what the other one owns":      {func(s *script) { s.writes("a", "live", 0, "a", "b") }, "a", ofB, 1, count{unclaimed: 1}},
		"what it takes":                {func(s *script) { s.parts("a", 0, configMaps, nil, "a", "b") }, "a", ofB, 1, count{}},
		"what it takes of another":     {func(s *script) { s.parts("a", 0, []string{"default//v1/configmaps/e/"}, nil, "a", "b") }, "a", ofB, 1, count{unclaimed: 1}},
		"what it yields":               {func(s *script) { s.parts("a", 0, nil, configMaps, "a", "b") }, "a", ofA, 1, count{unclaimed: 1}},
		"what another has not yielded": {func(s *script) { s.writes("b", "live", 0, "a", "b"); s.parts("a", 0.5, configMaps, nil, "a", "b") }, "a", ofB, 1, count{usurped: 1}},
		"what another has yielded": {func(s *script) {
			s.writes("b", "live", 0, "a", "b")
			s.parts("a", 0.5, configMaps, nil, "a", "b")
			s.parts("b", 0.7, nil, configMaps, "a", "b")
		}, "a", ofB, 1, count{}},
		"without a Lease":              {func(s *script) { s.writes("a", "live", 0, "a", "b") }, "b", ofB, 1, count{fenced: 1, unclaimed: 1}},
		"before its first Lease":       {func(s *script) { s.writes("a", "live", 5, "a", "b") }, "a", ofA, 1, count{fenced: 1, unclaimed: 1}},
		"just before the deadline":     {func(s *script) { s.writes("a", "live", 0, "a", "b") }, "a", ofA, 9.9, count{}},
		"after the deadline":           {func(s *script) { s.writes("a", "live", 0, "a", "b") }, "a", ofA, 10.6, count{fenced: 1}},
		"after the deadline of a mark": {func(s *script) { s.writes("a", "live", 0, "a", "b"); s.marked("a", "live", 8, "a", "b") }, "a", ofA, 10.6, count{fenced: 1}},
		"after a renewal":              {func(s *script) { s.writes("a", "live", 0, "a", "b"); s.writes("a", "live", 5, "a", "b") }, "a", ofA, 14.9, count{}},
		"after its release":            {func(s *script) { s.writes("a", "live", 0, "a", "b"); s.writes("a", "released", 2) }, "a", ofA, 2.1, count{unclaimed: 1}},
		"under its own residual claim": {func(s *script) { s.writes("a", "live", 0, "a"); s.writes("a", "released", 2, "a") }, "a", ofA, 2.1, count{unclaimed: 1}},
		"after it was marked dead":     {func(s *script) { s.writes("a", "live", 0, "a", "b"); s.marked("a", "dead", 2) }, "a", ofA, 2.1, count{unclaimed: 1}},
		"what it has given up":         {func(s *script) { s.writes("a", "live", 0, "a"); s.writes("a", "live", 2, "a", "b") }, "a", ofB, 2.1, count{unclaimed: 1}},
		"what it will have":            {func(s *script) { s.writes("a", "live", 0, "a", "b"); s.writes("a", "live", 2, "a") }, "a", ofB, 1.9, count{unclaimed: 1}},
		"what another had first": {func(s *script) {
			s.writes("b", "live", 0, "b")
			s.writes("a", "live", 1, "a", "b")
		}, "a", ofA, 2, count{usurped: 1}},
		"what another claims later": {func(s *script) {
			s.writes("a", "live", 0, "a", "b")
			s.writes("b", "live", 1, "b")
		}, "a", ofA, 2, count{}},
		"what another gave up": {func(s *script) {
			s.writes("b", "live", 0, "b")
			s.writes("a", "live", 1, "a", "b")
			s.writes("b", "live", 2, "a", "b")
		}, "a", ofA, 2.1, count{}},
		"what the dead had": {func(s *script) {
			s.writes("b", "live", 0, "b")
			s.writes("a", "live", 1, "a", "b")
			s.marked("b", "dead", 5)
		}, "a", ofA, 5.1, count{}},
		"what the dead had, too early": {func(s *script) {
			s.writes("b", "live", 0, "b")
			s.writes("a", "live", 1, "a", "b")
			s.marked("b", "dead", 5)
		}, "a", ofA, 4, count{usurped: 1}},
		"what is left claimed": {func(s *script) {
			s.writes("b", "live", 0, "b")
			s.writes("b", "released", 1, "b")
			s.writes("a", "live", 2, "a", "b")
		}, "a", ofA, 3, count{usurped: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var s script
			c.story(&s)
			request := receiver.Record{Seq: 1, Sender: c.sender, Begin: at(c.begun), End: at(c.begun + 0.1), Status: 200}
			upsert, del := request, request
			upsert.Upserts, del.Deletes = []receiver.Upsert{{ID: c.id}}, []string{c.id}
			for _, r := range []receiver.Record{upsert, del} {
				v := fleet.NewJudge(s.versions, 10*time.Second).Judge([]receiver.Record{r})
				if got := (count{len(v.Fenced), len(v.Unclaimed), len(v.Usurped)}); got != c.want || v.Empty() != (c.want == count{}) {
					t.Errorf("found %+v, want %+v: %v", got, c.want, v)
				}
			}
		})
	}
}

func TestJudgeFindsWhatWasGivenUpInFlight(t *testing.T) {
	t.Parallel()
	ofB := owned(t, "b", "a", "b")
	for name, c := range map[string]struct {
		story func(s *script)
		end   float64
		gone  bool
		want  int
	}{
		"never":                        {func(*script) {}, 9, false, 0},
		"after its end":                {func(s *script) { s.writes("a", "live", 3, "a", "b") }, 2.9, false, 0},
		"before its end":               {func(s *script) { s.writes("a", "live", 3, "a", "b") }, 3.1, false, 1},
		"when its client had gone":     {func(s *script) { s.writes("a", "live", 3, "a", "b") }, 3.4, true, 0},
		"before its client had gone":   {func(s *script) { s.writes("a", "live", 3, "a", "b") }, 3.6, true, 1},
		"after a renewal":              {func(s *script) { s.writes("a", "live", 2, "a"); s.writes("a", "live", 3, "a", "b") }, 3.1, false, 1},
		"by a release":                 {func(s *script) { s.writes("a", "released", 3) }, 3.1, false, 1},
		"by others, who found it dead": {func(s *script) { s.marked("a", "dead", 3) }, 3.1, false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var s script
			s.writes("a", "live", 0, "a")
			c.story(&s)
			r := receiver.Record{Sender: "a", Begin: at(1), End: at(c.end), Deletes: []string{ofB}}
			if c.gone {
				r.ClientGone, r.ClientGoneAt = true, r.End.Sub(r.Begin)
			}
			if v := fleet.NewJudge(s.versions, 10*time.Second).Judge([]receiver.Record{r}); len(v.Undrained) != c.want || v.Empty() != (c.want == 0) {
				t.Errorf("found %d, want %d: %v", len(v.Undrained), c.want, v)
			}
		})
	}
}

func TestOverlappingExcusesOnlyWhatIsOfUnknownOutcome(t *testing.T) {
	t.Parallel()
	stopped := []fleet.Span{{Member: "a", From: at(10), To: at(20)}}
	pair := func(first, second float64) receiver.Overlap {
		return receiver.Overlap{ID: "x", First: receiver.Record{Sender: "a", Begin: at(first)}, Second: receiver.Record{Sender: "b", Begin: at(second)}}
	}
	abandoned := pair(1, 2)
	abandoned.Abandoned = true
	other := pair(9, 15)
	other.First.Sender = "c"
	for name, c := range map[string]struct {
		overlap receiver.Overlap
		want    int
	}{
		"both at work":               {pair(1, 2), 1},
		"first client gone":          {abandoned, 0},
		"first sender stopped":       {pair(9, 15), 0},
		"second begun before that":   {pair(9, 9.5), 1},
		"first begun after that":     {pair(21, 22), 1},
		"second begun long after it": {pair(9, 25), 1},
		"another one stopped":        {other, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := fleet.Overlapping([]receiver.Overlap{c.overlap}, stopped); len(got) != c.want {
				t.Errorf("found %v, want %d", got, c.want)
			}
		})
	}
}
