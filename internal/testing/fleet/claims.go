package fleet

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/receiver"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/ring"
)

// slack is how late the receiver, or this process, may learn of an event on a busy machine. It applies only to times
// that are not known exactly: the moment at which a Lease was marked dead, and the way of a request to the receiver.
const slack = 500 * time.Millisecond

// Judge compares the receiver's records with the writes to the Leases, so it needs no word of the replicas. Make one
// with [NewJudge]. It is pure and not safe for concurrent use.
type Judge struct {
	deadline time.Duration
	format   ring.Format
	members  map[string][]version
	rings    map[string]*ring.Ring // by view
}

// version is a version of a Lease with the bounds of the time in which it was the last one.
type version struct {
	LeaseVersion
	// ring is the ring of the view, nil when the Lease claims nothing.
	ring *ring.Ring
	// earliest and latest bound the moment of the write.
	earliest, latest time.Time
	// until bounds the moment of the next write from above, ends from below. For the last write, both are far away.
	until, ends time.Time
}

// Verdict lists violations in words, each with its request.
type Verdict struct {
	// Fenced are requests that began later than the renew deadline after the last renewal before them.
	Fenced []string
	// Unclaimed are requests with an ID that the sender's own Lease did not claim at any moment when it may have stood.
	Unclaimed []string
	// Usurped are requests with an ID that another Lease had claimed first and certainly still claimed.
	Usurped []string
	// Undrained are requests with an ID that the sender gave up, by its own write, before they had ended.
	Undrained []string
	// Requests is how many requests were judged, IDs how many IDs they held.
	Requests, IDs int
	// Oldest is the longest time between the beginning of a renewal and that of a request under it.
	Oldest time.Duration
}

// Empty tells whether there is no violation.
func (v *Verdict) Empty() bool {
	return len(v.Fenced)+len(v.Unclaimed)+len(v.Usurped)+len(v.Undrained) == 0
}

// String counts the violations and shows the first of each sort.
func (v *Verdict) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "of %d requests with %d IDs: %d after the fence, %d without a claim, %d against another's claim, %d given up in flight",
		v.Requests, v.IDs, len(v.Fenced), len(v.Unclaimed), len(v.Usurped), len(v.Undrained))
	for _, all := range [][]string{v.Fenced, v.Unclaimed, v.Usurped, v.Undrained} {
		for _, one := range all[:min(len(all), 5)] {
			b.WriteString("\n  " + one)
		}
	}
	return b.String()
}

// NewJudge takes the complete history of a ring whose members renew within the deadline.
func NewJudge(history []LeaseVersion, deadline time.Duration) *Judge {
	j := &Judge{deadline: deadline, format: ring.DefaultFormat(), members: make(map[string][]version), rings: make(map[string]*ring.Ring)}
	never := time.Unix(math.MaxInt32, 0)
	for _, l := range history {
		v := version{LeaseVersion: l, ring: j.ring(&l), earliest: l.Renewed, latest: l.Seen, until: never, ends: never}
		if all := j.members[l.Member]; len(all) > 0 {
			last := &all[len(all)-1]
			if !l.Renewed.After(last.Renewed) { // another member's write: a mark, or a deletion
				v.earliest = l.Seen.Add(-slack)
			}
			last.until, last.ends = v.latest, v.earliest
		}
		j.members[l.Member] = append(j.members[l.Member], v)
	}
	return j
}

// ring returns the ring with which a Lease's claim is computed.
func (j *Judge) ring(l *LeaseVersion) *ring.Ring {
	if l.State != "live" && l.State != "released" || len(l.View) == 0 {
		return nil
	}
	key := strings.Join(l.View, ",")
	r, ok := j.rings[key]
	if !ok {
		r, _ = ring.New(l.View, j.format) // nil: no member sends under a view without a ring
		j.rings[key] = r
	}
	return r
}

// place is the partition of an ID, and its resource as far as the kind tells.
type place struct {
	partition                           int
	group, version, resource, namespace string
}

func (j *Judge) place(id string) place {
	p := place{partition: j.format.Partition(id)}
	parts, err := resource.ParseID(id)
	if err != nil {
		return p
	}
	gv, err := schema.ParseGroupVersion(parts.APIVersion)
	if err != nil {
		return p
	}
	plural, _ := meta.UnsafeGuessKindToResource(gv.WithKind(parts.Kind))
	p.group, p.version, p.resource = gv.Group, gv.Version, plural.Resource
	if p.namespace = parts.Namespace; p.namespace == resource.ClusterNamespace {
		p.namespace = ""
	}
	return p
}

// among tells whether a place is in one of some parts, of any target.
func (p *place) among(parts []string) bool {
	return slices.ContainsFunc(parts, func(text string) bool {
		f := strings.Split(text, "/")
		return len(f) == 6 && f[1] == p.group && f[2] == p.version && f[3] == p.resource &&
			p.namespace >= f[4] && (f[5] == "" || p.namespace < f[5])
	})
}

func (v *version) claims(at place) bool {
	switch {
	case v.ring == nil:
		return false
	case at.among(v.Takes):
		return true
	default:
		return v.ring.Owner(at.partition) == v.Member && !at.among(v.Yields)
	}
}

// Judge judges requests of instances and resources.
func (j *Judge) Judge(records []receiver.Record) *Verdict {
	verdict := &Verdict{}
	for i := range records {
		r := &records[i]
		if len(r.Upserts)+len(r.Deletes) == 0 {
			continue
		}
		verdict.Requests++
		j.fence(r, verdict)
		for _, u := range r.Upserts {
			j.id(r, u.ID, verdict)
		}
		for _, id := range r.Deletes {
			j.id(r, id, verdict)
		}
	}
	return verdict
}

