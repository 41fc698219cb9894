package workload_test

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/workload"
)

func TestCompareFindsWhatDiffers(t *testing.T) {
	const id = resource.ID("default/v1/ConfigMap/a")
	doc := workload.Doc{
		Labels:      map[string]string{"app": "a"},
		Annotations: map[string]string{"description": "text"},
		CreatedAt:   "2024-05-01T10:00:00Z",
	}
	with := func(change func(*workload.Doc)) workload.Doc {
		d := doc
		change(&d)
		return d
	}
	tests := map[string]struct {
		want, got map[resource.ID]workload.Doc
		diff      string
	}{
		"nothing":         {diff: "0 missing, 0 stale, 0 wrong"},
		"the same":        {want: docs(id, doc), got: docs(id, doc), diff: "0 missing, 0 stale, 0 wrong"},
		"missing":         {want: docs(id, doc), diff: "1 missing, 0 stale, 0 wrong\n  missing: default/v1/ConfigMap/a"},
		"stale":           {got: docs(id, doc), diff: "0 missing, 1 stale, 0 wrong\n  stale: default/v1/ConfigMap/a"},
		"nil and empty":   {want: docs(id, workload.Doc{}), got: docs(id, workload.Doc{Labels: map[string]string{}}), diff: "0 missing, 0 stale, 0 wrong"},
		"spelling":        {want: docs(id, doc), got: docs(id, with(func(d *workload.Doc) { d.CreatedAt = "2024-05-01T12:00:00.000+02:00" })), diff: "0 missing, 0 stale, 0 wrong"},
		"label":           {want: docs(id, doc), got: docs(id, with(func(d *workload.Doc) { d.Labels = map[string]string{"app": "b"} })), diff: "0 missing, 0 stale, 1 wrong\n  wrong: default/v1/ConfigMap/a: label app is \"b\", want \"a\""},
		"label gone":      {want: docs(id, doc), got: docs(id, with(func(d *workload.Doc) { d.Labels = nil })), diff: "0 missing, 0 stale, 1 wrong\n  wrong: default/v1/ConfigMap/a: label app missing"},
		"annotation more": {want: docs(id, with(func(d *workload.Doc) { d.Annotations = nil })), got: docs(id, doc), diff: "0 missing, 0 stale, 1 wrong\n  wrong: default/v1/ConfigMap/a: annotation description too many"},
		"created":         {want: docs(id, doc), got: docs(id, with(func(d *workload.Doc) { d.CreatedAt = "" })), diff: "0 missing, 0 stale, 1 wrong\n  wrong: default/v1/ConfigMap/a: created \"\", want \"2024-05-01T10:00:00Z\""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			d := workload.Compare(tt.want, tt.got)
			if diff := cmp.Diff(tt.diff, d.String()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if want := strings.HasPrefix(tt.diff, "0 missing, 0 stale, 0 wrong"); d.Empty() != want {
				t.Errorf("Empty is %t, want %t", d.Empty(), want)
			}
		})
	}
}

func TestSummaryOfADiffIsBounded(t *testing.T) {
	want, got := make(map[resource.ID]workload.Doc), make(map[resource.ID]workload.Doc)
	for i := range 5000 {
		want[resource.ID(fmt.Sprintf("ns/v1/Pod/wanted-%04d", i))] = workload.Doc{}
		got[resource.ID(fmt.Sprintf("ns/v1/Pod/stale-%04d", i))] = workload.Doc{}
		wrong := resource.ID(fmt.Sprintf("ns/v1/Pod/wrong-%04d", i))
		want[wrong] = workload.Doc{Annotations: map[string]string{"description": strings.Repeat("long ", 200)}}
		got[wrong] = workload.Doc{Annotations: map[string]string{"description": strings.Repeat("also ", 200)}}
	}
	s := workload.Compare(want, got).String()
	if len(s) > 8000 || !strings.Contains(s, "5000 missing, 5000 stale, 5000 wrong") || !strings.Contains(s, "and 4990 more") {
		t.Errorf("summary of %d bytes, want the counts and no more than 8,000 bytes:\n%.500s", len(s), s)
	}
}

func TestCutKeepsWholeCharactersOfTheFirstKiB(t *testing.T) {
	for name, tt := range map[string]struct {
		value string
		want  int
	}{
		"short":                 {"text", 4},
		"just fits":             {strings.Repeat("a", 1024), 1024},
		"one too many":          {strings.Repeat("a", 1025), 1024},
		"two bytes a character": {"a" + strings.Repeat("ü", 600), 1023},
		"four bytes":            {"ab" + strings.Repeat("🛒", 300), 1022},
	} {
		t.Run(name, func(t *testing.T) {
			got := workload.Cut(tt.value)
			if len(got) != tt.want || !utf8.ValidString(got) || !strings.HasPrefix(tt.value, got) {
				t.Errorf("cut to %d bytes, want %d of whole characters", len(got), tt.want)
			}
		})
	}
}

func docs(id resource.ID, d workload.Doc) map[resource.ID]workload.Doc {
	return map[resource.ID]workload.Doc{id: d}
}
