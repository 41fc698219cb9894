package receiver_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/receiver"
)

// object is one line of the cluster that the search is tried on: namespace/apiVersion/Kind/name, labels, description.
type object struct{ id, labels, description string }

var cluster = []object{
	{"data/apps/v1/StatefulSet/postgres", "app=postgres", "Keeps the orders of the shop"},
	{"data/apps/v1/StatefulSet/session-store", "app.kubernetes.io/name=redis", ""},
	{"data/postgresql.cnpg.io/v1/Cluster/ledger", "", ""},
	{"data/v1/Service/postgres", "app=postgres", ""},
	{"data/v1/Pod/postgres-0", "app=postgres,controller-revision-hash=postgres-6f7d", ""},
	{"production/apps/v1/Deployment/web", "tier=frontend", "The web shop"},
	{"production/apps/v1/Deployment/payment-api", "app=payments", "Charges credit cards"},
	{"production/v1/Service/payment-api", "app=payments", ""},
	{"production/v1/Service/checkout", "", "Takes the money"},
	{"production/v1/Service/web", "tier=frontend", ""},
	{"production/v1/ConfigMap/web", "", "Which database the deployment talks to, and how many services"},
	{"staging/apps/v1/Deployment/web", "", ""},
	{"staging/v1/ConfigMap/production-notes", "", "How deployments get to production"},
	{"messaging/kafka.strimzi.io/v1/Kafka/events", "", ""},
	{"monitoring/monitoring.coreos.com/v1/Prometheus/main", "", ""},
	{"monitoring/apps/v1/Deployment/grafana", "", "Dashboards"},
	{"ingress/networking.k8s.io/v1/Ingress/shop", "", ""},
	{"production/cert-manager.io/v1/Certificate/shop-tls", "", ""},
	{"production/batch/v1/CronJob/nightly-report", "", ""},
	{"_cluster/v1/Namespace/production", "", ""},
	{"_cluster/v1/Namespace/staging", "", ""},
	{"kube-system/apps/v1/Deployment/coredns", "", ""},
	{"kube-system/v1/ConfigMap/running-config", "", "we are running all of which"},
}

func (o object) upsert() map[string]any {
	f := strings.Split(o.id, "/")
	m := map[string]any{
		"namespace": f[0], "name": f[len(f)-1], "kind": f[len(f)-2], "apiVersion": strings.Join(f[1:len(f)-2], "/"),
	}
	labels := map[string]any{}
	for pair := range strings.SplitSeq(o.labels, ",") {
		if k, v, ok := strings.Cut(pair, "="); ok {
			labels[k] = v
		}
	}
	m["labels"] = labels
	if o.description != "" {
		m["annotations"] = map[string]any{"description": o.description}
	}
	return instance(o.id, m)
}

func newCluster(t *testing.T) *rig {
	t.Helper()
	r := newRig(t, receiver.Options{})
	upserts := make([]map[string]any, len(cluster))
	for i, o := range cluster {
		upserts[i] = o.upsert()
	}
	r.ok(instancesPath, body(upserts))
	return r
}

func (r *rig) find(q string) []string {
	r.t.Helper()
	hits, err := r.Search(r.t.Context(), q, "", 20)
	if err != nil {
		r.t.Fatal(err)
	}
	ids := make([]string, len(hits))
	for i, h := range hits {
		ids[i] = h.Document.ID
	}
	return ids
}

// TestSearch_Kind_GoesByEachNameThatKubectlTakes limits a search by kind, plural, short name, and group.
func TestSearch_Kind_GoesByEachNameThatKubectlTakes(t *testing.T) {
	r := newCluster(t)
	for kind, want := range map[string]string{
		"Pod": "postgres-0", "pods": "postgres-0", "po": "postgres-0", "cj": "nightly-report", "cronjobs.batch": "nightly-report",
		"ing": "shop", "Ingresses": "shop", "sts": "postgres",
	} {
		g := r.must(request{method: "GET", path: "/search?limit=1&q=" + url.QueryEscape("postgres shop report") + "&kind=" + kind})
		var out struct{ Hits []struct{ Name string } }
		if err := json.Unmarshal([]byte(g.body), &out); err != nil || len(out.Hits) != 1 || out.Hits[0].Name != want {
			t.Errorf("--kind %s: %s, want %s", kind, g.body, want)
		}
	}
}

