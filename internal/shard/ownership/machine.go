package ownership

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/ring"
)

// Self identifies a member.
type Self struct {
	// Member is the member's name, and UID that of its pod; see [Lease].
	Member, UID string
	// Process is different for each process that ever runs under the UID.
	Process string
	// Duty names what the member sends and where, as one short text. Members with different duties never form one
	// ring, because each receiver would get only a part of the objects.
	Duty string
}

// Machine is one member's knowledge of the ring, and the conclusions from it. Create it with [New]. Its methods
// must not be called concurrently. The package documentation says how it is driven.
type Machine struct {
	self   Self
	t      Timings
	format string
	all    Area // all objects in all partitions
	cache  *claimCache
	off    rule // the rule that does not hold; none except in tests

	// The fields up to crashed hold what the watch has shown.
	fresh      bool // no list has come yet in this process
	synced     bool
	seen       uint64 // version up to which all changes have been seen
	since      uint64 // version of the list from which on all changes have been seen
	continuous time.Duration
	settled    bool
	leases     map[string]*observed // by member; our own name is among them
	zombies    []zombie
	crashed    Area // what crashed members had claimed, until we gain it

	// The fields up to hasRenewed hold our knowledge of the Lease under our own name: from the watch, from answers
	// to our writes, and from reading it.
	known      known
	generation int
	joined     bool // the known Lease is ours, of this incarnation, and live
	resumes    bool // the Lease that we last tried to take over was a residual claim
	joinedAt   time.Duration
	renewed    time.Duration // when our last successful renewal began
	hasRenewed bool

	// The fields up to held are about writes of our own Lease.
	writing  *Write
	retryAt  time.Duration
	written  Lease  // the last write that succeeded
	vouched  uint64 // the version up to which a write of ours has vouched
	composed Claim
	claims   uint64 // how often composed has changed
	maybe    []maybeClaim
	again    bool // the last write went wrong
	held     bool // we do not join while other members do the work; see Hold

	// The fields up to pendingHead lead to the next claim.
	wanted      [][]Part // the parts that we are asked to take, by request
	target      Claim
	hasTarget   bool
	drainToken  uint64 // of the last drain that was asked for
	drained     uint64 // of the last drain that was reported done
	rejoining   bool   // all requests must have ended before we join again
	leaving     bool
	leaveSole   bool
	pending     string        // the view that the members now call for, when it is not ours
	isPending   bool          // pending is set
	pendingFrom time.Duration // when the members began to call for this view
	pendingHead time.Duration // when they began to call for a view that is not ours

	// The fields from here on are conclusions.
	owned     Area
	conflicts Set
	gains     Gains // since TakeGains was last called
	ringErr   error
	health    health
}

// rule is a rule of the protocol. Tests can switch each rule off, and show what it is for.
type rule string

const (
	ruleObserve    rule = "observe"     // a claim is used once it has been seen published
	ruleOthers     rule = "others"      // no request is sent for what another member claims
	ruleFence      rule = "fence"       // nothing is sent long after the last renewal
	ruleDrain      rule = "drain"       // what is given away is drained before the new claim is published
	ruleSeason     rule = "season"      // a new member waits for members whose Leases have vanished
	ruleZombies    rule = "zombies"     // a vanished Lease goes on claiming for a time
	ruleYields     rule = "yields"      // a part is taken when the others have yielded it
	ruleYieldDrain rule = "yield drain" // the others drain a part before they yield it
)

type observed struct {
	lease   Lease
	claim   Area          // the area that the Lease claims
	changed time.Duration // when we last saw the Lease change
	retired time.Duration // when we first saw the Lease dead or released
	attempt time.Duration // when we last asked for the retirement of the Lease
	tried   bool
}

// zombie is a live member whose Lease has vanished. It may go on sending until its fence.
type zombie struct {
	member, uid string
	format      string
	claim       Area
	since       time.Duration
}

type known struct {
	lease   Lease
	present bool
	version uint64
}

// maybeClaim is a claim that our Lease has, or may yet get, through a write of ours that the watch has not shown.
type maybeClaim struct {
	base, version uint64 // version is 0 as long as the write's outcome is unknown
	claim         Claim
}

// New returns the machine of a member that has seen no Lease. It fails when the format or the timings are unsound
// or the name, the UID or the process is empty.
func New(self Self, f ring.Format, t Timings) (*Machine, error) {
	if err := f.Validate(); err != nil {
		return nil, err
	}
	if err := t.Validate(); err != nil {
		return nil, err
	}
	if self.Member == "" || self.UID == "" || self.Process == "" {
		return nil, fmt.Errorf("member is %+v, want a name, a UID and a process", self)
	}
	format := f.String() + "+parts1"
	if self.Duty != "" {
		format += "+" + self.Duty
	}
	return &Machine{
		fresh:  true,
		self:   self,
		t:      t,
		format: format,
		all:    Area{rest: fullSet(f.Partitions)},
		cache:  newClaimCache(f, format),
		leases: make(map[string]*observed),
	}, nil
}

