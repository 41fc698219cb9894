package orphans_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/outbound/httpclient"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/receiver"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/guard"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/orphans"
)

func TestClient_ReceiverHoldsDocuments_ListsKindsAndPages(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.post("v1", "Pod", many(1201, "shop/web-%04d")...)
	r.post("v1", "Node", "_cluster/a", "_cluster/b")
	r.post("apps/v1", "Deployment", "shop/cart")

	kinds, blind, err := r.Kinds(t.Context())
	want := []orphans.Kind{{"Deployment", "apps/v1", 1}, {"Node", "v1", 2}, {"Pod", "v1", 1201}}
	if diff := cmp.Diff(want, kinds); diff != "" || blind || err != nil {
		t.Errorf("Kinds: blind %v, %v (-want +got):\n%s", blind, err, diff)
	}
	l, err := r.List(t.Context(), kinds[1])
	if diff := cmp.Diff(orphans.Listing{Kind: kinds[1], Documents: []orphans.Document{{"_cluster", "a"}, {"_cluster", "b"}}}, l); diff != "" || err != nil {
		t.Errorf("List: %v (-want +got):\n%s", err, diff)
	}
	l, err = r.List(t.Context(), kinds[2])
	if err != nil || l.Blind || len(l.Documents) != 1201 {
		t.Fatalf("List: %d documents, blind %v, %v", len(l.Documents), l.Blind, err)
	}
	for i, d := range l.Documents {
		if d != (orphans.Document{Namespace: "shop", Name: fmt.Sprintf("web-%04d", i)}) {
			t.Fatalf("document %d is %v", i, d)
		}
	}
	l, err = r.List(t.Context(), orphans.Kind{Kind: "Other", APIVersion: "v1"})
	if err != nil || l.Blind || len(l.Documents) > 0 {
		t.Errorf("List of nothing: %+v, %v", l, err)
	}
}

// TestACollectionOfTenThousandIsBlind: dot-ai reads 10,000 points and filters them afterwards.
func TestACollectionOfTenThousandIsBlind(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.post("v1", "Secret", many(9_700, "shop/filler-%05d")...)
	r.post("v1", "Pod", many(200, "shop/live-%05d")...)
	r.post("v1", "Node", many(99, "_cluster/live-%05d")...)
	all := map[string]int{"Secret": 0, "Pod": 200, "Node": 99}
	seen := func(what string, want bool) {
		t.Helper()
		kinds, blind, err := r.Kinds(t.Context())
		if err != nil || blind != want || len(kinds) != len(all) {
			t.Fatalf("%s: %d kinds, blind %v, %v; want %d and %v", what, len(kinds), blind, err, len(all), want)
		}
		for _, k := range kinds {
			if k.Kind == "Secret" { // The filler takes long to list, and is not judged.
				continue
			}
			l, err := r.List(t.Context(), k)
			if err != nil || !want && len(l.Documents) != all[k.Kind] || len(l.Documents) > all[k.Kind] {
				t.Errorf("%s: %d documents of %s, %v", what, len(l.Documents), k.Kind, err)
			}
			// Documents that are listed are judged all the same.
			if v := judge(l, pods, true); k.Kind == "Pod" && (v.Status != guard.Compared || len(v.Deleted) != v.Missing || want != (v.Missing > 0)) {
				t.Errorf("%s: pods are judged as %s, %d missing, %d deleted", what, v.Status, v.Missing, len(v.Deleted))
			}
		}
	}
	seen("9,999 documents", false)
	r.post("v1", "Pod", many(400, "shop/gone-%05d")...)
	all["Pod"] += 400
	seen("10,399 documents", true)
}

func TestRefusalsAreToldByType(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.post("v1", "Pod", "shop/a")
	var status *orphans.StatusError
	if _, _, err := r.client(nil).Kinds(t.Context()); !errors.As(err, &status) || status.Status != 401 || status.Code != "UNAUTHORIZED" {
		t.Errorf("without a token: %v", err)
	}
	if err := r.SetFaults(receiver.Rule{Effect: receiver.Effect{CollectionLost: true}}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := r.Kinds(t.Context()); !errors.As(err, &status) || status.Status != 500 || status.Code != "RESOURCE_KINDS_ERROR" {
		t.Errorf("kinds of a lost collection: %v", err)
	}
	if l, err := r.List(t.Context(), orphans.Kind{Kind: "Pod", APIVersion: "v1"}); !errors.As(err, &status) || status.Code != "LIST_RESOURCES_ERROR" || l.Documents != nil {
		t.Errorf("list of a lost collection: %+v, %v", l, err)
	}
}

// canned answers each request with the next of some texts, and repeats the last one.
func canned(t *testing.T, answers ...string) *orphans.Client {
	t.Helper()
	asked := 0
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(answers[min(asked, len(answers)-1)]))
		asked++
	}))
	t.Cleanup(web.Close)
	return clientOf(t, web.URL, nil)
}