// fence looks for the renewal under which a request began. It counts a renewal whose answer got lost, although the
// replica must not have counted it: from outside, both look the same.
func (j *Judge) fence(r *receiver.Record, verdict *Verdict) {
	var last *version
	for i := range j.members[r.Sender] {
		if v := &j.members[r.Sender][i]; v.State == "live" && !v.Renewed.After(r.Begin) {
			last = v
		}
	}
	if last == nil {
		verdict.Fenced = append(verdict.Fenced, tell(r)+" had never written a Lease")
		return
	}
	age := r.Begin.Sub(last.Renewed)
	verdict.Oldest = max(verdict.Oldest, age)
	if age > j.deadline+slack {
		verdict.Fenced = append(verdict.Fenced, fmt.Sprintf("%s was begun %v after the renewal at %s", tell(r), age.Round(time.Millisecond), stamp(last.Renewed)))
	}
}

// id looks for the claim under which a request may hold an ID, and for one that forbade it.
func (j *Judge) id(r *receiver.Record, id string, verdict *Verdict) {
	verdict.IDs++
	where := j.place(id)
	partition := where.partition
	begun := j.begun(r.Sender, where, r.Begin)
	if begun == 0 {
		verdict.Unclaimed = append(verdict.Unclaimed, fmt.Sprintf("%s held %s of partition %d", tell(r), id, partition))
		return
	}
	if given := j.givenUp(r.Sender, where, r.Begin); given != nil && ended(r).After(given.latest) {
		verdict.Undrained = append(verdict.Undrained, fmt.Sprintf("%s held %s of partition %d, given up in revision %d, seen at %s",
			tell(r), id, partition, given.Revision, stamp(given.latest)))
	}
	for member := range j.members {
		if member == r.Sender {
			continue
		}
		if since := j.stands(member, where, r.Begin); since > 0 && since < begun {
			verdict.Usurped = append(verdict.Usurped, fmt.Sprintf("%s held %s of partition %d, claimed in revision %d and by %s since %d",
				tell(r), id, partition, begun, member, since))
		}
	}
}

// begun returns the revision of the write that began the claim under which a member may have sent at that moment,
// and 0 when there was no such claim. If several are possible, it returns the first.
func (j *Judge) begun(member string, where place, at time.Time) int64 {
	all := j.members[member]
	for i := range all {
		v := &all[i]
		if v.earliest.After(at) || v.until.Before(at) || v.State != "live" || !v.claims(where) {
			continue
		}
		return since(all[:i+1], where)
	}
	return 0
}

// ended returns the earliest time at which a request was over for its sender: a receiver learns late of a client's
// end.
func ended(r *receiver.Record) time.Time {
	if r.ClientGone {
		return r.Begin.Add(r.ClientGoneAt - r.BeginAt - slack)
	}
	return r.End
}

// givenUp returns the write by which a member gave up, in the same incarnation, a partition that it claimed at that
// moment, or nil.
func (j *Judge) givenUp(member string, where place, at time.Time) *version {
	var last *version // that claims, in the incarnation of the moment
	for i := range j.members[member] {
		v := &j.members[member][i]
		switch {
		case v.State == "live" && v.claims(where) && (last == nil || last.Incarnation == v.Incarnation || !v.earliest.After(at)):
			last = v
		case last == nil || v.latest.Before(at): // there is nothing to give up, or the write was earlier
			last = nil
		case v.Incarnation != last.Incarnation || v.State != "live" && v.State != "released":
			return nil
		default:
			return v
		}
	}
	return nil
}

// stands returns the revision of the write that began the claim that a member certainly had at that moment, or 0.
func (j *Judge) stands(member string, where place, at time.Time) int64 {
	all := j.members[member]
	for i := range all {
		if v := &all[i]; !v.latest.After(at) && v.ends.After(at) && v.claims(where) {
			return since(all[:i+1], where)
		}
	}
	return 0
}

// since returns the revision of the write that began the claim in which the last of these versions stands.
func since(versions []version, where place) int64 {
	first := len(versions) - 1
	for first > 0 && versions[first-1].claims(where) {
		first--
	}
	return versions[first].Revision
}

// Span is a period in which a process was stopped.
type Span struct {
	Member   string
	From, To time.Time
}

// Overlapping returns the pairs of requests that held one ID at once, by the receiver's own record. It leaves out
// pairs whose first client had left, and pairs whose first sender was stopped before the second request began. The
// request of a stopped process has an unknown outcome, as after a crash, and the receiver cannot know that its
// client is gone.
func Overlapping(overlaps []receiver.Overlap, stopped []Span) []string {
	var found []string
	for _, o := range overlaps {
		excused := o.Abandoned || slices.ContainsFunc(stopped, func(s Span) bool {
			return s.Member == o.First.Sender && o.First.Begin.Before(s.From.Add(slack)) &&
				o.Second.Begin.After(s.From) && o.Second.Begin.Before(s.To.Add(slack))
		})
		if !excused {
			found = append(found, fmt.Sprintf("%s: %s and %s", o.ID, tell(&o.First), tell(&o.Second)))
		}
	}
	return found
}

func tell(r *receiver.Record) string {
	end := "still in flight"
	if !r.End.IsZero() {
		end = fmt.Sprintf("ended %s with %d", stamp(r.End), r.Status)
	}
	gone := ""
	if r.ClientGone {
		gone = ", its client gone"
	}
	return fmt.Sprintf("request %d of %s begun %s, %s%s", r.Seq, cmp.Or(r.Sender, "nobody"), stamp(r.Begin), end, gone)
}

func stamp(t time.Time) string { return t.UTC().Format("15:04:05.000") }
