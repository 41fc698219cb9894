package operations_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resync/operations"
)

const (
	aPlan = `{"v":1,"trigger":"request","scope":"fleet","label":"pods","namespace":"n","target":"default","force":true,"member":"vs-0",` +
		`"startedAt":"2026-01-02T03:04:05Z","members":["vs-0","vs-1"],"parts":[{"t":"pods.v1","k":"Pod","n":true,"u":"m","m":0,"o":3},` +
		`{"t":"pods.v1","k":"Pod","n":true,"f":"m","m":1},{"t":"jobs.v1.batch","k":"Job","n":true,"m":1,"o":7}]}`
	aRun = `{"v":1,"done":"1-2","offered":9,"failed":{"2":"forbidden"},"running":{"part":0,"offered":2,"open":1},"at":"2026-01-02T03:04:06Z"}`
)

func TestDecode_AfterEncode_IsUnchanged(t *testing.T) {
	for key, text := range map[string]string{
		"op.id": aPlan, "run.id.vs-0": aRun, "last": "2026-01-02T03:04:05Z", "unrelated": "{",
		"op.ended": `{"v":1,"trigger":"schedule","scope":"replica","member":"a","startedAt":"2026-01-02T03:04:05Z","members":["a"],` +
			`"result":{"status":"failed","finishedAt":"2026-01-02T03:04:06Z","types":2,"typesDone":1,"offered":3,"estimate":4,` +
			`"failures":{"pods.v1":"no"},"failed":1,"shares":[{"member":"a","parts":2,"objects":4,"done":1,"offered":3}],"message":"gone"}}`,
	} {
		again, err := operations.Decode(key, text)
		if d := cmp.Diff(text, again); err != nil || d != "" {
			t.Errorf("%s: %v\n%s", key, err, d)
		}
	}
}

func TestSlicesOfTypesAreReadAsTheyWere(t *testing.T) {
	text := strings.ReplaceAll(aPlan, `"t":"jobs.v1.batch"`, `"t":"jobs.v1.batch@team-a"`)
	again, err := operations.Decode("op.id", text)
	if d := cmp.Diff(text, again); err != nil || d != "" {
		t.Errorf("%v\n%s", err, d)
	}
}

func TestDecode_ValueMakesNoSense_IsRefused(t *testing.T) {
	for name, c := range map[string]struct{ key, old, replacement string }{
		"no JSON":                           {"op.id", aPlan, "["},
		"another version":                   {"op.id", `"v":1`, `"v":2`},
		"an ID with a dot":                  {"op.i.d", "", ""},
		"no ID":                             {"op.", "", ""},
		"nobody asked":                      {"op.id", `"member":"vs-0"`, `"member":""`},
		"no members":                        {"op.id", `["vs-0","vs-1"]`, `[]`},
		"a member without a name":           {"op.id", `["vs-0","vs-1"]`, `["vs-0",""]`},
		"no beginning":                      {"op.id", `"startedAt":"2026-01-02T03:04:05Z",`, ``},
		"an unknown scope":                  {"op.id", `"fleet"`, `"all"`},
		"an unknown assignee":               {"op.id", `"m":1`, `"m":2`},
		"a negative assignee":               {"op.id", `"m":1`, `"m":-1`},
		"a negative count":                  {"op.id", `"o":3`, `"o":-3`},
		"an empty range":                    {"op.id", `"u":"m"`, `"f":"m","u":"m"`},
		"a type without a version":          {"op.id", `pods.v1`, `pods`},
		"a type without a kind":             {"op.id", `"k":"Job"`, `"k":""`},
		"a type with a final dot":           {"op.id", `pods.v1"`, `pods.v1."`},
		"a slice of a type of no namespace": {"op.id", `"t":"jobs.v1.batch","k":"Job","n":true`, `"t":"jobs.v1.batch@a","k":"Job"`},
		"an unknown end":                    {"op.id", `"parts"`, `"result":{"status":"running"},"parts"`},
		"progress: no JSON":                 {"run.id.a", aRun, "x"},
		"progress: version":                 {"run.id.a", `"v":1`, `"v":0`},
		"progress: backwards":               {"run.id.a", `1-2`, `2-1`},
		"progress: no numbers":              {"run.id.a", `1-2`, `a`},
		"progress: negative":                {"run.id.a", `1-2`, `-2`},
		"progress: too large":               {"run.id.a", `1-2`, `0-99999999999`},
		"progress: offered":                 {"run.id.a", `"offered":9`, `"offered":-9`},
		"progress: running":                 {"run.id.a", `"part":0`, `"part":-1`},
		"last":                              {"last", "", "yesterday"},
	} {
		text := aPlan
		if strings.HasPrefix(c.key, "run.") {
			text = aRun
		}
		text = strings.Replace(text, c.old, c.replacement, 1)
		if again, err := operations.Decode(c.key, text); err == nil {
			t.Errorf("%s is read as %s", name, again)
		}
	}
}

func TestProgressIsAddedUp(t *testing.T) {
	data := map[string]string{"op.id": aPlan, "run.id.vs-0": aRun, "run.id.vs-9": `{"v":1,"done":"2,77","offered":5,"running":{"part":1,"offered":50,"open":50},"at":"2026-01-02T03:04:05Z"}`}
	open, closed := operations.Operations(data)
	want := []operations.Share{
		{Member: "vs-0", Parts: 1, Objects: 3, Done: 2, Offered: 11, Open: 1},
		{Member: "vs-1", Parts: 2, Objects: 7},
		{Member: "vs-9", Done: 1, Offered: 5}, // What it says of a part that another has finished does not count.
	}
	if d := cmp.Diff(want, open[0].Shares); d != "" {
		t.Errorf("shares (-want +got):\n%s", d)
	}
	o := open[0]
	if o.Status != operations.Running || o.Types != 2 || o.TypesDone != 1 || o.Estimate != 10 || o.Offered != 16 || o.Open != 1 ||
		o.Failures["jobs.v1.batch"] != "forbidden" || o.FailedTypes != 1 {
		t.Errorf("it is %+v", o)
	}
	if c := closed[0]; c.Status != operations.Done || c.Failures["jobs.v1.batch"] != "forbidden" || c.Offered != 16 {
		t.Errorf("closed it is %+v", c)
	}
}

// FuzzDecode: whatever text a key holds, it is refused, or read as a value that is written and read again as
// itself. An operation can be made of it, whatever the other keys hold.
func FuzzDecode(f *testing.F) {
	f.Add(aPlan, aRun)
	f.Add(`{"v":1,"scope":"replica","member":"a","startedAt":"2026-01-02T03:04:05Z","members":["a"],"result":{"status":"done"}}`, `{"v":1,"failed":{"-1":"x","99":""},"done":"0-65535"}`)
	f.Fuzz(func(t *testing.T, plan, run string) {
		for key, text := range map[string]string{"op.id": plan, "run.id.a": run, "last": run} {
			once, err := operations.Decode(key, text)
			if err != nil {
				continue
			}
			if twice, err := operations.Decode(key, once); err != nil || twice != once {
				t.Errorf("%s is first %s, then %s (%v)", key, once, twice, err)
			}
		}
		operations.Operations(map[string]string{"op.id": plan, "run.id.a": run, "last": run})
	})
}