// documents is a page of pods of namespace shop.
func documents(total int, names ...string) string {
	items := make([]string, len(names))
	for i, n := range names {
		items[i] = fmt.Sprintf(`{"namespace":"shop","name":%q,"kind":"Pod","apiVersion":"v1","labels":{"a":"b"}}`, n)
	}
	return fmt.Sprintf(`{"success":true,"data":{"resources":[%s],"total":%d,"limit":500,"offset":0}}`, strings.Join(items, ","), total)
}

func TestAnAnswerThatIsNotDotAIsIsNotUsed(t *testing.T) {
	t.Parallel()
	item := func(fields string) string {
		return `{"success":true,"data":{"total":1,"resources":[{` + fields + `}]}}`
	}
	for name, answer := range map[string]string{
		"HTML":                    "<html>",
		"empty":                   "",
		"another program":         "{}",
		"no success":              strings.Replace(documents(1, "a"), "true", "false", 1),
		"no list":                 `{"success":true,"data":{"total":1}}`,
		"no total":                `{"success":true,"data":{"resources":[]}}`,
		"a list of something":     `{"success":true,"data":{"resources":[1],"total":1}}`,
		"another kind":            item(`"namespace":"shop","name":"a","kind":"Secret","apiVersion":"v1"`),
		"another version":         item(`"namespace":"shop","name":"a","kind":"Pod","apiVersion":"v2"`),
		"no name":                 item(`"namespace":"shop","kind":"Pod","apiVersion":"v1"`),
		"no namespace":            item(`"name":"a","kind":"Pod","apiVersion":"v1"`),
		"more than were asked":    documents(501, many(501, "a%d")...),
		"more than there are":     documents(1, "a", "b"),
		"a negative total":        documents(-1, "a"),
		"the second page differs": "",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := canned(t, answer)
			if name == "the second page differs" {
				c = canned(t, documents(2, "a"), item(`"namespace":"shop","name":"b","kind":"Secret","apiVersion":"v1"`))
			}
			if l, err := c.List(t.Context(), orphans.Kind{Kind: "Pod", APIVersion: "v1"}); !errors.Is(err, orphans.ErrContract) || l.Documents != nil {
				t.Errorf("List: %+v, %v, want that it is no answer of dot-ai", l, err)
			}
		})
	}
	for name, answer := range map[string]string{
		"HTML": "<html>", "no kinds": `{"success":true,"data":{}}`,
		"no kind":        `{"success":true,"data":{"kinds":[{"apiVersion":"v1","count":1}]}}`,
		"no version":     `{"success":true,"data":{"kinds":[{"kind":"Pod","count":1}]}}`,
		"negative count": `{"success":true,"data":{"kinds":[{"kind":"Pod","apiVersion":"v1","count":-1}]}}`,
	} {
		if kinds, _, err := canned(t, answer).Kinds(t.Context()); !errors.Is(err, orphans.ErrContract) || kinds != nil {
			t.Errorf("Kinds, %s: %v, %v, want that it is no answer of dot-ai", name, kinds, err)
		}
	}
}

func TestAnAnswerWithoutEndIsNotRead(t *testing.T) {
	t.Parallel()
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for {
			if _, err := w.Write(make([]byte, 1<<20)); err != nil {
				return
			}
		}
	}))
	t.Cleanup(web.Close)
	if _, _, err := clientOf(t, web.URL, nil).Kinds(t.Context()); !errors.Is(err, httpclient.ErrTooLong) {
		t.Errorf("Kinds: %v, want that the answer is too long", err)
	}
}