// TestSearchUnderstandsWhatPeopleAsk: sentences find the objects that people mean, first and in any order.
func TestSearchUnderstandsWhatPeopleAsk(t *testing.T) {
	r := newCluster(t)
	for q, want := range map[string][]string{
		"which databases are we running?": {
			"data/apps/v1/StatefulSet/postgres", "data/apps/v1/StatefulSet/session-store", "data/postgresql.cnpg.io/v1/Cluster/ledger",
		},
		"list deployments in production namespace": {"production/apps/v1/Deployment/web", "production/apps/v1/Deployment/payment-api"},
		"find all services related to payments":    {"production/v1/Service/payment-api", "production/v1/Service/checkout"},
		"show me the caches":                       {"data/apps/v1/StatefulSet/session-store"},
		"do we have a message queue":               {"messaging/kafka.strimzi.io/v1/Kafka/events"},
		"what monitoring is deployed":              {"monitoring/monitoring.coreos.com/v1/Prometheus/main", "monitoring/apps/v1/Deployment/grafana"},
		"TLS certificates":                         {"production/cert-manager.io/v1/Certificate/shop-tls"},
		"postgres":                                 {"data/apps/v1/StatefulSet/postgres", "data/v1/Service/postgres", "data/postgresql.cnpg.io/v1/Cluster/ledger"},
		"stateful sets":                            {"data/apps/v1/StatefulSet/postgres", "data/apps/v1/StatefulSet/session-store"},
		"statefulset":                              {"data/apps/v1/StatefulSet/postgres", "data/apps/v1/StatefulSet/session-store"},
		"StatefulSets":                             {"data/apps/v1/StatefulSet/postgres", "data/apps/v1/StatefulSet/session-store"},
		"deploy web staging":                       {"staging/apps/v1/Deployment/web"},
		"charging credit card":                     {"production/apps/v1/Deployment/payment-api"},
		"scheduled jobs":                           {"production/batch/v1/CronJob/nightly-report"},
		"dns of the cluster":                       {"kube-system/apps/v1/Deployment/coredns"},
		"list all namespaces":                      {"_cluster/v1/Namespace/production", "_cluster/v1/Namespace/staging"},
	} {
		got := r.find(q)
		first := map[string]bool{}
		for _, id := range got[:min(len(want), len(got))] {
			first[id] = true
		}
		for _, id := range want {
			if !first[id] {
				t.Errorf("%q: %s is not among the first %d of\n  %s", q, id, len(want), strings.Join(got, "\n  "))
			}
		}
	}
}

func TestSearchForOneDatabaseDoesNotFindAnother(t *testing.T) {
	for _, id := range newCluster(t).find("postgres") {
		if strings.Contains(id, "session-store") {
			t.Error("postgres found redis")
		}
	}
}

func TestSearchSeesEveryChangeMadeBefore(t *testing.T) {
	r := newCluster(t)
	if n := len(r.find("zebra")); n != 0 {
		t.Fatalf("%d hits, want 0", n)
	}
	r.ok(instancesPath, body([]map[string]any{instance("zoo/v1/ConfigMap/zebra")}))
	if diff := cmp.Diff([]string{"zoo/v1/ConfigMap/zebra"}, r.find("zebra")); diff != "" {
		t.Errorf("after an upsert:\n%s", diff)
	}
	r.ok(instancesPath, body(nil, "zoo/v1/ConfigMap/zebra"))
	if n := len(r.find("zebra")); n != 0 {
		t.Errorf("after a delete: %d hits, want 0", n)
	}
	r.ok(resourcesPath, body([]map[string]any{item("zebra")}))
	if diff := cmp.Diff([]string{"shop:v1:ConfigMap:zebra"}, r.find("zebra")); diff != "" {
		t.Errorf("in the other store:\n%s", diff)
	}
	if hits, err := r.Search(t.Context(), "zebra", receiver.Instances, 10); err != nil || len(hits) != 0 {
		t.Errorf("limited to instances: %v %v", hits, err)
	}
}

