package receiver_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/receiver"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/embedder"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/workload"
)

// minds is an embedder behind a socket, and the options that name it.
func minds(t *testing.T) (*embedder.Embedder, receiver.Options) {
	t.Helper()
	e := embedder.New()
	web := httptest.NewServer(e)
	t.Cleanup(web.Close)
	return e, receiver.Options{Embedder: receiver.EmbedderOptions{URL: web.URL, Model: "stub", Batch: 8}}
}

// settled waits until no document waits for a vector and the embedder is in a state.
func (r *rig) settled(state receiver.EmbedderState) receiver.EmbedderStatus {
	r.t.Helper()
	return r.until(func(s receiver.EmbedderStatus) bool { return s.Pending == 0 && s.State == state })
}

func (r *rig) until(good func(receiver.EmbedderStatus) bool) receiver.EmbedderStatus {
	r.t.Helper()
	return *r.await(func(s receiver.Status) bool { return good(*s.Embedder) }).Embedder
}

func zebra(description string) string {
	return body([]map[string]any{instance("zoo/v1/ConfigMap/zebra", map[string]any{"annotations": map[string]any{"description": description}})})
}

func TestMeaning_NoWordInCommon_FindsByVector(t *testing.T) {
	_, opts := minds(t)
	r := newRig(t, opts)
	r.ok(instancesPath, zebra("Resizes every photograph"))
	r.settled(receiver.EmbedderAnswering)
	got, err := r.Find(t.Context(), receiver.Query{Text: "thumbnail"})
	if err != nil || len(got.Hits) != 1 || !got.Meaning {
		t.Fatalf("%+v, %v: want the one document, by meaning", got, err)
	}
	words := newRig(t, receiver.Options{})
	words.ok(instancesPath, zebra("Resizes every photograph"))
	if n := len(words.find("thumbnail")); n != 0 {
		t.Errorf("words alone found %d: the test proves nothing", n)
	}
}

func TestMeaning_UnchangedText_IsEmbeddedOnce(t *testing.T) {
	e, opts := minds(t)
	opts.Dir = t.TempDir()
	r := newRig(t, opts)
	r.ok(instancesPath, zebra("Stripes"))
	r.settled(receiver.EmbedderAnswering)
	r.ok(instancesPath, zebra("Stripes"))
	r.ok(instancesPath, body(many(20, "zoo/v1/ConfigMap/beast-%d")))
	r.settled(receiver.EmbedderAnswering)
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	again := newRig(t, opts)
	again.until(func(s receiver.EmbedderStatus) bool { return s.Documents == 21 })
	again.ok(instancesPath, zebra("Dots"))
	again.settled(receiver.EmbedderAnswering)
	if s := again.Status().Embedder; s.Documents != 21 || s.Embedded != 1 {
		t.Errorf("after the restart %+v, want 21 documents and the one that changed embedded", s)
	}
	for text, n := range e.Texts() {
		if n != 1 {
			t.Errorf("%q was embedded %d times", text, n)
		}
	}
	if n := len(e.Texts()); n != 22 {
		t.Errorf("%d texts, want 22", n)
	}
}

func TestMeaning_DeletedDocument_LeavesNoVector(t *testing.T) {
	_, opts := minds(t)
	r := newRig(t, opts)
	r.ok(instancesPath, zebra("Resizes every photograph"))
	r.settled(receiver.EmbedderAnswering)
	r.ok(instancesPath, body(nil, "zoo/v1/ConfigMap/zebra"))
	r.until(func(s receiver.EmbedderStatus) bool { return s.Documents == 0 && s.Pending == 0 })
	if got := r.find("thumbnail"); len(got) != 0 {
		t.Errorf("found %v", got)
	}
}

// TestMeaning_EmbedderInTrouble_HarmsNothing: the receiver accepts documents, finds them by words, and embeds them
// later.
func TestMeaning_EmbedderInTrouble_HarmsNothing(t *testing.T) {
	for name, b := range map[string]embedder.Behaviour{
		"down":              {Status: http.StatusServiceUnavailable},
		"unauthorized":      {Status: http.StatusUnauthorized},
		"unknown model":     {Status: http.StatusNotFound},
		"refuses all":       {Status: http.StatusBadRequest},
		"a vector too few":  {Short: true},
		"hangs":             {Hang: true},
		"answers no vector": {Status: http.StatusNoContent},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, opts := minds(t)
			e.Behave(b)
			t.Cleanup(e.Release)
			r := newRig(t, opts)
			r.ok(instancesPath, zebra("Resizes every photograph"))
			if !b.Hang {
				s := r.until(func(s receiver.EmbedderStatus) bool { return s.State == receiver.EmbedderFailing && s.Pending == 1 })
				if s.Error == "" || s.NextAttempt == nil {
					t.Errorf("%+v, want why it fails and when it is asked again", s)
				}
			}
			for range 3 {
				got, err := r.Find(t.Context(), receiver.Query{Text: "photograph"})
				if err != nil || len(got.Hits) != 1 || got.Meaning {
					t.Errorf("%+v, %v: want the document by its words", got, err)
				}
			}
			e.Behave(embedder.Behaviour{})
			e.Release()
			r.settled(receiver.EmbedderAnswering)
			if got := r.find("thumbnail"); len(got) != 1 {
				t.Errorf("when it answers again: %v", got)
			}
		})
	}
}

