package plugin_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/api"
)

func TestRingOfThree(t *testing.T) {
	t.Parallel()
	got := runAll(t, three(), "ring")
	if got.code != 0 || got.errOut != "" {
		t.Errorf("exit code %d, %q", got.code, got.errOut)
	}
	golden(t, "ring.txt", got.out)
	golden(t, "ring-wide.txt", runAll(t, three(), "ring", "-o", "wide").out)
}

func TestRingSaysWhereReplicasDiffer(t *testing.T) {
	t.Parallel()
	all := troubled()
	all[1].ring.Members[2].State = api.MemberGone
	all[1].ring.Fenced = true
	got := run(t, "ring", "--api", backendURL(t, all[0])+","+backendURL(t, all[1])+",127.0.0.1:1")
	if got.code != 1 {
		t.Errorf("exit code %d, want 1", got.code)
	}
	golden(t, "ring-troubled.txt", got.out)
}

// TestAgesAreToldByTheReplicasClock sets a replica's clock far away.
func TestAgesAreToldByTheReplicasClock(t *testing.T) {
	t.Parallel()
	b := well(0)
	b.ring.Members = b.ring.Members[:1]
	since := epoch.Add(-40*24*time.Hour - 45*time.Second)
	b.status.StartedAt, b.status.UptimeSeconds = epoch.Add(-41*24*time.Hour), 24*60*60
	b.ring.Agreed, b.ring.DisagreementSince = false, &since
	got := runAll(t, []*backend{b}, "ring")
	if !strings.Contains(got.out, "sync-0 has seen no agreement on the ring for 45s") {
		t.Errorf("got:\n%s", got.out)
	}
}

func TestRingForProgramsSaysWhoSeesWhat(t *testing.T) {
	t.Parallel()
	all := troubled()
	all[1].ring.Members[2].State = api.MemberGone
	got := runAll(t, all, "ring", "-o", "json")
	var r struct {
		Agreed  bool
		Members []struct {
			Name    string
			Share   float64
			Answers bool
			States  map[string][]string
		}
		Replicas []struct{ Status, Ring json.RawMessage }
		Problems []string
	}
	if err := json.Unmarshal([]byte(got.out), &r); err != nil {
		t.Fatal(err)
	}
	if got.code != 1 || r.Agreed || len(r.Members) != 3 || r.Members[2].Answers || !r.Members[0].Answers || r.Members[0].Share == 0 ||
		r.Members[2].States["silent"][0] != "sync-0" || r.Members[2].States["gone"][0] != "sync-1" || len(r.Problems) == 0 {
		t.Errorf("got %s", got.out)
	}
	if r.Replicas[0].Status != nil || r.Replicas[0].Ring == nil {
		t.Error("a ring is to hold the rings, and not the statuses")
	}
}

func TestRing_NoReplicaAnswers_EachHasARowThatSaysSo(t *testing.T) {
	t.Parallel()
	got := run(t, "ring", "--api", "127.0.0.1:1,127.0.0.1:2")
	want := "MEMBER        STATE   HEARTBEAT   SHARE   PARTITIONS   CLAIMS   ANSWERS\n"
	if got.code != 1 || !strings.HasPrefix(got.out, want) || strings.Count(got.out, "does not answer") != 2 {
		t.Errorf("exit code %d:\n%s", got.code, got.out)
	}
}
