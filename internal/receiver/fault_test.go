package receiver_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/receiver"
)

func (r *rig) faults(rules ...receiver.Rule) {
	r.t.Helper()
	if err := r.SetFaults(rules...); err != nil {
		r.t.Fatal(err)
	}
}

func TestStatusFaultIsAnsweredWithItsHeaderAndBodyAndAppliesNothing(t *testing.T) {
	r := newRig(t, receiver.Options{})
	r.faults(receiver.Rule{Effect: receiver.Effect{Status: 503, RetryAfter: "7", Body: "<html>busy</html>"}, Count: 1})
	payload := body([]map[string]any{instance("a")})
	g := r.post(instancesPath, payload)
	if g.status != 503 || g.header.Get("Retry-After") != "7" || g.body != "<html>busy</html>" || g.header.Get("Content-Type") != "text/html" {
		t.Errorf("%d %v %s", g.status, g.header, g.body)
	}
	if n := r.Len(receiver.Instances); n != 0 {
		t.Errorf("%d documents, want 0", n)
	}
	r.ok(instancesPath, payload) // the count is used up
}

func TestAppliedStatusFaultAppliesFirst(t *testing.T) {
	r := newRig(t, receiver.Options{})
	r.faults(receiver.Rule{Effect: receiver.Effect{Status: 504, Applied: true}})
	if g := r.post(instancesPath, body([]map[string]any{instance("a")})); g.status != 504 {
		t.Errorf("status %d, want 504", g.status)
	}
	if n := r.Len(receiver.Instances); n != 1 {
		t.Errorf("%d documents, want 1", n)
	}
}

func TestResetFaultResetsBeforeOrAfterApplying(t *testing.T) {
	for _, applied := range []bool{false, true} {
		t.Run(fmt.Sprintf("applied=%t", applied), func(t *testing.T) {
			r := newRig(t, receiver.Options{})
			r.faults(receiver.Rule{Effect: receiver.Effect{Reset: true, Applied: applied}})
			_, err := r.send(request{path: instancesPath, body: body([]map[string]any{instance("a")})})
			if !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("error %v, want a connection reset", err)
			}
			if got := r.Len(receiver.Instances) == 1; got != applied {
				t.Errorf("applied is %t, want %t", got, applied)
			}
			if rec := r.Requests(0)[0]; rec.Status != 0 || rec.Fault != "rule 1" {
				t.Errorf("status %d fault %q, want no status and rule 1", rec.Status, rec.Fault)
			}
		})
	}
}

func TestRefusedItemsAreNamedOrNot(t *testing.T) {
	poison := receiver.Match{ID: "*poison"}
	cw := body([]map[string]any{instance("shop/v1/ConfigMap/a"), instance("shop/v1/ConfigMap/poison")})
	dot := body([]map[string]any{item("a"), item("poison")})
	cases := map[string]struct {
		path, payload, refuse string
		want                  int
		wantDetail            string
	}{
		"cluster-whisperer path":    {instancesPath, cw, receiver.RefuseWithPath, 400, `["upserts",1,"name"]`},
		"cluster-whisperer no path": {instancesPath, cw, receiver.RefuseWithoutPath, 400, ""},
		"cluster-whisperer 500":     {instancesPath, cw, receiver.RefuseInternal, 500, ""},
		"cluster-whisperer delete":  {instancesPath, body(nil, "x", "poison"), receiver.RefuseWithPath, 400, `["deletes",1]`},
		"dot-ai path":               {resourcesPath, dot, receiver.RefuseWithPath, 400, "upserts[1].name"},
		"dot-ai no path":            {resourcesPath, dot, receiver.RefuseWithoutPath, 400, ""},
		"dot-ai 500":                {resourcesPath, dot, receiver.RefuseInternal, 500, ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, receiver.Options{})
			r.faults(receiver.Rule{Match: poison, Effect: receiver.Effect{Refuse: c.refuse}})
			g := r.post(c.path, c.payload)
			detail := at(t, g.body, "details", 0, "path")
			if c.path == resourcesPath {
				detail = at(t, g.body, "error", "details", 0, "path")
			}
			if g.status != c.want || detail != c.wantDetail {
				t.Errorf("%d %q, want %d %q: %s", g.status, detail, c.want, c.wantDetail, g.body)
			}
			if n := r.Len(receiver.Instances) + r.Len(receiver.Resources); n != 0 {
				t.Errorf("%d documents, want none", n)
			}
			if g := r.post(c.path, `{}`); g.status != 200 {
				t.Errorf("a payload without the item: %d, want 200", g.status)
			}
		})
	}
}

