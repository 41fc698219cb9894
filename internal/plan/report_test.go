package plan

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/wire"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/watch"
)

var configMap = resource.Type{Version: "v1", Resource: "configmaps", Kind: "ConfigMap", Namespaced: true}

// TestTallyCountsEachObjectOnce has an object for each reason, and compares bytes with the encoder.
func TestTallyCountsEachObjectOnce(t *testing.T) {
	selector, err := resource.ParseSelector("team=shop")
	if err != nil {
		t.Fatal(err)
	}
	inShop := watch.NamespaceFilter{Include: []string{"shop"}}
	nodes, err := resource.NewFilter([]string{"nodes"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	k := kept{namespaces: watch.NamespaceFilter{Exclude: []string{"kube-system"}}, selection: resource.Selection{Selector: selector, OptOut: "no"}}
	all := newTally(Receiver{Name: "default", Format: wire.ClusterWhisperer()}, k, false)
	narrow := newTally(Receiver{Name: "a.b", Format: wire.DotAI(), View: &View{Namespaces: inShop, Selection: resource.Selection{OptOutValue: "b"}}}, k, false)
	none := newTally(Receiver{Name: "a.c", Format: wire.DotAI(), View: &View{Types: nodes}}, k, false)
	var items []wire.Item
	for _, o := range []struct{ namespace, name, team, no string }{
		{"shop", "a", "shop", ""}, {"shop", "b", "shop", "true"}, {"shop", "c", "other", "true"}, {"kube-system", "d", "shop", ""}, {"work", "e", "shop", ""},
	} {
		m := object(o.name, "u", "d", "team", o.team)
		m.Namespace, m.Annotations["no"] = o.namespace, o.no
		for _, c := range []*tally{all, narrow, none} {
			c.list(configMap, m)
		}
		if r, reason := all.see(configMap, m); reason == "" {
			items = append(items, wire.Item{ID: configMap.ID(r.Namespace, r.Name), Type: configMap, Namespace: r.Namespace, Name: r.Name, Body: r.Body})
		}
	}
	body, err := wire.ClusterWhisperer().EncodeUpserts(items)
	if err != nil {
		t.Fatal(err)
	}
	sums := make([]ReceiverReport, 0, 3)
	for _, c := range []*tally{all, narrow, none} {
		s := newSummary(c.receiver)
		s.add(configMap, c, 0)
		sums = append(sums, s.report())
	}
	if got, want := sums[0].Bytes, int64(len(body)-wire.ClusterWhisperer().Overhead()); got != want {
		t.Errorf("%d bytes, want %d as the encoder makes them", got, want)
	}
	for i, want := range []struct {
		objects int
		left    []LeftOut
	}{
		{2, []LeftOut{{"labelSelector", 1}, {"namespace", 1}, {"optOut", 1}}},
		{1, []LeftOut{{"labelSelector", 1}, {"namespace", 2}, {"optOut", 1}}},
		{0, []LeftOut{{"labelSelector", 1}, {"namespace", 1}, {"optOut", 1}, {"type", 2}}},
	} {
		if diff := cmp.Diff(want.left, sums[i].LeftOut); diff != "" || sums[i].Objects != want.objects {
			t.Errorf("%s gets %d objects, want %d; left out (-want +got):\n%s", sums[i].Name, sums[i].Objects, want.objects, diff)
		}
	}
}

// example is a report with entries in each part, and with names that contain control characters of a terminal.
func example() Report {
	return Report{
		Receivers: []ReceiverReport{{
			Name: "default", Format: "cluster-whisperer", Objects: 3, Bytes: 700, PerDay: PerDay{1440, 2880, 1},
			Types:      []TypeReport{{Resource: "configmaps.v1", Kind: "ConfigMap", Objects: 3, Bytes: 700, LeftOut: 2, Namespaces: map[string]int{"shop": 3}, PerDay: PerDay{1440, 2880, 1}}},
			Namespaces: []NamespaceReport{{"shop", 3, 700}},
			LeftOut:    []LeftOut{{"optOut", 2}},
			Restless:   []Restless{{ID: "shop/v1/ConfigMap/clock", Changes: 2, Embeddings: 1, EmbeddingsPerDay: 1440, Causes: []string{"label tick\x1b[2J"}}},
		}, {Name: "shop.sync", Problem: "spec.mcpEndpoint is missing"}},
		LeftOutTypes: []string{"events.v1"},
		Unreadable:   []Unreadable{{"secrets.v1", "forbidden", "secrets is\nforbidden"}},
		Unknown:      []string{"gadgets"}, WatchedSeconds: 60, Unwatched: []Unreadable{}, Settings: map[string]string{"SKIP_CONTROLLED": "false"},
	}
}

func TestReport_AsATable_HasEveryPart(t *testing.T) {
	var out strings.Builder
	if err := example().Write(&out, ""); err != nil {
		t.Fatal(err)
	}
	const want = `RECEIVER    FORMAT              OBJECTS   BYTES   EMBEDDINGS A DAY   CHANGES A DAY   DELETES A DAY
default     cluster-whisperer   3         700 B   1440               2880            1
shop.sync   -                   -         -       -                  -               -

The first sync costs an embedding for each object. What changes would cost a day is what was seen in 1m0s, extrapolated.

TYPE OF default   OBJECTS   BYTES   LEFT OUT   EMBEDDINGS A DAY
configmaps.v1     3         700 B   2          1440

NAMESPACE OF default   OBJECTS   BYTES
shop                   3         700 B

LEFT OUT OF default                           OBJECTS
opted out: OPT_OUT_ANNOTATION on the object   2

RESTLESS OF default       EMBEDDINGS A DAY   CHANGES SEEN   WHAT CHANGES
shop/v1/ConfigMap/clock   1440               2              label tick [2J

UNREADABLE   REASON      ERROR
secrets.v1   forbidden   secrets is forbidden

Receiver shop.sync cannot be served: spec.mcpEndpoint is missing

Nothing is served by the name of: gadgets

Types that are served and not read: events.v1
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("table (-want +got):\n%s", diff)
	}
}

func TestReport_ForPrograms_ComesBackEqual(t *testing.T) {
	var out strings.Builder
	if err := example().Write(&out, "json"); err != nil {
		t.Fatal(err)
	}
	var back Report
	if err := json.Unmarshal([]byte(out.String()), &back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(example(), back); diff != "" {
		t.Errorf("JSON (-want +got):\n%s", diff)
	}
	out.Reset()
	if err := example().Write(&out, "yaml"); err != nil || !strings.Contains(out.String(), "embeddingsPerDay: 1440") {
		t.Errorf("YAML is %v\n%s", err, out.String())
	}
	if err := example().Write(&out, "xml"); err == nil {
		t.Error("XML was written")
	}
}
