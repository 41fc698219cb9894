package api

import "time"

// Ring is the answer to GET /api/v1/ring: the members that share the work, as the replica that answers sees them.
type Ring struct {
	// Name keeps two releases in one namespace apart.
	Name string `json:"name"`
	// Format is the algorithm with its parameters; members of two formats never form one ring.
	Format string `json:"format"`
	// Partitions is how many slots the ID space has.
	Partitions int `json:"partitions"`
	// Members are all that have a Lease, ordered by name.
	Members List[Member] `json:"members"`
	// Agreed is true when all live members work under the same view and every partition is claimed.
	Agreed bool `json:"agreed"`
	// DisagreementSince is since when Agreed is false, absent when it is true.
	DisagreementSince *time.Time `json:"disagreementSince,omitempty"`
	// OrphanedPartitions is how many partitions no member claims: their changes wait.
	OrphanedPartitions int `json:"orphanedPartitions"`
	// Conflicts is how many of the answering replica's partitions another member claims, too. Their changes wait until
	// one of the two withdraws, as in every handoff.
	Conflicts int `json:"conflicts"`
	// Fenced is true when the answering replica sends nothing because its Lease could not be renewed.
	Fenced bool `json:"fenced"`
	// Error is why no ring can be built from the members, empty when one can.
	Error string `json:"error,omitempty"`
}

// Member is one replica in the ring.
type Member struct {
	// Name is the replica's, unique in the ring.
	Name string `json:"name"`
	// State is its place in the life of a member.
	State MemberState `json:"state"`
	// Format is the member's ring format; empty is the same as the ring's. During a rolling upgrade it may differ.
	// Then the member belongs to a ring of its own until the upgrade is over.
	Format string `json:"format,omitempty"`
	// Self marks the replica that answers.
	Self bool `json:"self"`
	// HeartbeatAgeSeconds is how long ago the answering replica saw the Lease change, by its own monotonic clock.
	HeartbeatAgeSeconds float64 `json:"heartbeatAgeSeconds"`
	// Partitions is how many partitions the answering replica's ring gives to the member.
	Partitions int `json:"partitions"`
	// Share is that number over all partitions, from 0 to 1.
	Share float64 `json:"share"`
	// View are the members under which it works, as it published them, sorted.
	View List[string] `json:"view"`
	// Claims is how many partitions it may be sending, as it says itself.
	Claims int `json:"claims"`
	// Takes are the types, or some namespaces of them, of which it is the only sender for as long as it resyncs them.
	Takes List[string] `json:"takes,omitempty"`
}

// MemberState is the state of a member as the replica that answers sees it.
//
//	waiting ──▶ working ◀──▶ silent ──▶ gone
//	               └──▶ missing ─────────┘
type MemberState string

const (
	// MemberWaiting has no claim yet: it joins, or waits for its name.
	MemberWaiting MemberState = "waiting"
	// MemberWorking renews its Lease and has a claim.
	MemberWorking MemberState = "working"
	// MemberSilent has not been seen to renew its Lease for longer than the renew deadline, and sends nothing.
	MemberSilent MemberState = "silent"
	// MemberMissing had its Lease deleted while it was live; the others wait for it as for a silent one.
	MemberMissing MemberState = "missing"
	// MemberGone has released its Lease or was found dead; the others have its share.
	MemberGone MemberState = "gone"
)

// Owner is the answer to GET /api/v1/owner: the member that may send one object.
type Owner struct {
	// ID is the ID in the request.
	ID string `json:"id"`
	// Partition is the partition of that ID.
	Partition int `json:"partition"`
	// Member is the owner of that partition in the answering replica's ring.
	Member string `json:"member"`
	// Self is true when the owner is the replica that answers.
	Self bool `json:"self"`
	// MaySend is true when the answering replica owns the partition and nothing forbids it to send right now.
	MaySend bool `json:"maySend"`
	// Reason says why the replica may not send, empty when it may.
	Reason string `json:"reason,omitempty"`
	// Known is true when the answering replica knows an object of that ID.
	Known bool `json:"known"`
}
