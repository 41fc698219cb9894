package plugin_test

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestOwnerOfAnObject(t *testing.T) {
	t.Parallel()
	got := runAll(t, three(), "owner", "shop/apps/v1/Deployment/nginx")
	if got.code != 0 || got.errOut != "" {
		t.Errorf("exit code %d, %q", got.code, got.errOut)
	}
	golden(t, "owner.txt", got.out)
	golden(t, "owner-wide.txt", runAll(t, three(), "owner", "shop/apps/v1/Deployment/nginx", "-o", "wide").out)
}

func TestOwnerSaysWhereReplicasDiffer(t *testing.T) {
	t.Parallel()
	all := three()
	all[0].owner.Member = "sync-0"
	all[1].owner.MaySend, all[1].owner.Reason = false, "another member has not given it up yet"
	got := runAll(t, all, "owner", "shop/v1/ConfigMap/x")
	for _, want := range []string{
		"shop/v1/ConfigMap/x   17          disputed   no      yes",
		"replicas differ on who owns it: sync-0 (says sync-0), sync-1 (says sync-1, sync-2);",
		"sync-1 does not send it right now: another member has not given it up yet",
	} {
		if !strings.Contains(got.out, want) {
			t.Errorf("lacks %q", want)
		}
	}
	if got.code != 1 || t.Failed() {
		t.Errorf("exit code %d:\n%s", got.code, got.out)
	}
}

func TestOwnerOfAnUnknownObjectIsNoProblem(t *testing.T) {
	t.Parallel()
	all := three()
	for _, b := range all {
		b.owner.Known = false
	}
	got := runAll(t, all, "owner", "_cluster/v1/Namespace/gone", "-o", "json")
	var r struct {
		ID, Member     string
		Known, MaySend bool
		Notes          []string
	}
	if err := json.Unmarshal([]byte(got.out), &r); err != nil {
		t.Fatal(err)
	}
	if got.code != 0 || r.ID != "_cluster/v1/Namespace/gone" || r.Member != "sync-1" || r.Known || !r.MaySend || len(r.Notes) != 1 {
		t.Errorf("exit code %d: %s", got.code, got.out)
	}
}

func TestOwner_NamesNoObject_IsRefused(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{
		"no name":              {"deployment"},
		"an empty name":        {"deployment/"},
		"an ID with a hole":    {"shop//Deployment/nginx"},
		"an ID that is short":  {"shop/Deployment/nginx"},
		"a slash in two words": {"deployment", "shop/nginx"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := runAll(t, three(), append([]string{"owner"}, args...)...)
			if got.code != 2 || !strings.Contains(got.errOut, "default/apps/v1/Deployment/nginx") || got.out != "" {
				t.Errorf("got %+v", got)
			}
		})
	}
}