func TestPartialFailureOfDotAIDoesAllTheRest(t *testing.T) {
	r := newRig(t, receiver.Options{})
	r.ok(resourcesPath, body([]map[string]any{item("old"), item("bad-old")}))
	r.faults(receiver.Rule{Match: receiver.Match{ID: "*:bad*"}, Effect: receiver.Effect{Partial: "Not Found"}})
	g := r.post(resourcesPath, body([]map[string]any{item("a"), item("bad"), item("c")}, dotDelete("old"), dotDelete("bad-old")))
	const want = `{"deleted":1,"failures":[{"error":"Not Found","id":"shop:v1:ConfigMap:bad"},{"error":"Not Found","id":"shop:v1:ConfigMap:bad-old"}],"upserted":2}`
	if g.status != 400 || at(t, g.body, "error", "code") != "SYNC_PARTIAL_FAILURE" || at(t, g.body, "error", "details") != want {
		t.Errorf("%d %s", g.status, g.body)
	}
	if diff := cmp.Diff([]string{"shop:v1:ConfigMap:a", "shop:v1:ConfigMap:bad-old", "shop:v1:ConfigMap:c"}, r.ids(receiver.Resources)); diff != "" {
		t.Errorf("stored (-want +got):\n%s", diff)
	}
}

func TestPartialFailureOfClusterWhispererFailsTheChunk(t *testing.T) {
	r := newRig(t, receiver.Options{})
	r.faults(receiver.Rule{Match: receiver.Match{ID: "n/150"}, Effect: receiver.Effect{Partial: "disk full"}})
	g := r.post(instancesPath, body(many(250, "n/%d")))
	if g.status != 500 || g.body != `{"error":"disk full"}` || r.Len(receiver.Instances) != 100 {
		t.Errorf("%d %s and %d documents, want 500 and the first 100", g.status, g.body, r.Len(receiver.Instances))
	}
}

func TestCircuitOpensAfterThreeFailuresAndClosesAfterThirtySeconds(t *testing.T) {
	inBubble(t, receiver.Options{}, func(t *testing.T, r *rig) {
		r.faults(receiver.Rule{Effect: receiver.Effect{Embedder: 429, EmbedderDelay: receiver.Duration(30 * time.Second)}, Count: 1})
		start := time.Now()
		g := r.post(resourcesPath, body([]map[string]any{item("a"), item("b"), item("c"), item("d"), item("e")}))
		if took := time.Since(start); took != 90*time.Second {
			t.Errorf("took %v, want 90 s: three items of 30 s and two that fail at once", took)
		}
		if g.status != 400 || at(t, g.body, "error", "code") != "SYNC_PARTIAL_FAILURE" {
			t.Fatalf("%d %s", g.status, g.body)
		}
		const open = "Failed to generate embedding: Embedding API circuit open: Circuit 'embedding-api' is open. Retry after 30000ms"
		if e := at(t, g.body, "error", "details", "failures", 3, "error"); e != open {
			t.Errorf("fourth failure %q, want %q", e, open)
		}
		if e := at(t, g.body, "error", "details", "failures", 2, "error"); strings.Contains(e, "circuit") {
			t.Errorf("third failure %q, want the embedder's", e)
		}
		time.Sleep(29 * time.Second)
		if g := r.post(resourcesPath, body([]map[string]any{item("a")})); g.status != 400 {
			t.Errorf("after 29 s: %d, want 400", g.status)
		}
		time.Sleep(time.Second)
		r.ok(resourcesPath, body([]map[string]any{item("a")}))
	})
}

func TestTextDelayIsTakenForEachText(t *testing.T) {
	inBubble(t, receiver.Options{}, func(t *testing.T, r *rig) {
		r.faults(receiver.Rule{Effect: receiver.Effect{TextDelay: receiver.Duration(200 * time.Millisecond)}})
		for path, b := range map[string]string{
			instancesPath: body(many(150, "n/%d")),
			resourcesPath: body([]map[string]any{item("a"), item("b"), item("c")}),
		} {
			texts := time.Duration(strings.Count(b, `"kind"`))
			start := time.Now()
			r.ok(path, b)
			if took := time.Since(start); took != texts*200*time.Millisecond {
				t.Errorf("%s with %d texts took %v, want 200 ms each", path, texts, took)
			}
		}
	})
}

