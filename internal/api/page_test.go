package api_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/html"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/api"
)

// withoutStyle cuts the style sheet out of a page, so that golden pages change with what they say only.
func withoutStyle(t *testing.T, page string) string {
	t.Helper()
	before, rest, ok1 := strings.Cut(page, "<style>")
	style, after, ok2 := strings.Cut(rest, "</style>")
	if !ok1 || !ok2 || !strings.Contains(style, "prefers-color-scheme: dark") {
		t.Fatalf("the page lacks its style sheet:\n%s", page)
	}
	return before + "<style></style>" + after
}

func TestGoldenPages(t *testing.T) {
	t.Parallel()
	alone := threeMembers()
	alone.Members = alone.Members[:1]
	alone.Members[0].Share, alone.Members[0].Partitions, alone.Members[0].Claims = 1, 4093, 4093
	alone.Members[0].View = []string{"sync-0"}
	for name, tc := range map[string]struct {
		target string
		ring   api.Ring
	}{
		"index":           {target: "/", ring: threeMembers()},
		"ring":            {target: "/ring", ring: threeMembers()},
		"ring-refresh":    {target: "/ring?refresh=5", ring: threeMembers()},
		"ring-troubled":   {target: "/ring", ring: troubled()},
		"ring-of-one":     {target: "/ring", ring: alone},
		"ring-not-yet":    {target: "/ring", ring: api.Ring{Name: "k8s-vectordb-sync", Format: "x", Partitions: 4093}},
		"ring-impossible": {target: "/ring", ring: api.Ring{Error: "two members are named sync-0", Members: threeMembers().Members}},
		"ring-disagrees":  {target: "/ring", ring: api.Ring{Members: []api.Member{{Name: "sync-0", Self: true, Share: 1, State: "new"}}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { // for its clock, which stands still
				if since := tc.ring.DisagreementSince; since != nil {
					*since = time.Now().Add(-75 * time.Second)
				}
				b := full()
				b.ring = tc.ring
				w := do(t, api.New(b, api.Options{}).Handler(), "GET", tc.target, "")
				if w.Code != 200 || w.Header().Get("Content-Type") != "text/html; charset=utf-8" {
					t.Fatalf("got %d, %s", w.Code, w.Header().Get("Content-Type"))
				}
				golden(t, "testdata/"+name+".html", []byte(withoutStyle(t, w.Body.String())))
			})
		})
	}
}

// TestPagesStandAlone: no script, nothing loaded from anywhere, no style attribute (the policy forbids them), every
// image named for those who do not see it, one heading of the first level.
func TestPagesStandAlone(t *testing.T) {
	t.Parallel()
	b := full()
	b.ring = troubled()
	h := api.New(b, api.Options{}).Handler()
	for _, path := range []string{"/", "/ring", "/ring?refresh=30"} {
		root, err := html.Parse(do(t, h, "GET", path, "").Body)
		if err != nil {
			t.Fatal(err)
		}
		headings, ids := 0, map[string]int{}
		for n := range root.Descendants() {
			if n.Type != html.ElementNode {
				continue
			}
			a := map[string]string{}
			for _, at := range n.Attr {
				a[at.Key] = at.Val
				if strings.HasPrefix(at.Key, "on") || at.Key == "style" || at.Key == "src" {
					t.Errorf("%s: <%s> has %s", path, n.Data, at.Key)
				}
			}
			ids[a["id"]]++
			switch n.Data {
			case "script", "iframe", "object", "img":
				t.Errorf("%s has <%s>", path, n.Data)
			case "link":
				if a["href"] != "data:," {
					t.Errorf("%s loads %s", path, a["href"])
				}
			case "a":
				if !strings.HasPrefix(a["href"], "/") || strings.HasPrefix(a["href"], "//") {
					t.Errorf("%s leads to %s", path, a["href"])
				}
			case "h1":
				headings++
			case "html":
				if a["lang"] != "en" {
					t.Errorf("%s is in the language %q", path, a["lang"])
				}
			case "svg":
				if a["aria-hidden"] != "true" && (a["role"] != "img" || a["aria-labelledby"] != "picture") {
					t.Errorf("%s has a picture without a name", path)
				}
			case "th":
				if a["scope"] == "" {
					t.Errorf("%s has a heading of a table without scope", path)
				}
			}
		}
		if headings != 1 {
			t.Errorf("%s has %d headings of the first level", path, headings)
		}
		if strings.HasPrefix(path, "/ring") && ids["picture"] != 1 {
			t.Errorf("%s names its picture %d times", path, ids["picture"])
		}
	}
}

func TestRefreshIsANumberOfSeconds(t *testing.T) {
	t.Parallel()
	h := api.New(full(), api.Options{}).Handler()
	for target, want := range map[string]string{
		"/ring":              "",
		"/ring?refresh=1":    `<meta http-equiv="refresh" content="1">`,
		"/ring?refresh=3600": `<meta http-equiv="refresh" content="3600">`,
	} {
		w := do(t, h, "GET", target, "")
		if got := strings.Contains(w.Body.String(), "http-equiv"); w.Code != 200 || got != (want != "") || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: got %d", target, w.Code)
		}
	}
	for _, bad := range []string{"0", "-1", "3601", "5;url=//evil", "x", "99999999999999999999"} {
		w := do(t, h, "GET", "/ring?refresh="+strings.ReplaceAll(bad, ";", "%3B"), "")
		if e := decode[api.Error](t, w); w.Code != 400 || !strings.Contains(e.Message, "from 1 to 3600") {
			t.Errorf("%s: got %d %+v", bad, w.Code, e)
		}
	}
}
