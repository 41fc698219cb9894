package target_test

import (
	"flag"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/index"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/target"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/sim"
)

var (
	modelSeed   = flag.Uint64("model.seed", 0, "run only this seed of the model of the fleet")
	modelFirst  = flag.Uint64("model.first", 1, "the first seed of the model of the fleet")
	modelFences = flag.Bool("model.fences", false, "whether members of the model are also fenced for moments")
	modelSeeds  = flag.Uint64("model.seeds", 12, "how many seeds of the model of the fleet are run")
)

// TestAFleetLosesNothingThatItsCheckpointsTell is a storm in virtual time, as [sim.Storm] describes it. The parts
// that connect the members are all real: pipelines, checkpoints, searches, engines and senders of resyncs, verifiers.
// -model.seed=N replays one seed.
func TestAFleetLosesNothingThatItsCheckpointsTell(t *testing.T) {
	seeds := *modelSeeds
	if testing.Short() {
		seeds = min(seeds, 4) // each takes three seconds with the race detector, and half a second without
	}
	storms(t, seeds, newSimPeer)
}

// TestAFleetWithoutRoomForMetadata_LosesNothing is the same storm with members that keep the metadata of one waiting
// object. All others are evicted, and stubs after a first list; each is listed again before it is sent.
func TestAFleetWithoutRoomForMetadata_LosesNothing(t *testing.T) {
	seeds := max(*modelSeeds/3, 1)
	if testing.Short() {
		seeds = 1
	}
	storms(t, seeds, newCrampedPeer)
}

func storms(t *testing.T, seeds uint64, newPeer func(sim.PeerOptions) sim.Peer) {
	t.Helper()
	storm := sim.Storm
	if *modelFences {
		storm = sim.FencedStorm
	}
	first, last := *modelFirst, *modelFirst+seeds-1
	if *modelSeed > 0 {
		first, last = *modelSeed, *modelSeed
	}
	for seed := first; seed <= last; seed++ {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { storm(t, seed, newPeer) })
		})
	}
}

// TestStormsThatOnceEndedWrong runs the seeds that found a defect. In both, the only member that was left had
// lost the event of a new object. The member that had sent it had left, and the object was deleted before any
// member compared a list.
func TestStormsThatOnceEndedWrong(t *testing.T) {
	for _, seed := range []uint64{20042, 20106} {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { sim.Storm(t, seed, newSimPeer) })
		})
	}
}

// TestScenarios plays the files of testdata/scenarios: each named storm, and each defect of recovery, with the
// requests that the receiver gets.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/scenarios/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("there are no scenarios", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { sim.Scenario(t, file, newSimPeer) })
		})
	}
}

// simPeer is a peer as the model knows it.
type simPeer struct{ *target.Peer }

func (p simPeer) Objects() *index.Index { return p.Index }

func newSimPeer(o sim.PeerOptions) sim.Peer { return simPeer{target.NewPeer(peerOptions(o))} }

func newCrampedPeer(o sim.PeerOptions) sim.Peer {
	of := peerOptions(o)
	of.Cramped = true
	return simPeer{target.NewPeer(of)}
}

func peerOptions(o sim.PeerOptions) target.PeerOptions {
	return target.PeerOptions{
		Name: o.Name, Incarnation: o.Incarnation, Maps: o.Maps, Sender: o.Sender, Pager: o.Pager, Leases: o.Leases, Settle: o.Settle,
		Exceptions: o.Exceptions, Batch: o.Batch, Read: o.Read, Served: o.Served, Take: o.Take, Compare: o.Compare, Doubt: o.Doubt, Schedule: o.Schedule,
	}
}