func TestSuccessStartsTheCircuitsCountAgain(t *testing.T) {
	r := newRig(t, receiver.Options{})
	two := body([]map[string]any{item("a"), item("b")})
	for range 3 {
		r.faults(receiver.Rule{Effect: receiver.Effect{Embedder: 500}, Count: 1})
		if g := r.post(resourcesPath, two); g.status != 400 || strings.Contains(g.body, "circuit") {
			t.Fatalf("%d %s, want failures of the embedder alone", g.status, g.body)
		}
		r.ok(resourcesPath, two)
	}
}

func TestDependenciesThatAreDownAreAnsweredAsTheRealOnesDo(t *testing.T) {
	r := newRig(t, receiver.Options{})
	down := receiver.Effect{StoreDown: true}
	lost := receiver.Effect{CollectionLost: true}
	cases := map[string]struct {
		effect receiver.Effect
		send   request
		want   int
		text   string
	}{
		"cluster-whisperer probe":   {down, request{path: instancesPath, body: `{}`}, 500, "Failed to connect to chromadb"},
		"readiness":                 {down, request{method: "GET", path: "/readyz"}, 503, ""},
		"liveness":                  {down, request{method: "GET", path: "/healthz"}, 200, ""},
		"dot-ai probe":              {down, request{path: resourcesPath, body: `{}`}, 503, "VECTOR_DB_UNAVAILABLE"},
		"dot-ai listing":            {down, request{method: "GET", path: "/api/v1/resources/kinds"}, 500, "RESOURCE_KINDS_ERROR"},
		"dot-ai lost: upsert":       {lost, request{path: resourcesPath, body: body([]map[string]any{item("a")})}, 400, `"error":"Not Found"`},
		"dot-ai lost: delete":       {lost, request{path: resourcesPath, body: body(nil, dotDelete("a"))}, 200, ""},
		"dot-ai lost: resync":       {lost, request{path: resourcesPath, body: resync(item("a"))}, 500, "RESYNC_FAILED"},
		"dot-ai lost: listing":      {lost, request{method: "GET", path: "/api/v1/resources?kind=Pod&apiVersion=v1"}, 500, "does not exist"},
		"embedder, upserts":         {receiver.Effect{Embedder: 401}, request{path: instancesPath, body: body([]map[string]any{instance("a")})}, 500, "Status code: 401"},
		"embedder, deletes need it": {receiver.Effect{Embedder: 401}, request{path: instancesPath, body: body(nil, "a")}, 200, ""},
	}
	for name, c := range cases {
		r.faults(receiver.Rule{Effect: c.effect})
		if g := r.must(c.send); g.status != c.want || !strings.Contains(g.body, c.text) {
			t.Errorf("%s: %d %s, want %d with %q", name, g.status, g.body, c.want, c.text)
		}
	}
	r.ClearFaults()
	r.ok(resourcesPath, body([]map[string]any{item("a")}))
}

