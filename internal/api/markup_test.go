package api_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/html"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/api"
)

// hostile are values that end an attribute, a text or an element if the page does not escape them. Others look like
// another text if the page escapes them twice or not at all.
var hostile = []string{
	`"><script>alert(1)</script>`,
	`'><img src=x onerror=alert(1)>`,
	`</title></svg></style></td></table><script>alert(1)</script>`,
	`" onmouseover="alert(1)`,
	`<!--`,
	`]]>`,
	`javascript:alert(1)`,
	`&lt;script&gt; &amp;quot; &#60;`,
	`{{.}} %s %!d`,
	"a\u2028b\u202ec",
}

// skeleton is a page without the values in it: its tags with the names of their attributes, and the targets of its
// links. said are its texts and the values of its attributes, in their order.
func skeleton(t *testing.T, page string) (bones []string, said string) {
	t.Helper()
	root, err := html.Parse(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for n := range root.Descendants() {
		if n.Type == html.TextNode {
			all.WriteString(n.Data + "\n")
			continue
		}
		bone := n.Data
		for _, a := range n.Attr {
			bone += " " + a.Key
			if a.Key == "href" {
				bone += "=" + a.Val
			}
			all.WriteString(a.Val + "\n")
		}
		bones = append(bones, bone)
	}
	return bones, all.String()
}

// namedAfter is a backend in whose status and ring every text is value.
func namedAfter(value string) *backend {
	b := full()
	b.status.Member, b.status.Version, b.status.Phase = "member "+value, "version "+value, api.Phase("phase "+value)
	since := epoch
	b.ring = api.Ring{
		Name: "ring " + value, Format: "format " + value, Error: "error " + value, DisagreementSince: &since,
		Members: []api.Member{
			{Name: "self " + value, Self: true, State: api.MemberState("state " + value), Share: 0.5, View: []string{"self " + value, "lost " + value}},
			{Name: "other " + value, State: api.MemberState("state " + value), Share: 0.5, View: []string{"self " + value, "found " + value}},
			{Name: "strange " + value, Format: "strange format " + value},
		},
	}
	b.fleet = api.Fleet{
		Member: "member " + value, Ready: true,
		Types:     []api.TypeStatus{{Name: "type " + value, Phase: api.TypeFailing, Error: "failure " + value}},
		Discovery: api.Discovery{Unknown: []string{"unknown " + value}, Failed: []api.FailedGroup{{GroupVersion: "~group " + value, Error: "down " + value}}},
		Receivers: []api.FleetReceiver{{
			Name: "receiver " + value, Endpoint: "endpoint " + value, Format: "format " + value,
			Shares:           []api.FleetShare{{Member: "share " + value, Self: true, Down: true, Reason: "reason " + value, Advice: "advice " + value}},
			Quarantined:      []api.Quarantined{{ID: "refused " + value, Reason: "because " + value}},
			UnknownDeletions: []string{"deleted " + value},
			HeldRepairs:      []api.HeldRepair{{Resource: "held " + value, Source: "source " + value}},
		}},
	}
	return b
}

// TestValuesFromOutsideStayText: whatever the names of members, versions, states, formats and errors are, a page
// has the same tags, attributes and links, and shows the names to the letter.
func TestValuesFromOutsideStayText(t *testing.T) {
	t.Parallel()
	says := map[string][]string{
		"/": {"member ", "version ", "phase "},
		"/status": {
			"member ", "type ", "failure ", "unknown ", "~group ", "down ", "receiver ", "endpoint ", "format ", "share ", "reason ", "advice ",
			"refused ", "because ", "deleted ", "held ", "source ",
		},
		"/ring": {"ring ", "format ", "error ", "self ", "other ", "strange ", "state ", "with found ", "without lost ", "another ring, strange format "},
	}
	for path, names := range says {
		harmless, _ := skeleton(t, do(t, api.New(namedAfter("x"), api.Options{}).Handler(), "GET", path, "").Body.String())
		for _, value := range hostile {
			w := do(t, api.New(namedAfter(value), api.Options{}).Handler(), "GET", path, "")
			if w.Code != 200 {
				t.Fatalf("%s with %q: got %d", path, value, w.Code)
			}
			bones, said := skeleton(t, w.Body.String())
			if diff := cmp.Diff(harmless, bones); diff != "" {
				t.Errorf("%s: %q became markup:\n%s", path, value, diff)
			}
			for _, name := range names {
				if !strings.Contains(said, name+value) {
					t.Errorf("%s does not say %q", path, name+value)
				}
			}
		}
	}
}

// TestStringsAreNotConvertedToMarkup: the compiler keeps a string out of a page unless it is escaped or converted.
// Only the file that escapes may convert.
func TestStringsAreNotConvertedToMarkup(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	conversions := make(map[string]int)
	for _, path := range paths {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok {
				if to, ok := call.Fun.(*ast.Ident); ok && to.Name == "markup" {
					conversions[path]++
				}
			}
			return true
		})
	}
	// text, number and each convert. A developer who adds a conversion has to say here why it is safe.
	if diff := cmp.Diff(map[string]int{"markup.go": 3}, conversions); diff != "" {
		t.Errorf("conversions to markup by file (-want +got):\n%s", diff)
	}
}

// FuzzMarkup: an HTML parser reads back every value as it was, as text and as attribute, and finds nothing else.
// Markup cannot hold NUL and bytes that are not UTF-8, and the parser makes all line ends the same.
func FuzzMarkup(f *testing.F) {
	for _, value := range hostile {
		f.Add(value, value)
	}
	f.Add("", "")
	f.Add("\x00<\x80>\xff\r\n\r'", "`=\"\x00")
	parsed := strings.NewReplacer("\x00", "\uFFFD", "\r\n", "\n", "\r", "\n")
	f.Fuzz(func(t *testing.T, title, content string) {
		z := html.NewTokenizer(strings.NewReader(api.Paragraph(title, content)))
		var got []html.Token
		for z.Next() != html.ErrorToken {
			got = append(got, z.Token())
		}
		want := []html.Token{{
			Type: html.StartTagToken, Data: "p",
			Attr: []html.Attribute{{Key: "title", Val: parsed.Replace(strings.ToValidUTF8(title, "\uFFFD"))}},
		}}
		if content != "" {
			want = append(want, html.Token{Type: html.TextToken, Data: parsed.Replace(strings.ToValidUTF8(content, "\uFFFD"))})
		}
		want = append(want, html.Token{Type: html.EndTagToken, Data: "p"})
		if diff := cmp.Diff(want, got, cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".DataAtom" }, cmp.Ignore())); diff != "" {
			t.Errorf("%q and %q are read back as something else:\n%s", title, content, diff)
		}
	})
}
