package sim

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/ring"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/configmaps"
)

// World is a cluster of two types, of which one is removed and comes back, a receiver, and a fleet between them. It
// is made, and lives, in a bubble of testing/synctest.
type World struct {
	t        *testing.T
	newPeer  func(PeerOptions) Peer
	rng      *rand.Rand // of the driver
	maps     *configmaps.Server
	format   ring.Format
	began    time.Time
	reads    time.Duration // how long the next processes of a scenario read other types
	limits   Limits        // of the next processes of a scenario
	schedule time.Duration // of their full resyncs

	story sync.Mutex // guards lines
	lines []line

	mu sync.Mutex // guards the fields below
	apiServer
	receiver
	fleet
	losses
	listing
	ended bool

	running sync.WaitGroup // goroutines that live has started
	late    sync.WaitGroup // requests that the receiver has read
}

// apiServer holds the objects of the cluster, and their history.
type apiServer struct {
	version   uint64
	objects   map[string]record
	events    []record
	forgotten uint64 // the history begins after this version
	away      bool
	removed   bool // the second type is removed
	opaque    bool // the versions of the second type are no numbers
	quiet     bool // watches bring no bookmarks
}

// receiver takes all requests.
type receiver struct {
	mode  string                // "", busy, steady, hangs or slow
	pace  *rand.Rand            // of all requests
	paces map[string]*rand.Rand // of each member's requests, in its place; nil in a storm
	docs  map[resource.ID]resource.Body
	got   []delivered // since the last look

	sentAt map[resource.ID]time.Time // when the receiver last got a state of an object
}

// fleet is the members that send.
type fleet struct {
	members map[string]*member
	agreed  agreed
	changes int             // of agreed: how many have begun, and how many are carried out. It is odd in between.
	takes   []*take         // in the order of the requests
	gone    map[string]bool // members of agreed that have ended since, and whether by a crash
}

// losses are the events that watches lose.
type losses struct {
	lost   int
	lossOf int // one of so many events is lost; 0 means none
	luck   *rand.Rand
}

// pods is the type that always exists.
var pods = resource.Type{Version: "v1", Resource: "pods", Kind: "Pod", Namespaced: true}

// gadgets is the type that is removed. Its objects are those whose names begin with a g.
var gadgets = resource.Type{Group: "example.com", Version: "v1", Resource: "gadgets", Kind: "Gadget", Namespaced: true}

func typeOf(name string) resource.Type {
	if strings.HasPrefix(name, "g") {
		return gadgets
	}
	return pods
}

// namespaceOf is the namespace of an object: those whose names end in 1 are in the second one.
func namespaceOf(name string) string {
	if strings.HasSuffix(name, "1") {
		return "b"
	}
	return "a"
}

// record is one state of an object, or its deletion.
type record struct {
	name    string
	version uint64
	opaque  bool // clients cannot read the version
	deleted bool
}

// shown is the version as clients read it.
func (r record) shown() uint64 {
	if r.opaque {
		return 0
	}
	return r.version
}

func (r record) record() resource.Record {
	o := Object(r.name, r.version)
	o.ResourceVersion = r.shown()
	return o
}

// Object is a state of an object of this world, whose content is its version.
func Object(name string, version uint64) resource.Record {
	return resource.Record{Namespace: namespaceOf(name), Name: name, ResourceVersion: version, Digest: version, Body: resource.Body(fmt.Sprint(version))}
}

// newWorld returns a world without members. The seed decides all random choices.
func newWorld(t *testing.T, seed uint64, newPeer func(PeerOptions) Peer) *World {
	w := &World{
		t: t, newPeer: newPeer, rng: rand.New(rand.NewPCG(seed, 1)), maps: configmaps.NewServer(), format: ring.DefaultFormat(), began: time.Now(),
		apiServer: apiServer{version: 100, forgotten: 1, objects: map[string]record{}},
		receiver:  receiver{pace: rand.New(rand.NewPCG(seed, 3)), docs: map[resource.ID]resource.Body{}, sentAt: map[resource.ID]time.Time{}},
		fleet:     fleet{members: map[string]*member{}, gone: map[string]bool{}},
		listing:   listing{interval: 30 * time.Second},
		losses:    losses{luck: rand.New(rand.NewPCG(seed, 4))},
	}
	return w
}

// live lets the world go on: watches bring events, members hand over, and change is called twenty times a second.
func (w *World) live(change func()) {
	w.running.Go(func() { w.watch(change) })
	w.running.Go(w.agree)
}

// end ends the world, with all members.
func (w *World) end() {
	w.mu.Lock()
	w.ended = true
	members := slices.Collect(maps.Values(w.members))
	w.mu.Unlock()
	w.running.Wait()
	for _, m := range members {
		if m.ctx.Err() == nil {
			m.cancel()
			m.peer.Kill()
		}
	}
	w.late.Wait()
}

// await waits until amiss returns nothing, and returns its last text. It waits for three minutes at most, and for three
// more after the last moment at which a member knew that it was still to list a type.
func (w *World) await(amiss func() string) string {
	const peace = 3 * time.Minute
	latest := time.Now().Add(longestRepair)
	for deadline := time.Now().Add(peace); amiss() != "" && time.Now().Before(deadline); time.Sleep(time.Second) {
		if w.diverged() && time.Now().Before(latest) {
			deadline = time.Now().Add(peace)
		}
	}
	return amiss()
}

// longestRepair is how long a member that knows of a difference may wait before it lists the type again, after many
// lists in a row that have not made it equal to its peers. Where a watch loses one event in 200, this happens.
const longestRepair = 33 * time.Minute

// diverged tells whether a member knows that it differs from the cluster, and is still to list.
func (w *World) diverged() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, m := range w.members {
		if m.diverged && m.ctx.Err() == nil {
			return true
		}
	}
	return false
}

// say records an event of the fleet.
func (w *World) say(format string, args ...any) { w.note("", format, args...) }

// note records an event of an object; without a name, of the fleet. A test that fails prints all events that
// concern the trouble.
func (w *World) note(name, format string, args ...any) {
	w.story.Lock()
	defer w.story.Unlock()
	w.lines = append(w.lines, line{name, fmt.Sprintf("%6.2f  %s", time.Since(w.began).Seconds(), fmt.Sprintf(format, args...))})
}

// tell returns the story of the fleet, and of the objects in a trouble.
func (w *World) tell(amiss string) string {
	w.story.Lock()
	defer w.story.Unlock()
	var text []string
	for _, l := range w.lines {
		if l.name == "" || strings.Contains(amiss+" ", "/"+l.name+" ") {
			text = append(text, l.text)
		}
	}
	return strings.Join(text, "\n")
}

type line struct{ name, text string }