func TestRulesMatchWhatTheySay(t *testing.T) {
	upsert := body([]map[string]any{instance("shop/v1/ConfigMap/a")})
	remove := body(nil, "shop/apps/v1/Deployment/b")
	cases := map[string]struct {
		match receiver.Match
		want  [3]bool // upsert, delete, probe
	}{
		"all":               {receiver.Match{}, [3]bool{true, true, true}},
		"path":              {receiver.Match{Path: "*/instances/*"}, [3]bool{true, true, true}},
		"other path":        {receiver.Match{Path: resourcesPath}, [3]bool{}},
		"upserts":           {receiver.Match{Array: "upserts"}, [3]bool{true, false, false}},
		"deletes":           {receiver.Match{Array: "deletes"}, [3]bool{false, true, false}},
		"nothing":           {receiver.Match{Array: "nothing"}, [3]bool{false, false, true}},
		"id":                {receiver.Match{ID: "shop/*"}, [3]bool{true, true, false}},
		"exact id":          {receiver.Match{ID: "shop/v1/ConfigMap/a"}, [3]bool{true, false, false}},
		"kind of a delete":  {receiver.Match{Kind: "Deployment"}, [3]bool{false, true, false}},
		"kind of an upsert": {receiver.Match{Kind: "ConfigMap"}, [3]bool{true, false, false}},
		"sender":            {receiver.Match{Sender: "pod-*"}, [3]bool{true, true, true}},
		"other sender":      {receiver.Match{Sender: "pod-1"}, [3]bool{}},
	}
	r := newRig(t, receiver.Options{})
	for name, c := range cases {
		r.faults(receiver.Rule{Match: c.match, Effect: receiver.Effect{Status: 418}})
		var hit [3]bool
		for i, payload := range []string{upsert, remove, `{}`} {
			g := r.must(request{path: instancesPath, body: payload, header: map[string]string{receiver.SenderHeader: "pod-0"}})
			hit[i] = g.status == 418
		}
		if hit != c.want {
			t.Errorf("%s: hit %v, want %v", name, hit, c.want)
		}
	}
}

func TestPercentageIsDrawnFromItsSeed(t *testing.T) {
	run := func(seed uint64) (hits []bool) {
		r := newRig(t, receiver.Options{})
		r.faults(receiver.Rule{Match: receiver.Match{Percent: 30, Seed: seed}, Effect: receiver.Effect{Status: 503}})
		for range 200 {
			hits = append(hits, r.post(instancesPath, `{}`).status == 503)
		}
		return hits
	}
	first := run(7)
	if diff := cmp.Diff(first, run(7)); diff != "" {
		t.Errorf("one seed drew twice differently:\n%s", diff)
	}
	n := 0
	for _, h := range first {
		if h {
			n++
		}
	}
	if n < 40 || n > 80 { // 60 expected, three standard deviations are 19
		t.Errorf("%d of 200 hit, want about 60", n)
	}
	if cmp.Equal(first, run(8)) {
		t.Error("another seed drew the same")
	}
}

func TestRuleEndsAfterItsTime(t *testing.T) {
	inBubble(t, receiver.Options{}, func(t *testing.T, r *rig) {
		r.faults(receiver.Rule{Effect: receiver.Effect{Status: 503}, For: receiver.Duration(time.Minute)})
		time.Sleep(59 * time.Second)
		if g := r.post(instancesPath, `{}`); g.status != 503 {
			t.Errorf("after 59 s: %d, want 503", g.status)
		}
		time.Sleep(time.Second)
		r.ok(instancesPath, `{}`)
	})
}

func TestWrongRulesAreRefusedWithEveryError(t *testing.T) {
	r := newRig(t, receiver.Options{})
	r.faults(receiver.Rule{Effect: receiver.Effect{Status: 418}})
	err := r.SetFaults(
		receiver.Rule{Name: "first"},
		receiver.Rule{Match: receiver.Match{Array: "x", Percent: 101}, Effect: receiver.Effect{Status: 99, Refuse: "x", TextDelay: receiver.Forever}, Count: -1},
	)
	for _, want := range []string{"first: effect is empty", "match.array", "match.percent", "effect.status", "effect.refuse", "effect.textDelay", "count"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not say %q", err, want)
		}
	}
	if g := r.post(instancesPath, `{}`); g.status != 418 {
		t.Errorf("status %d, want the old rule to stand", g.status)
	}
}

func TestDurationsAreSpelledAsText(t *testing.T) {
	in := receiver.Rule{Name: "x", Effect: receiver.Effect{Delay: receiver.Duration(1500 * time.Millisecond), Hang: receiver.Forever}}
	b, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"name":"x","effect":{"delay":"1.5s","hang":"forever"}}`; string(b) != want {
		t.Errorf("JSON %s, want %s", b, want)
	}
	var out receiver.Rule
	if err := json.Unmarshal(b, &out); err != nil || !cmp.Equal(in, out) {
		t.Errorf("round trip: %v %s", err, cmp.Diff(in, out))
	}
	for _, bad := range []string{`"-1s"`, `"soon"`, `5`} {
		var d receiver.Duration
		if json.Unmarshal([]byte(bad), &d) == nil {
			t.Errorf("%s was accepted", bad)
		}
	}
}