// TestMeaning_OneTextRefused_OthersAreEmbedded: the refused text is tried again when it changes.
func TestMeaning_OneTextRefused_OthersAreEmbedded(t *testing.T) {
	e, opts := minds(t)
	e.Behave(embedder.Behaviour{Refuse: "poison"})
	r := newRig(t, opts)
	r.ok(instancesPath, body(append(many(20, "zoo/v1/ConfigMap/beast-%d"), instance("zoo/v1/ConfigMap/poison"))))
	if s := r.settled(receiver.EmbedderAnswering); s.Documents != 20 || s.Refused != 1 {
		t.Fatalf("%+v, want 20 with a vector and one refused", s)
	}
	asked := e.Requests()
	r.ok(instancesPath, body([]map[string]any{instance("zoo/v1/ConfigMap/other")}))
	r.until(func(s receiver.EmbedderStatus) bool { return s.Documents == 21 && s.Pending == 0 })
	if n := e.Requests() - asked; n != 1 {
		t.Errorf("%d requests for one new document, want 1", n)
	}
	e.Behave(embedder.Behaviour{})
	r.ok(instancesPath, body([]map[string]any{instance("zoo/v1/ConfigMap/poison", map[string]any{"labels": map[string]any{"a": "b"}})}))
	r.until(func(s receiver.EmbedderStatus) bool { return s.Documents == 22 && s.Refused == 0 })
}

