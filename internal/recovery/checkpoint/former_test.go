package checkpoint_test

import (
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/checkpoint"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/ring"
)

// covering returns how many of a hundred objects of a namespace a ledger takes for acknowledged at a version.
func covering(b *checkpoint.Ledger, namespace string, version uint64) (covered int) {
	for i := range 100 {
		if b.Covers("pods.v1", resource.ID(namespace+string(id(i)[1:])), version) {
			covered++
		}
	}
	return covered
}

// giving is the checkpoint of a member that is alone and has given namespaces up, each with all that it had
// acknowledged there.
func giving(version uint64, yields ...string) checkpoint.Checkpoint {
	c := word("a", version)
	for _, n := range yields {
		c.Yields = append(c.Yields, checkpoint.Part{Type: "pods.v1", From: n, Until: n + "-"})
	}
	return c
}

// TestLedger_MemberGivesUpTwoPartsInARow_WhatItSaidOfTheFirstHolds: the new owner of the first part reads when the
// member has written the checkpoint for the second already.
func TestLedger_MemberGivesUpTwoPartsInARow_WhatItSaidOfTheFirstHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := checkpoint.NewLedger("f", ring.DefaultFormat())
		b.Set("a", giving(100))
		b.Set("a", giving(110, "m"))
		b.Set("a", giving(120, "m", "n"))
		for _, tt := range []struct {
			namespace  string
			until, new uint64
		}{{"m", 100, 101}, {"n", 110, 111}, {"o", 120, 121}} {
			if got := covering(b, tt.namespace, tt.until); got != 100 {
				t.Errorf("%d of 100 objects in %s are covered at version %d", got, tt.namespace, tt.until)
			}
			if got := covering(b, tt.namespace, tt.new); got != 0 {
				t.Errorf("%d objects in %s are covered at version %d, which the member has not seen", got, tt.namespace, tt.new)
			}
		}
		time.Sleep(time.Minute)
		b.Set("a", giving(130, "m"))
		if got := covering(b, "m", 100); got != 0 {
			t.Errorf("%d objects are covered by what is long gone", got)
		}
		b.Delete("a")
		if got := covering(b, "o", 1); got != 0 {
			t.Errorf("%d objects are covered by nothing", got)
		}
	})
}

// TestLedger_MemberExceptsAnObjectLater_FormerCheckpointDoesNotCoverIt: the member has found out that it was wrong.
func TestLedger_MemberExceptsAnObjectLater_FormerCheckpointDoesNotCoverIt(t *testing.T) {
	b := checkpoint.NewLedger("f", ring.DefaultFormat())
	b.Set("a", giving(100))
	c := giving(110, "m")
	c.Types["pods.v1"] = checkpoint.Entry{Low: 90, High: 110, Except: []uint32{checkpoint.Short(resource.ID("m" + string(id(7)[1:])))}}
	b.Set("a", c)
	if got := covering(b, "m", 100); got != 99 {
		t.Errorf("%d of 100 objects are covered, want all but the excepted one", got)
	}
}

// TestLedger_FormerSumDiffers_CoversNothingOfTheType: the member had lost an event when it said so. That its later sums
// are ours says nothing about it.
func TestLedger_FormerSumDiffers_CoversNothingOfTheType(t *testing.T) {
	b := checkpoint.NewLedger("f", ring.DefaultFormat())
	says := func(c checkpoint.Checkpoint, sum uint64) {
		e := c.Types["pods.v1"]
		e.Sum, e.SumAt = sum, e.High
		c.Types["pods.v1"] = e
		b.Set("a", c)
	}
	compare := func(ours uint64) {
		b.Compare(func(_ string, _, sum uint64) checkpoint.Agreement {
			if sum == ours {
				return checkpoint.Agreed
			}
			return checkpoint.Contested
		})
	}
	says(giving(100), 6)
	says(giving(110, "m"), 7)
	if got := covering(b, "m", 100); got != 0 {
		t.Errorf("%d objects are covered before the sum is compared", got)
	}
	compare(7)
	if got := covering(b, "m", 100); got != 0 || !b.Contests() {
		t.Errorf("%d objects are covered by a member that had lost an event; contests: %v", got, b.Contests())
	}
	compare(6)
	if got := covering(b, "m", 100); got != 100 {
		t.Errorf("%d objects are covered when the sums agree, want 100", got)
	}
}

// TestStore_WatchIsBehindRefresh_FormerCheckpointIsKept: the list shows the later of two checkpoints before the watch
// brings the earlier one.
func TestStore_WatchIsBehindRefresh_FormerCheckpointIsKept(t *testing.T) {
	client := fake.NewClientset()
	writer := store(client, "a", checkpoint.NewLedger("f", ring.DefaultFormat()))
	ledger := checkpoint.NewLedger("f", ring.DefaultFormat())
	reader := store(client, "b", ledger)
	read := func(version string) *corev1.ConfigMap {
		m, err := client.CoreV1().ConfigMaps("ns").Get(t.Context(), writer.Name(), metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		m.ResourceVersion = version // A fake API server counts none.
		return m
	}
	var written []*corev1.ConfigMap
	for i, c := range []checkpoint.Checkpoint{giving(100), giving(110, "m")} {
		if err := writer.Publish(t.Context(), c, word("a", 50), checkpoint.Beside{}); err != nil {
			t.Fatal(err)
		}
		written = append(written, read(strconv.Itoa(i+1)))
	}
	reader.Take(written[1])
	if got := covering(ledger, "m", 100); got != 0 {
		t.Fatalf("%d objects are covered by what was not read", got)
	}
	reader.Take(written[0])
	if got := covering(ledger, "m", 100); got != 100 {
		t.Errorf("%d of 100 objects are covered, want all", got)
	}
	if got := covering(ledger, "o", 110); got != 100 {
		t.Errorf("%d of 100 objects are covered by the later checkpoint, want all", got)
	}
}