func TestSearchFindsWhatWasThereBeforeTheRestart(t *testing.T) {
	dir := t.TempDir()
	r := newRig(t, receiver.Options{Dir: dir})
	r.ok(instancesPath, body([]map[string]any{instance("zoo/v1/ConfigMap/zebra")}))
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	// A run that was killed leaves such a file behind, which the next run must not trust.
	torn := filepath.Join(dir, "index", "bleve")
	if err := os.MkdirAll(torn, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(torn, "index_meta.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	again := newRig(t, receiver.Options{Dir: dir})
	if diff := cmp.Diff([]string{"zoo/v1/ConfigMap/zebra"}, again.find("zebra")); diff != "" {
		t.Error(diff)
	}
}

func TestSearchEndpointAnswersWithRankedHits(t *testing.T) {
	r := newCluster(t)
	g := r.must(request{method: "GET", path: "/search?limit=2&q=" + url.QueryEscape("which databases are we running")})
	var out struct {
		Query string
		Hits  []struct {
			Kind, Namespace, Name, APIVersion, Description, ID string
			Labels                                             map[string]string
			Score                                              float64
		}
	}
	if err := json.Unmarshal([]byte(g.body), &out); err != nil || g.status != 200 {
		t.Fatalf("%d %s: %v", g.status, g.body, err)
	}
	if len(out.Hits) != 2 || out.Hits[0].Score < out.Hits[1].Score || out.Hits[0].Score <= 0 {
		t.Errorf("hits %+v, want the two best in order", out.Hits)
	}
	if h := out.Hits[0]; h.Kind != "StatefulSet" || h.Name != "postgres" || h.Labels["app"] != "postgres" || h.Description != "Keeps the orders of the shop" {
		t.Errorf("best hit %+v, want the Postgres StatefulSet with all it has", h)
	}
	if g := r.must(request{method: "GET", path: "/search"}); g.status != 400 {
		t.Errorf("without q: %d, want 400", g.status)
	}
}

func TestPageEscapesWhatItShowsAndNamesItsLimits(t *testing.T) {
	r := newRig(t, receiver.Options{})
	r.ok(instancesPath, body([]map[string]any{instance("zoo/v1/ConfigMap/zebra", map[string]any{
		"labels": map[string]any{"x": "<script>alert(1)</script>"},
	})}))
	for _, q := range []string{"", "zebra", "nothing-like-it", `"><script>`} {
		g := r.must(request{method: "GET", path: "/?q=" + url.QueryEscape(q)})
		if g.status != 200 || strings.Contains(g.body, "<script") {
			t.Errorf("q=%q: %d, or a script on the page", q, g.status)
		}
		if !strings.Contains(g.body, "not semantic search") {
			t.Errorf("q=%q: the page does not say that it is full-text search", q)
		}
		if q != `"><script>` && strings.Contains(g.body, "<h2>zebra") != (q == "zebra") { // "script" is in its label
			t.Errorf("q=%q: hit shown wrongly", q)
		}
	}
}

func TestBackgroundIndexingDoesNotWaitForASearch(t *testing.T) {
	s, err := receiver.New(receiver.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	r := &rig{Server: s, t: t, url: "http://receiver", client: newClient(s)}
	for i := range 30 {
		r.ok(instancesPath, body(many(100, fmt.Sprintf("n%d/", i)+"%d")))
	}
	r.await(func(s receiver.Status) bool { return s.Unindexed == 0 })
}
