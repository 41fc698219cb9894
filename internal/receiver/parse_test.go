package receiver_test

import (
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/receiver"
)

// FuzzParse: both contracts answer any body with a status of theirs, and documents that they accept survive
// packing.
func FuzzParse(f *testing.F) {
	for _, name := range []string{"instances", "resources"} {
		b, err := os.ReadFile("testdata/" + name + ".json")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	for _, s := range []string{`{}`, `[]`, `null`, ``, `{"upserts":[null]}`, `{"deletes":[1,{"name":"\ud800"}],"isResync":true}`, `{"upserts":[{"id":"\udc00"}]}`, " 7"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		instances, resources, statuses := receiver.ParseBodies(body)
		if s := statuses[0]; s != 0 && s != 400 {
			t.Errorf("cluster-whisperer said %d", s)
		}
		if s := statuses[1]; s != 0 && s != 400 && s != 500 {
			t.Errorf("dot-ai said %d", s)
		}
		for _, d := range append(instances, resources...) {
			again, err := receiver.RoundTrip(d)
			if err != nil {
				t.Fatal(err)
			}
			again.Hash = d.Hash
			if diff := cmp.Diff(d, again); diff != "" {
				t.Errorf("packing changed the document:\n%s", diff)
			}
		}
	})
}

func TestGlob(t *testing.T) {
	for _, c := range []struct {
		pattern, s string
		want       bool
	}{
		{"", "", true}, {"a", "a", true}, {"a", "ab", false}, {"*", "a/b", true}, {"a*", "a/b", true}, {"*b", "a/b", true},
		{"a*c", "abc", true}, {"a*c", "ac", true}, {"a*a", "a", false}, {"a*b*c", "a1b2c", true}, {"a*b*c", "a1c2b", false}, {"*/Pod/*", "ns/v1/Pod/x", true},
	} {
		if got := receiver.Glob(c.pattern, c.s); got != c.want {
			t.Errorf("glob(%q, %q) is %t", c.pattern, c.s, got)
		}
	}
}

func TestSpreadTakesIdentifiersApart(t *testing.T) {
	for in, want := range map[string]string{
		"StatefulSet": "Stateful Set StatefulSet ", "payment-api": "payment api ", "HTTPRoute": "HTTP Route HTTPRoute ",
		"postgres-0.db": "postgres 0 db ", "": "", "größe": "größe ",
	} {
		if got := receiver.Spread(in); got != want {
			t.Errorf("spread(%q) is %q, want %q", in, got, want)
		}
	}
}
