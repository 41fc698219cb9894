package api

import "time"

// Ring is the answer of GET /api/v1/ring: who shares the work, as the replica that answers sees it.
type Ring struct {
	// Name keeps two releases in one namespace apart.
	Name string `json:"name"`
	// Format is the algorithm with its parameters; members of two formats never form one ring.
	Format string `json:"format"`
	// Partitions is how many slots the ID space has.
	Partitions int `json:"partitions"`
	// Members are all that have a Lease, ordered by name.
	Members List[Member] `json:"members"`
	// Agreed is true when all live members work under the same view, and their claims cover every partition once.
	Agreed bool `json:"agreed"`
	// DisagreementSince is since when Agreed is false, absent when it is true.
	DisagreementSince *time.Time `json:"disagreementSince,omitempty"`
	// OrphanedPartitions is how many nobody claims: their changes wait.
	OrphanedPartitions int `json:"orphanedPartitions"`
	// Conflicts is how many more than one member claims: their changes wait, too.
	Conflicts int `json:"conflicts"`
}

// Member is one replica in the ring.
type Member struct {
	// Name is the replica's, unique in the ring.
	Name string `json:"name"`
	// State is its place in the life of a member.
	State MemberState `json:"state"`
	// Self marks the replica that answers.
	Self bool `json:"self"`
	// HeartbeatAgeSeconds is how long ago the answering replica saw the Lease change, by its own monotonic clock.
	HeartbeatAgeSeconds float64 `json:"heartbeatAgeSeconds"`
	// Partitions is how many the answering replica's ring gives to it.
	Partitions int `json:"partitions"`
	// Share is that number over all partitions, from 0 to 1.
	Share float64 `json:"share"`
	// View are the members that it works under, as it published them, sorted.
	View List[string] `json:"view"`
	// Claims is how many partitions it says that it may be sending.
	Claims int `json:"claims"`
}

// MemberState is the place of a replica in the life of a member.
//
//	joining ──▶ active ──▶ leaving ──▶ (gone)
//	               └─────▶ silent ───▶ dead ──▶ (gone)
type MemberState string

const (
	// MemberJoining has a Lease but no share yet.
	MemberJoining MemberState = "joining"
	// MemberActive renews its Lease and works.
	MemberActive MemberState = "active"
	// MemberLeaving flushes and is about to release its Lease.
	MemberLeaving MemberState = "leaving"
	// MemberSilent has not renewed its Lease for longer than its duration and may be marked dead any moment.
	MemberSilent MemberState = "silent"
	// MemberDead was marked so by another member; its share is with the others.
	MemberDead MemberState = "dead"
	// MemberForeign works under another ring format and belongs to another ring until the rolling upgrade is over.
	MemberForeign MemberState = "foreign"
)

// Owner is the answer of GET /api/v1/owner: who may send one object.
type Owner struct {
	// ID is what was asked for.
	ID string `json:"id"`
	// Partition is its slot.
	Partition int `json:"partition"`
	// Member is the owner of that slot in the answering replica's ring.
	Member string `json:"member"`
	// Self is true when that is the replica that answers.
	Self bool `json:"self"`
	// MaySend is true when the answering replica owns the partition and nothing forbids it to send right now.
	MaySend bool `json:"maySend"`
	// Reason is why it may not, empty when it may.
	Reason string `json:"reason,omitempty"`
	// Known is true when the answering replica knows an object of that ID.
	Known bool `json:"known"`
}
