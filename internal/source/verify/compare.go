package verify

import (
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/index"
)

// Source is what a doubt comes from.
type Source string

// The sources, which are values of the label source of the metrics.
const (
	FromList   Source = "list"
	FromPeer   Source = "peer"
	FromResync Source = "resync"
)

const (
	// patience is how long an index may take to reach a version that somebody else has seen. A watch brings
	// an event within milliseconds; only an idle one waits for a bookmark, and then its sum is the same
	// already.
	patience = 15 * time.Second
	// A type is not listed anew again before a pause is over, which doubles as long as its sum does not
	// become equal: a type whose sums cannot be compared costs a list in half an hour. The first pause grows
	// with the type, a second for each ten thousand objects.
	firstPause = 5 * time.Second
	perObject  = 100 * time.Microsecond
	maxPause   = 30 * time.Minute
)

// Index is what is held against the cluster; [index.Index] is one.
type Index interface {
	Sum(t resource.Type) (index.Sum, bool)
	SumAt(t resource.Type, version uint64) (uint64, index.Reach)
	LeftOut(t resource.Type, namespace, name string) bool
	Summed(f func(t resource.Type, s index.Sum))
	Get(t resource.Type, namespace, name string) (digest, version uint64, ok bool)
	All(t resource.Type, f func(namespace, name string, version uint64) bool)
}

// comparison is what an index says to a claim.
type comparison uint8

const (
	// waiting is for the watch to reach the version.
	waiting comparison = iota
	// same sum.
	same
	// different sum at the same version.
	different
	// forgotten is a version that is too long ago.
	forgotten
)

// String returns it in lower case.
func (c comparison) String() string {
	return [...]string{"waiting", "same", "different", "forgotten"}[c]
}

// compare holds an index against what somebody else says of a type. Where the versions do not meet, sums that are equal
// now are no contradiction: between the two versions nothing has happened.
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

// claim is what somebody says of a type, as long as it has not been compared.
type claim struct {
	source  Source
	member  string
	run     string
	sum     index.Sum
	heard   time.Time
	counted bool // its difference has been counted
}

// history is what is known of the verification of one type.
type history struct {
	name     string // of the type
	watched  uint64 // when it was last seen to be watched, by Verifier.looks
	claims   []claim
	verified time.Time // when it was last held against a list
	listed   time.Time // when somebody's list was last heard of, or ours was made
	repaired time.Time // when it was last listed anew
	pause    time.Duration
	next     time.Time // it is not listed anew before this
	wanted   bool      // it is to be listed anew, for what a claim says
	doubted  bool      // and for another reason
}

// take notes a claim; it takes the place of an earlier one by the same member for the same run.
func (h *history) take(c claim) {
	for i := range h.claims {
		if o := &h.claims[i]; o.source == c.source && o.member == c.member && o.run == c.run {
			*o = c
			return
		}
	}
	h.claims = append(h.claims, c)
}

// finding is what came of a claim.
type finding struct {
	claim
	verdict Verdict // Pending: it says nothing
	first   bool    // its difference is new, and to be counted
}

// examine compares what can be compared and returns what was found. Claims that have to wait, for the watch or for a
// repair, stay. A version that a peer has told, and that we do not reach, is one that we have lost an event of only
// while the peer lives: after a restore of etcd, or of an API's own store, what those have told that are gone is of a
// time that is lost.
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
				verdict = Repaired // by a list that something else led to
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

// settled notes a claim that holds.
func (h *history) settled(c claim, now time.Time) {
	if c.source == FromList {
		h.verified = now
	}
	if c.heard.After(h.repaired) && !c.counted {
		h.pause = 0
	}
}

// due tells whether the type is to be listed anew now.
func (h *history) due(now time.Time) bool { return h.waits() && !now.Before(h.next) }

// waits tells whether the type is to be listed anew.
func (h *history) waits() bool { return h.wanted || h.doubted }

// begin notes that the type is being listed anew.
func (h *history) begin(objects int, now time.Time) {
	h.pause = min(max(2*h.pause, firstPause+time.Duration(objects)*perObject), maxPause)
	h.next = now.Add(h.pause)
}

// mended notes that the type has been listed anew, and returns the claims that this has settled.
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