// Synced takes a complete list of all Leases of the ring at a version. It is the first list, or one after an
// interruption of the watch that may have hidden changes. After an interruption we keep the area for which we may
// send, because our claim on it stood all the time. We may begin with new partitions only if no hidden member can
// be sending: one that came, began to send and lost its Lease meanwhile. There is none if every partition was
// claimed without interruption by members that we still see; otherwise we have to settle again.
//
// Synced returns true when the list shows a cluster that has gone back in time, which has the effect of
// [Machine.Restored].
func (m *Machine) Synced(leases []Lease, version uint64, now time.Duration) (restored bool) {
	if restored = version < m.seen || m.rewound(leases, version); restored {
		m.forget()
	}
	before := make(map[string]Lease, len(m.leases))
	for member, o := range m.leases {
		before[member] = o.lease
	}
	listed := make(map[string]bool, len(leases))
	for i := range leases {
		listed[leases[i].Member] = true
		m.see(&leases[i], now)
	}
	for member, o := range m.leases {
		if !listed[member] && o.lease.Version <= version {
			m.vanish(member, version, now)
		}
	}
	if !listed[m.self.Member] {
		m.learnAbsent(version)
	}
	m.seen = max(m.seen, version)
	if !m.synced || !m.settled || !m.continued(before) {
		m.synced, m.settled = true, m.fresh && nobodySends(leases)
		m.since, m.continuous = version, now
		for _, o := range m.leases {
			m.hear(&o.lease)
		}
	}
	m.fresh = false
	m.update(now)
	return restored
}

// nobodySends tells whether the first list that a process sees shows a ring that has never begun, or that has
// ended in good order. In good order means that all members have released their Leases or were found dead, and
// that the last writer vouches that no other member was left. The rule saves the first start of a release a lease
// duration. It cannot see a sole member that is paused or cut off, and whose Lease a person has deleted. That
// deletion is the one act that the protocol does not answer for.
func nobodySends(leases []Lease) bool {
	last := -1
	for i := range leases {
		if leases[i].State == Live {
			return false
		}
		if last < 0 || leases[i].Version > leases[last].Version {
			last = i
		}
	}
	return last < 0 || leases[last].Vouches
}

// forget makes us a newcomer whose requests still have to end.
func (m *Machine) forget() {
	clear(m.leases)
	m.zombies, m.maybe = nil, nil
	m.known, m.seen, m.vouched = known{}, 0, 0
	m.synced, m.settled, m.resumes, m.fresh = false, false, false, false
	m.rejoin()
}

// Restored takes the news that the cluster has gone back in time, because its etcd was restored from a backup.
// All Leases that we have seen are void then. We send nothing until the Leases have been listed and we have
// joined as a newcomer.
func (m *Machine) Restored() {
	if m.seen > 0 || m.known.version > 0 {
		m.forget()
	}
}

// rewound tells whether a list shows a Lease in a state older than one that we have seen. A restore of etcd can
// raise the version of lists, and leaves the versions of objects.
func (m *Machine) rewound(leases []Lease, version uint64) bool {
	for i := range leases {
		l := &leases[i]
		if o := m.leases[l.Member]; o != nil && l.Version < o.lease.Version && o.lease.Version <= version {
			return true
		}
	}
	return false
}

// continued tells whether every partition has been claimed without interruption since the Leases were in the
// state before.
func (m *Machine) continued(before map[string]Lease) bool {
	var claimed Area
	for member, o := range m.leases {
		if was, ok := before[member]; ok && o.lease.continues(&was) {
			claimed = claimed.Plus(o.claim)
		}
	}
	return m.all.Minus(claimed).Empty()
}

// Observe takes a Lease that the watch shows as added or changed.
func (m *Machine) Observe(l Lease, now time.Duration) {
	m.see(&l, now)
	m.seen = max(m.seen, l.Version)
	m.update(now)
}

// Deleted takes the deletion of a member's Lease at a version.
func (m *Machine) Deleted(member string, version uint64, now time.Duration) {
	if o := m.leases[member]; o != nil && o.lease.Version <= version {
		m.vanish(member, version, now)
	}
	m.seen = max(m.seen, version)
	m.update(now)
}

// Bookmark takes the news that the watch has shown every change up to a version.
func (m *Machine) Bookmark(version uint64, now time.Duration) {
	m.seen = max(m.seen, version)
	m.update(now)
}

// Tick lets time pass. It must be called when [Machine.Wake] says so.
func (m *Machine) Tick(now time.Duration) { m.update(now) }

// Leave gives everything up: from the call on, [Machine.MaySend] is false for every partition. The Lease is
// released when the drain that the call asks for is done. Leave cannot be undone.
func (m *Machine) Leave(now time.Duration) {
	if m.leaving {
		return
	}
	m.leaveSole = m.sole()
	m.leaving, m.hasTarget = true, false
	m.drainToken++
	m.update(now)
}

