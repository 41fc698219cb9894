package verify

import (
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/index"
)

// Source is where a doubt comes from.
type Source string

// The sources, which are values of the label source of the metrics.
const (
	FromList   Source = "list"
	FromPeer   Source = "peer"
	FromResync Source = "resync"
)

const (
	// patience is how long an index may take to reach a version that another member or a list has seen. A watch
	// brings an event within milliseconds. Only an idle watch waits for a bookmark, and then the sums are equal
	// already.
	patience = 15 * time.Second
	// Between two lists anew of a type lies a pause, which doubles until the sums are equal. So a type whose sums
	// cannot be compared costs one list in half an hour. The first pause grows with the type: a second for each ten
	// thousand objects.
	firstPause = 5 * time.Second
	perObject  = 100 * time.Microsecond
	maxPause   = 30 * time.Minute
)

// Index is the index to be compared; [index.Index] is one.
type Index interface {
	Sum(t resource.Type) (index.Sum, bool)
	SumAt(t resource.Type, version uint64) (uint64, index.Reach)
	LeftOut(t resource.Type, namespace, name string) bool
	Summed(f func(t resource.Type, s index.Sum))
	Get(t resource.Type, namespace, name string) (digest, version uint64, ok bool)
	All(t resource.Type, f func(namespace, name string, version uint64) bool)
}

// comparison is the result of comparing an index with a claim.
type comparison uint8

const (
	// waiting means that the watch has not reached the version.
	waiting comparison = iota
	// same means an equal sum.
	same
	// different means another sum at the same version.
	different
	// forgotten means that the index does not remember the version any more.
	forgotten
)

// String returns the name of c in lower case.
func (c comparison) String() string {
	return [...]string{"waiting", "same", "different", "forgotten"}[c]
}

// compare compares an index with a claim about a type. If the versions differ and the latest sums are equal, the
// result is same: nothing has happened between the two versions.
func compare(x Index, t resource.Type, claimed index.Sum) comparison {
	now, ok := x.Sum(t)
	if ok && now.Same(claimed) {
		return same
	}
	hash, reach := x.SumAt(t, claimed.Version)
	switch {
	case reach == index.Reached && hash == claimed.Hash:
		return same
	case reach == index.Reached:
		return different
	case reach == index.Ahead || !ok:
		return waiting
	default:
		return forgotten
	}
}

// claim is the sum that a member or a list names for a type, until it has been compared.
type claim struct {
	source  Source
	member  string
	run     string
	sum     index.Sum
	heard   time.Time
	counted bool // its difference has been counted
}

// history is the state of the verification of one type.
type history struct {
	name     string // the type's
	watched  uint64 // the last look that found a watch of the type, as counted by Verifier.looks
	claims   []claim
	verified time.Time // when the index was last compared with a list
	listed   time.Time // when a list of any member was last completed, as far as we know
	repaired time.Time // when the type was last listed anew
	pause    time.Duration
	next     time.Time // the earliest time to list the type anew
	wanted   bool      // a claim asks for a list anew
	doubted  bool      // Doubt asks for one
}

// take notes a claim. The claim replaces an earlier one by the same member for the same run.
func (h *history) take(c claim) {
	for i := range h.claims {
		if o := &h.claims[i]; o.source == c.source && o.member == c.member && o.run == c.run {
			*o = c
			return
		}
	}
	h.claims = append(h.claims, c)
}

// finding is the result of examining a claim.
type finding struct {
	claim
	verdict Verdict // Pending: the claim proves nothing
	first   bool    // the difference is new, and to be counted
}

// examine compares all claims that can be compared, and returns the findings. Claims that wait for the watch or
// for a repair stay. If we do not reach the version of a peer's claim, we have lost an event, but only while the
// peer lives. After a restore of etcd, or of an API's own store, the claims of members that have left are void.
func (h *history) examine(x Index, t resource.Type, lives func(member string) bool, now time.Time) (found []finding) {
	left := h.claims[:0]
	h.wanted = false
	for _, c := range h.claims {
		result := compare(x, t, c.sum)
		if result == waiting && now.Sub(c.heard) >= patience && (c.source != FromPeer || lives(c.member)) {
			result = different
		}
		switch result {
		case waiting:
			left = append(left, c)
		case same:
			h.settled(c, now)
			verdict := Equal
			if c.counted || c.heard.Before(h.repaired) {
				verdict = Repaired // by a list that another claim or doubt led to
			}
			found = append(found, finding{claim: c, verdict: verdict})
		case forgotten:
			found = append(found, finding{claim: c, verdict: Pending})
		case different:
			first := !c.counted
			c.counted = true
			h.wanted = true
			left = append(left, c)
			if first {
				found = append(found, finding{claim: c, verdict: Repaired, first: true})
			}
		}
	}
	h.claims = left
	return found
}

// settled notes that a claim equals the index.
func (h *history) settled(c claim, now time.Time) {
	if c.source == FromList {
		h.verified = now
	}
	if c.heard.After(h.repaired) && !c.counted {
		h.pause = 0
	}
}

// due tells whether the type is to be listed anew, and its pause is over.
func (h *history) due(now time.Time) bool { return h.waits() && !now.Before(h.next) }

// waits tells whether the type is to be listed anew.
func (h *history) waits() bool { return h.wanted || h.doubted }

// begin notes that a list anew begins, and sets the pause after it.
func (h *history) begin(objects int, now time.Time) {
	h.pause = min(max(2*h.pause, firstPause+time.Duration(objects)*perObject), maxPause)
	h.next = now.Add(h.pause)
}

// mended notes that the type has been listed anew, and returns the claims that the list has settled.
func (h *history) mended(now time.Time) (settled []claim) {
	left := h.claims[:0]
	for _, c := range h.claims {
		if c.counted {
			settled = append(settled, c)
		} else {
			left = append(left, c)
		}
	}
	h.claims, h.wanted, h.doubted, h.repaired, h.verified = left, false, false, now, now
	return settled
}
