package checkpoint_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/checkpoint"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/ring"
)

// worst is a checkpoint of 300 types with full entries, of a cluster that has seen ten billion changes.
func worst(rng *rand.Rand) (own, all checkpoint.Checkpoint, beside checkpoint.Beside) {
	own = word("a", 1)
	own.View = nil
	for i := range 10 {
		own.View = append(own.View, fmt.Sprintf("k8s-vectordb-sync-%d", i))
	}
	own.Member, own.Incarnation = own.View[0], "7d1b7e4e-3c3f-4c52-9d0e-0a8c1c0f7a55.12"
	own.Types = map[string]checkpoint.Entry{}
	var names []string
	for i := range 300 {
		name := fmt.Sprintf("averagelengthresources%d.v1alpha1.%s.example.com", i, []string{"networking", "storage", "monitoring"}[i%3])
		high := 10_000_000_000 - rng.Uint64N(1_000_000)
		own.Types[name] = checkpoint.Entry{Low: high - rng.Uint64N(1000), High: high, Event: high - rng.Uint64N(100_000_000), Sum: rng.Uint64(), SumAt: high}
		names = append(names, name)
	}
	all = own
	all.View, all.Types = []string{own.Member}, map[string]checkpoint.Entry{}
	for name, e := range own.Types {
		all.Types[name] = checkpoint.Entry{Low: e.Low, High: e.Low, Event: e.Event,
			Deleted: e.Low - rng.Uint64N(1_000_000_000)}
	}
	e := own.Types[names[0]]
	for range checkpoint.MaxExcept {
		e.Except = append(e.Except, uint32(len(e.Except))<<20|rng.Uint32N(1<<20))
	}
	own.Types[names[0]] = e
	for range checkpoint.MaxInDoubt {
		own.InDoubt = append(own.InDoubt, checkpoint.Doubt{ID: rng.Uint64(), Version: rng.Uint64() >> 30})
	}
	text, err := json.Marshal(map[string]any{"dirty": 12345, "unknown": names, "judged": names, "lastError": "HTTP 503: the store is away, which is said at some length", "stay": own.Incarnation})
	if err != nil {
		panic(err)
	}
	beside.Stats = string(text)
	return own, all, beside
}

// written writes a member's checkpoints, and returns how many bytes its ConfigMap takes.
func written(t *testing.T, client *fake.Clientset, own, all checkpoint.Checkpoint, beside checkpoint.Beside) (size int) {
	t.Helper()
	writer := store(client, own.Member, checkpoint.NewLedger("f", ring.DefaultFormat()))
	if err := writer.Publish(t.Context(), own, all, beside); err != nil {
		t.Fatal(err)
	}
	m, err := client.CoreV1().ConfigMaps("ns").Get(t.Context(), writer.Name(), metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range m.Data {
		size += len(k) + len(v)
	}
	for k, v := range m.BinaryData {
		size += len(k) + len(v)
	}
	t.Logf("%d bytes", size)
	return size
}

func TestPack_LargestConfigMap_FitsAndIsBelieved(t *testing.T) {
	t.Parallel()
	client := fake.NewClientset()
	own, all, beside := worst(rand.New(rand.NewPCG(1, 2)))
	size := written(t, client, own, all, beside)
	if size > 64<<10 {
		t.Errorf("%d bytes with 300 types and everything that can be said of them, want at most 64 KiB", size)
	}

	ledger := checkpoint.NewLedger("f", ring.DefaultFormat())
	if err := store(client, "b", ledger).Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if ledger.Len() != 2 || ledger.Stats()[own.Member] != beside.Stats {
		t.Errorf("%d checkpoints are believed", ledger.Len())
	}
	for name, e := range all.Types {
		if ledger.Bound(name) != e.Deleted || ledger.Events("b")[name] != e.Event {
			t.Fatalf("of %s it is believed: %d %d; want %+v", name, ledger.Bound(name), ledger.Events("b")[name], e)
		}
	}
}

// TestPack_ThousandsOfDeletionsWait_FitBesideAllElse: a receiver that is down for minutes keeps thousands of
// deletions waiting, and then thousands are delivered at once.
func TestPack_ThousandsOfDeletionsWait_FitBesideAllElse(t *testing.T) {
	t.Parallel()
	client := fake.NewClientset()
	rng := rand.New(rand.NewPCG(1, 2))
	own, all, beside := worst(rng)
	for i := range checkpoint.MaxOpen + 10 {
		version := 9_999_000_000 + rng.Uint64N(1_000_000)
		beside.Open = append(beside.Open, checkpoint.Tombstone{
			Type: "averagelengthresources.v1alpha1.networking.example.com",
			ID:   resource.ID(fmt.Sprintf("payments-production-%d/networking.example.com/v1alpha1/AverageLengthResource/gateway-%08x-%05x", i%50, rng.Uint32(), i)), Version: version,
			Lives: i%2 > 0,
		})
	}
	for range checkpoint.MaxDelivered {
		beside.Delivered = append(beside.Delivered, rng.Uint64())
	}
	size := written(t, client, own, all, beside)
	if size > 384<<10 {
		t.Errorf("%d bytes, want at most 384 KiB", size)
	}
	ledger := checkpoint.NewLedger("f", ring.DefaultFormat())
	if err := store(client, "b", ledger).Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := ledger.Lists()[own.Member]
	if ledger.Len() != 2 || len(got.Open) != checkpoint.MaxOpen || len(got.Delivered) != checkpoint.MaxDelivered {
		t.Errorf("%d checkpoints are believed, with %d deletions that wait and %d that are delivered", ledger.Len(), len(got.Open), len(got.Delivered))
	}
}

func TestStore_PackedCheckpointIsCut_IsNotBelieved(t *testing.T) {
	t.Parallel()
	client := fake.NewClientset()
	own, all, beside := worst(rand.New(rand.NewPCG(1, 2)))
	writer := store(client, own.Member, checkpoint.NewLedger("f", ring.DefaultFormat()))
	if err := writer.Publish(t.Context(), own, all, beside); err != nil {
		t.Fatal(err)
	}
	maps := client.CoreV1().ConfigMaps("ns")
	m, err := maps.Get(t.Context(), writer.Name(), metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for k, packed := range m.BinaryData {
		m.BinaryData[k] = packed[:len(packed)/2]
	}
	if _, err := maps.Update(t.Context(), m, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	ledger := checkpoint.NewLedger("f", ring.DefaultFormat())
	if err := store(client, "b", ledger).Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(0, ledger.Len()); diff != "" {
		t.Errorf("checkpoints that are believed: %s", diff)
	}
	// The next one is small again.
	if err := writer.Publish(t.Context(), word("a", 20), word("a", 20), checkpoint.Beside{}); err != nil {
		t.Fatal(err)
	}
	if err := store(client, "b", ledger).Refresh(t.Context()); err != nil || !ledger.Covers("pods.v1", id(1), 20) {
		t.Errorf("a small one after a large one is not believed: %v", err)
	}
}