// TestAListThatChangesWhileItIsReadIsBlind: each page is a slice of the documents at that moment.
func TestAListThatChangesWhileItIsReadIsBlind(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		answers []string
		want    []string
		blind   bool
	}{
		"it does not":                {[]string{documents(2, "a"), documents(2, "b")}, []string{"a", "b"}, false},
		"it grows":                   {[]string{documents(2, "a"), documents(3, "b"), documents(3, "c")}, []string{"a", "b", "c"}, true},
		"it shrinks":                 {[]string{documents(3, "a"), documents(2, "c")}, []string{"a", "c"}, true},
		"one for another":            {[]string{documents(2, "a"), documents(2, "a")}, []string{"a"}, true},
		"it ends early":              {[]string{documents(3, "a"), documents(3)}, []string{"a"}, true},
		"it ends early, with a word": {[]string{documents(3, "a"), documents(1)}, []string{"a"}, true},
		"it says it has very many":   {[]string{documents(10_000, "a"), documents(10_000)}, []string{"a"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, err := canned(t, tt.answers...).List(t.Context(), orphans.Kind{Kind: "Pod", APIVersion: "v1"})
			var got []string
			for _, d := range l.Documents {
				got = append(got, d.Name)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" || l.Blind != tt.blind || err != nil {
				t.Errorf("blind %v, %v, want %v (-want +got):\n%s", l.Blind, err, tt.blind, diff)
			}
		})
	}
}

func TestAListWithoutEndIsBounded(t *testing.T) {
	t.Parallel()
	asked := 0
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked++
		_, _ = w.Write([]byte(documents(1<<30, many(500, fmt.Sprintf("p%d-%%d", asked))...)))
	}))
	t.Cleanup(web.Close)
	c := clientOf(t, web.URL, nil)
	orphans.Bound(c, 2_000)
	l, err := c.List(t.Context(), orphans.Kind{Kind: "Pod", APIVersion: "v1"})
	if err != nil || !l.Blind || len(l.Documents) != 2_000 || asked != 4 {
		t.Errorf("List: %d documents in %d pages, blind %v, %v, want 2,000 in 4 and blind", len(l.Documents), asked, l.Blind, err)
	}
}

// dot-ai counts documents of one kind apart when their groups differ; the list knows no groups.
func TestKindsThatDifferInTheirGroupAreOne(t *testing.T) {
	t.Parallel()
	kinds, _, err := canned(t, `{"success":true,"data":{"kinds":[
		{"kind":"Pod","apiVersion":"v1","apiGroup":"x","count":3},{"kind":"Node","apiVersion":"v1","count":1},{"kind":"Pod","apiVersion":"v1","apiGroup":"","count":4}]}}`).Kinds(t.Context())
	if diff := cmp.Diff([]orphans.Kind{{"Node", "v1", 1}, {"Pod", "v1", 7}}, kinds); diff != "" || err != nil {
		t.Errorf("Kinds: %v (-want +got):\n%s", err, diff)
	}
}

func TestOnlyDotAIHasAList(t *testing.T) {
	t.Parallel()
	parse := func(s string) *url.URL {
		u, err := url.Parse(s)
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	if _, err := orphans.New("cluster-whisperer", parse("http://cw:3000/api/v1/instances/sync"), orphans.Options{}); !errors.Is(err, orphans.ErrNoList) {
		t.Errorf("cluster-whisperer: %v, want that it has no list", err)
	}
	if _, err := orphans.New("dot-ai", parse("http://proxy/hidden"), orphans.Options{}); !errors.Is(err, orphans.ErrNoList) {
		t.Errorf("an endpoint beside which there is no list: %v", err)
	}
	for _, u := range []*url.URL{nil, {Path: "/api/v1/resources/sync"}} {
		if _, err := orphans.New("dot-ai", u, orphans.Options{}); err == nil {
			t.Errorf("endpoint %v is taken", u)
		}
	}
	if _, err := orphans.New("dot-ai", parse("http://h/sync"), orphans.Options{CA: []byte("none")}); err == nil {
		t.Error("a bundle without a certificate is taken")
	}
}

func TestAListEndsWithItsContext(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.post("v1", "Pod", "shop/a")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if l, err := r.List(ctx, orphans.Kind{Kind: "Pod", APIVersion: "v1"}); !errors.Is(err, context.Canceled) || l.Documents != nil {
		t.Errorf("List: %+v, %v, want that it was cancelled", l, err)
	}
}
