package plugin_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestReleaseIsFoundOrItIsSaidWhatToDo covers the places of the search, and the messages about no release or
// several. The context's namespace is work.
func TestReleaseIsFoundOrItIsSaidWhatToDo(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		pods      []string // namespace/release
		forbidden []string
		args      []string
		code      int
		want      string   // in what is printed
		listed    []string // namespaces, in order
	}{
		"in the current namespace, whatever there is elsewhere": {
			pods: []string{"work/a", "other/b"}, want: "sync-0", listed: []string{"work"},
		},
		"anywhere": {
			pods: []string{"other/a"}, want: "sync-0", listed: []string{"work", ""},
		},
		"where the documentation installs, if nothing else may be listed": {
			pods: []string{"k8s-vectordb-sync-system/a"}, forbidden: []string{"work", ""}, want: "sync-0",
			listed: []string{"work", "", "k8s-vectordb-sync-system"},
		},
		"in the namespace of -n": {
			pods: []string{"work/a", "other/b"}, args: []string{"-n", "other"}, want: "sync-1", listed: []string{"other"},
		},
		"in the namespace of --controller-namespace": {
			pods: []string{"work/a", "other/b"}, args: []string{"--controller-namespace", "other"}, want: "sync-1", listed: []string{"other"},
		},
		"by its name": {
			pods: []string{"work/a", "work/b"}, args: []string{"--release", "b"}, want: "sync-1", listed: []string{"work"},
		},
		"by other labels": {
			pods: []string{"work/a", "work/b"}, args: []string{"-l", "app.kubernetes.io/instance=b"}, want: "sync-1", listed: []string{"work"},
		},
		"several": {
			pods: []string{"work/b", "work/a"}, code: 2, listed: []string{"work"},
			want: "error: 2 releases were found: work/a, work/b; choose one with --controller-namespace and --release",
		},
		"several elsewhere": {
			pods: []string{"one/a", "other/a"}, code: 2, listed: []string{"work", ""}, want: "one/a, other/a",
		},
		"none": {
			code: 2, listed: []string{"work", ""},
			want: "error: no replica was found in any namespace by the labels app.kubernetes.io/name=k8s-vectordb-sync; " +
				"say where it runs with --controller-namespace, or how its pods are labelled with --selector",
		},
		"none of that name": {
			pods: []string{"work/a"}, args: []string{"-n", "work", "--release", "b"}, code: 2, listed: []string{"work"},
			want: "no replica was found in namespace work by the labels app.kubernetes.io/name=k8s-vectordb-sync,app.kubernetes.io/instance=b",
		},
		"none that may be seen": {
			pods: []string{"other/a"}, forbidden: []string{"work", "", "k8s-vectordb-sync-system"}, code: 2,
			want:   "in namespace work or k8s-vectordb-sync-system (the pods of all namespaces may not be listed)",
			listed: []string{"work", "", "k8s-vectordb-sync-system"},
		},
		"a namespace that may not be listed": {
			pods: []string{"other/a"}, forbidden: []string{"other"}, args: []string{"-n", "other"}, code: 2, want: "pods is forbidden", listed: []string{"other"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := &kube{t: t, forbidden: c.forbidden}
			for i, p := range c.pods {
				namespace, release, _ := strings.Cut(p, "/")
				k.add(namespace, release, "sync-"+string(rune('0'+i)), well(i))
			}
			got := k.run(append([]string{"version"}, c.args...)...)
			if got.code != c.code || !strings.Contains(got.out+got.errOut, c.want) {
				t.Errorf("exit code %d, want %d, and %q in:\n%s%s", got.code, c.code, c.want, got.out, got.errOut)
			}
			if diff := cmp.Diff(c.listed, k.listed); diff != "" {
				t.Errorf("listed (-want +got):\n%s", diff)
			}
		})
	}
}

// TestNamespaceOfObjectsIsNotThatOfTheController holds for the commands that are about objects.
func TestNamespaceOfObjectsIsNotThatOfTheController(t *testing.T) {
	t.Parallel()
	b := well(0)
	k := &kube{t: t}
	k.add("other", "sync", "sync-0", b)
	if got := k.run("resync", "-n", "shop", "--wait=false"); got.code != 0 {
		t.Errorf("got %+v", got)
	}
	if r := b.asked(); len(r) != 1 || r[0].Namespace != "shop" {
		t.Errorf("asked for %+v", r)
	}
	if got := k.run("resync", "--wait=false"); got.code != 0 {
		t.Errorf("got %+v", got)
	}
	if r := b.asked(); len(r) != 2 || r[1].Namespace != "" {
		t.Errorf("asked for %+v: the namespace of the context limits no resync", r)
	}
}

func TestUsersTokenIsNotSentToReplicas(t *testing.T) {
	t.Parallel()
	seen := make(chan string, 1)
	k := &kube{t: t}
	k.add("work", "sync", "sync-0", nil)
	k.backends = map[string]string{"sync-0": listener(t, seen)}
	k.run("ring")
	if got := <-seen; got != "" {
		t.Errorf("the replica got the authorization %q", got)
	}
}