// Left tells whether we have left and have no Lease to release.
func (m *Machine) Left() bool { return m.leaving && !m.joined && m.writing == nil }

// see takes one state of one Lease, unless it is older than the state we have seen.
func (m *Machine) see(l *Lease, now time.Duration) {
	o := m.leases[l.Member]
	if o != nil && l.Version <= o.lease.Version {
		return
	}
	if o == nil {
		o = &observed{retired: -1}
		m.leases[l.Member] = o
		if l.State == Dead { // No member may have repeated its last words yet.
			dead := *l
			dead.State = Live
			m.note(&dead)
		}
	} else {
		m.ending(&o.lease, l)
		if o.lease.UID != l.UID {
			m.lose(&o.lease, now)
		}
	}
	if o.lease.State == Live || l.State == Live {
		o.retired = -1
	}
	if l.State != Live && o.retired < 0 {
		o.retired = now
	}
	o.lease, o.claim, o.changed, o.tried = *l, m.cache.of(l), now, false
	if l.State == Live { // The same pod has given up what it had, or is another process.
		m.zombies = slices.DeleteFunc(m.zombies, func(g zombie) bool { return g.member == l.Member && g.uid == l.UID })
	}
	m.hear(l)
	if l.Member == m.self.Member {
		m.learn(l)
		m.resolve(l.Version)
	}
}

// hear takes a member's assurance that no member could be sending whose Lease had vanished before our own list.
// We have seen the Leases that vanished since then ourselves.
func (m *Machine) hear(l *Lease) {
	if m.synced && l.Vouches && l.Seen >= m.since && l.Seen < l.Version && !m.mine(l) {
		m.settled = true
	}
}

// ending notes the claim that a member leaves behind when it ends without giving that claim up.
func (m *Machine) ending(before, after *Lease) {
	if before.claims() && (after.State == Dead || after.State == Live && after.Incarnation != before.Incarnation && before.State == Live) {
		m.note(before)
	}
}

// note remembers the claim of a Lease whose member has crashed, until we have taken the claim over ourselves. A
// member that had it in between may have failed to repeat the last words.
func (m *Machine) note(l *Lease) { m.crashed = m.crashed.Plus(m.cache.of(l)) }

// vanish takes the end of a Lease.
func (m *Machine) vanish(member string, version uint64, now time.Duration) {
	o := m.leases[member]
	delete(m.leases, member)
	if member == m.self.Member {
		m.learnAbsent(version)
	}
	m.lose(&o.lease, now)
}

// lose makes a zombie of a live member whose Lease is gone, or belongs to another pod without a release. If that
// happened in a gap of the watch, the member may have claimed more since. But then we are not settled, or the
// member could not begin with what it gained.
func (m *Machine) lose(l *Lease, now time.Duration) {
	if l.State != Live || l.UID == m.self.UID {
		return
	}
	m.note(l)
	if m.off != ruleZombies {
		m.zombies = append(m.zombies, zombie{member: l.Member, uid: l.UID, format: l.Format, claim: m.cache.of(l), since: now})
	}
}

// Incarnation names this stay in the ring; after the loss of the Lease there is another one.
func (m *Machine) Incarnation() string { return m.incarnation() }

func (m *Machine) incarnation() string { return fmt.Sprintf("%s.%d", m.self.Process, m.generation) }

// Process returns the name of the process that an incarnation is a stay of, and "" for text that is no
// incarnation.
func Process(incarnation string) string {
	if i := strings.LastIndexByte(incarnation, '.'); i > 0 {
		return incarnation[:i]
	}
	return ""
}

// mine tells whether the Lease belongs to this stay.
func (m *Machine) mine(l *Lease) bool {
	return l.Member == m.self.Member && l.UID == m.self.UID && l.Incarnation == m.incarnation()
}

// learn takes a newer state of the Lease under our own name, and tells whether we are joined.
func (m *Machine) learn(l *Lease) bool {
	if l.Version > m.known.version || l.Version == m.known.version && !m.known.present {
		m.known = known{lease: *l, present: true, version: l.Version}
		m.rejoin()
	}
	return m.joined
}

// learnAbsent takes the news that there is no Lease under our own name.
func (m *Machine) learnAbsent(version uint64) {
	if version < m.known.version {
		return
	}
	m.known = known{version: max(version, m.known.version)}
	m.rejoin()
}

// rejoin acts on our knowledge of our Lease. When the Lease stops being ours, all requests in flight have to end
// before we come back as another incarnation.
func (m *Machine) rejoin() {
	now := m.known.present && m.known.lease.State == Live && m.mine(&m.known.lease)
	switch {
	case now && !m.joined && m.resumes:
		m.settled, m.resumes = true, false
	case !now && m.joined && !m.leaving:
		m.generation++
		m.hasTarget, m.rejoining, m.hasRenewed = false, true, false
		m.maybe, m.wanted = nil, nil // A member takes parts within one stay.
		m.drainToken++
	}
	m.joined = now
}