func TestMeaning_OtherDimension_IsEmbeddedAnewOnlyAfterARestart(t *testing.T) {
	e, opts := minds(t)
	opts.Dir = t.TempDir()
	r := newRig(t, opts)
	r.ok(instancesPath, zebra("Resizes every photograph"))
	r.settled(receiver.EmbedderAnswering)
	e.Behave(embedder.Behaviour{Dimension: 64})
	r.ok(instancesPath, body([]map[string]any{instance("zoo/v1/ConfigMap/lion")}))
	s := r.until(func(s receiver.EmbedderStatus) bool { return s.State == receiver.EmbedderFailing })
	if !strings.Contains(s.Error, "64") || s.Dimension != embedder.Dimension || s.Documents != 1 {
		t.Errorf("%+v, want the old vectors and an error that names the new dimension", s)
	}
	if got := r.find("lion"); len(got) != 1 {
		t.Errorf("by words: %v", got)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	again := newRig(t, opts)
	again.ok(instancesPath, body([]map[string]any{instance("zoo/v1/ConfigMap/bear")}))
	s = again.until(func(s receiver.EmbedderStatus) bool { return s.Documents == 3 && s.Pending == 0 })
	if s.Dimension != 64 || s.Embedded != 3 {
		t.Errorf("%+v, want all three with 64 numbers", s)
	}
}

func TestMeaning_OtherModelOrBrokenFile_IsEmbeddedAnew(t *testing.T) {
	_, opts := minds(t)
	opts.Dir = t.TempDir()
	for i, spoil := range []func(){
		func() {},
		func() { opts.Embedder.Model = "another" },
		func() {
			if err := os.WriteFile(filepath.Join(opts.Dir, "vectors.db"), []byte(strings.Repeat("no database ", 2000)), 0o600); err != nil {
				t.Fatal(err)
			}
		},
	} {
		spoil()
		r := newRig(t, opts)
		r.ok(instancesPath, zebra("Stripes"))
		if s := r.settled(receiver.EmbedderAnswering); s.Embedded != 1 || s.Documents != 1 {
			t.Errorf("round %d: %+v, want one embedded", i, s)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestFind_NamespaceAndKind_LimitBothLists(t *testing.T) {
	_, opts := minds(t)
	for name, opts := range map[string]receiver.Options{"words": {}, "words and meaning": opts} {
		r := newRig(t, opts)
		upserts := make([]map[string]any, len(cluster))
		for i, o := range cluster {
			upserts[i] = o.upsert()
		}
		r.ok(instancesPath, body(upserts))
		if opts.Embedder.URL != "" {
			r.settled(receiver.EmbedderAnswering)
		}
		for _, q := range []receiver.Query{
			{Text: "web", Namespace: "production", Kind: "Deployment"}, {Text: "web", Namespace: "Production", Kind: "deployments"},
			{Text: "web", Namespace: "production", Kind: "deploy"}, {Text: "web", Namespace: "production", Kind: "deployments.apps"},
		} {
			got, err := r.Find(t.Context(), q)
			if err != nil || len(got.Hits) == 0 || got.Hits[0].Document.ID != "production/apps/v1/Deployment/web" {
				t.Errorf("%s: %+v: %+v, %v", name, q, got.Hits, err)
			}
			for _, h := range got.Hits {
				if h.Document.Namespace != "production" || h.Document.Kind != "Deployment" {
					t.Errorf("%s: %+v found %s", name, q, h.Document.ID)
				}
			}
		}
	}
}

// question is one of sixty questions, with the objects that a colleague would point at.
type question struct {
	Q    string   `json:"q"`
	Want []string `json:"want"`
}

// company is a receiver that holds the demo, and the questions about it.
func company(t *testing.T, opts receiver.Options) (*rig, []question) {
	t.Helper()
	text, err := os.ReadFile("testdata/questions.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var questions []question
	if err := yaml.UnmarshalStrict(text, &questions); err != nil {
		t.Fatal(err)
	}
	plan, err := workload.Demo()
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, opts)
	held := map[string]bool{}
	var upserts []map[string]any
	for _, o := range plan {
		namespace, u := o.Manifest.GetNamespace(), o.Manifest
		if namespace == "" {
			namespace = "_cluster"
		}
		held[fmt.Sprintf("%s %s/%s", u.GetKind(), namespace, u.GetName())] = true
		m := instance(strings.Join([]string{namespace, u.GetAPIVersion(), u.GetKind(), u.GetName()}, "/"), map[string]any{
			"namespace": namespace, "name": u.GetName(), "kind": u.GetKind(), "apiVersion": u.GetAPIVersion(),
			"labels": u.GetLabels(), "annotations": map[string]any{"description": u.GetAnnotations()["description"]},
		})
		upserts = append(upserts, m)
	}
	for chunk := range slices.Chunk(upserts, 100) {
		r.ok(instancesPath, body(chunk))
	}
	for _, q := range questions {
		for _, w := range q.Want {
			if !held[w] {
				t.Fatalf("%q wants %s, which is not in the demo", q.Q, w)
			}
		}
	}
	return r, questions
}

// recall is the share of the wanted objects among the first five hits, or as many as could be, over all questions.
func recall(t *testing.T, r *rig, questions []question) float64 {
	t.Helper()
	sum := 0.0
	for _, q := range questions {
		got, err := r.Find(t.Context(), receiver.Query{Text: q.Q, Limit: 5})
		if err != nil {
			t.Fatal(err)
		}
		found := 0
		var ids []string
		for _, h := range got.Hits {
			d := h.Document
			ids = append(ids, d.Kind+" "+d.Namespace+"/"+d.Name)
			if slices.Contains(q.Want, ids[len(ids)-1]) {
				found++
			}
		}
		share := float64(found) / float64(min(5, len(q.Want)))
		sum += share
		if share < 1 {
			t.Logf("%.2f %q\n     found %s", share, q.Q, strings.Join(ids, ", "))
		}
	}
	return sum / float64(len(questions))
}

// These are the figures of docs/receiver.md. They may only rise.
const (
	recallByWords   = 0.73
	recallByMeaning = 0.84
)

// TestRecall_CompanyQuestions_DoesNotFall prints the figures of docs/receiver.md with go test -run TestRecall -v.
func TestRecall_CompanyQuestions_DoesNotFall(t *testing.T) {
	_, opts := minds(t)
	r, questions := company(t, receiver.Options{})
	if len(questions) != 60 {
		t.Fatalf("%d questions, want 60", len(questions))
	}
	words := recall(t, r, questions)
	both, _ := company(t, opts)
	both.settled(receiver.EmbedderAnswering)
	meaning := recall(t, both, questions)
	t.Logf("recall@5 over %d questions: %.3f by words, %.3f by words and the vectors of the stub", len(questions), words, meaning)
	if words < recallByWords || meaning < recallByMeaning {
		t.Errorf("%.3f and %.3f, want at least %.3f and %.3f", words, meaning, recallByWords, recallByMeaning)
	}
}

// TestStatus_Embedder_IsServed reads the status as a person does.
func TestStatus_Embedder_IsServed(t *testing.T) {
	_, opts := minds(t)
	r := newRig(t, opts)
	r.ok(instancesPath, zebra("Stripes"))
	r.settled(receiver.EmbedderAnswering)
	g := r.must(request{method: http.MethodGet, path: "/status"})
	for want, path := range map[string][]any{
		"answering": {"embedder", "state"}, "1": {"embedder", "documents"}, "0": {"embedder", "pending"}, "256": {"embedder", "dimension"},
	} {
		if got := at(t, g.body, path...); got != want {
			t.Errorf("%v is %q, want %q", path, got, want)
		}
	}
	if got := at(t, g.body, "documents", "instances"); got != "1" {
		t.Errorf("%s", g.body)
	}
	found := r.must(request{method: http.MethodGet, path: "/search?q=stripes"})
	if got := at(t, found.body, "ranking"); got != "words and meaning" {
		t.Errorf("ranking is %q", got)
	}
}
