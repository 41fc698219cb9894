package api_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/html"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/api"
)

// withoutStyle cuts the style sheet out of a page, so that golden pages change with their contents only.
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

// TestPagesStandAlone: a page has no script, loads nothing from anywhere, and has no style attribute (the policy
// forbids them). Every image has a name for people who do not see it, and there is one heading of the first level.
func TestPagesStandAlone(t *testing.T) {
	t.Parallel()
	b := full()
	b.ring = troubled()
	h := api.New(b, api.Options{}).Handler()
	b.fleet = illFleet()
	for _, path := range []string{"/", "/ring", "/ring?refresh=30", "/status", "/status?refresh=30"} {
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

// TestGoldenStatusPages compares the page about the fleet with files: without trouble, with every trouble, and
// before the replica knows anything.
func TestGoldenStatusPages(t *testing.T) {
	t.Parallel()
	starting := wellFleet()
	starting.Ready, starting.Phase, starting.Discovery.Complete = false, api.PhaseStarting, false
	for name, tc := range map[string]struct {
		target string
		fleet  api.Fleet
	}{
		"status":          {target: "/status?refresh=30", fleet: wellFleet()},
		"status-ill":      {target: "/status", fleet: illFleet()},
		"status-starting": {target: "/status", fleet: starting},
		"status-empty":    {target: "/status", fleet: api.Fleet{Ready: true, Phase: api.PhaseInSync, Discovery: api.Discovery{Complete: true}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { // for its clock, which stands still
				time.Sleep(time.Until(epoch))
				b := full()
				b.fleet = tc.fleet
				golden(t, "testdata/"+name+".html", []byte(withoutStyle(t, do(t, api.New(b, api.Options{}).Handler(), "GET", tc.target, "").Body.String())))
			})
		})
	}
}

// TestStatusPage_TroubleOfEachSort_SaysHowBadItIs reads the sentence for which people open the page.
func TestStatusPage_TroubleOfEachSort_SaysHowBadItIs(t *testing.T) {
	t.Parallel()
	share := func(change func(*api.FleetShare)) api.Fleet {
		f := wellFleet()
		f.Receivers[0].Shares = f.Receivers[0].Shares[:1]
		change(&f.Receivers[0].Shares[0])
		return f
	}
	for name, tc := range map[string]struct {
		fleet api.Fleet
		want  []string
	}{
		"well":          {wellFleet(), []string{"notice good", "All is well", "Following: 3 objects are waiting, the oldest for 10 s.", "within the last 23 min"}},
		"in step":       {share(func(*api.FleetShare) {}), []string{"All is well", "In step since 2026-02-20T09:58:00Z, for 2 min 0 s."}},
		"behind":        {share(func(s *api.FleetShare) { s.Dirty, s.DirtySince = 1, epoch.Add(-3*time.Minute) }), []string{"deserves a look", "Behind: 1 object is waiting, the oldest for 3 min 0 s."}},
		"first sync":    {share(func(s *api.FleetShare) { s.FirstSync, s.Dirty = true, 7 }), []string{"The first sync is under way. 7 objects are waiting."}},
		"down":          {share(func(s *api.FleetShare) { s.Down, s.Reason, s.Advice = true, "refused", "do this" }), []string{"needs a person", "It takes nothing from 1 of 1 replica.", "sync-0 says: refused", "do this"}},
		"refused":       {share(func(s *api.FleetShare) { s.Quarantined = 2 }), []string{"deserves a look", "does not take 2 objects", "kubectl vectordb-sync resync<"}},
		"everything is": {illFleet(), []string{"needs a person", "--resource configmaps.v1 --force", "configmaps.v1, secrets.v1", "2 objects more at other replicas", "2 types or groups cannot be read", "deploymnets", "not heard of yet"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				time.Sleep(time.Until(epoch))
				b := full()
				b.fleet = tc.fleet
				body := do(t, api.New(b, api.Options{}).Handler(), "GET", "/status", "").Body.String()
				for _, want := range tc.want {
					if !strings.Contains(body, want) {
						t.Errorf("the page lacks %q", want)
					}
				}
			})
		})
	}
}

func TestRefreshIsANumberOfSeconds(t *testing.T) {
	t.Parallel()
	h := api.New(full(), api.Options{}).Handler()
	for target, want := range map[string]string{
		"/ring":              "",
		"/ring?refresh=1":    `<meta http-equiv="refresh" content="1">`,
		"/status?refresh=5":  `<meta http-equiv="refresh" content="5">`,
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
