package notice_test

import (
	"strings"
	"testing"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/notice"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/progress"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/repair"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/wire"
)

// TestReceiverOf_OneMemberInTroubleIsEnough sums up the members' reports on one receiver.
func TestReceiverOf_OneMemberInTroubleIsEnough(t *testing.T) {
	well := progress.MemberStats{}
	bad := progress.MemberStats{Degraded: true, Kind: wire.Unauthorized, Reason: "401 Unauthorized"}
	holds := progress.MemberStats{Held: []repair.Held{{Resource: "configmaps.v1", Source: "receiver", Documents: 80, Limit: 50}}}

	r := notice.ReceiverOf("http://receiver", map[string]progress.MemberStats{"a": well, "c": holds})
	if r.Down || len(r.By) > 0 || len(r.Held) != 1 || r.Held[0].Member != "c" || r.Held[0].Documents != 80 {
		t.Errorf("a receiver that all are served by is %+v", r)
	}
	r = notice.ReceiverOf("http://receiver", map[string]progress.MemberStats{"c": bad, "a": well, "b": bad})
	if !r.Down || r.Reason != "401 Unauthorized" || strings.Join(r.By, " ") != "b c" || !strings.Contains(r.Advice, "token") {
		t.Errorf("a receiver that refuses two of three is %+v", r)
	}
}
