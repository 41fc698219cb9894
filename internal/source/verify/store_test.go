package verify

import (
	"testing"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
)

// TestSink_ConfigMapIsDeletedWhileNoWatchLooks_ItsStatementIsForgotten: the statement of a member that has gone is not
// kept for the life of the process.
func TestSink_ConfigMapIsDeletedWhileNoWatchLooks_ItsStatementIsForgotten(t *testing.T) {
	t.Parallel()
	heard := make(map[string]bool)
	s := NewStore(fake.NewClientset().CoreV1(), "ns", "ring", "us", func(member string, _ Statement, ok bool) {
		if heard[member] = ok; !ok {
			delete(heard, member)
		}
	}, nil, logr.Discard())
	k := sink{s, make(map[string]bool)}
	of := func(members ...string) (all []*corev1.ConfigMap) {
		for _, member := range members {
			text, _, err := Statement{}.Encode()
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, &corev1.ConfigMap{
				ObjectMeta: metav1.ObjectMeta{Name: "ring" + infix + member}, Data: map[string]string{statementKey: string(text)},
			})
		}
		return all
	}
	for _, step := range []struct {
		what string
		do   func()
		want map[string]bool
	}{
		{"a first list", func() { k.Replace(of("us", "a", "b")) }, map[string]bool{"a": true, "b": true}},
		{"one joins", func() { k.Set(of("c")[0]) }, map[string]bool{"a": true, "b": true, "c": true}},
		{"a list lacks two", func() { k.Replace(of("us", "b")) }, map[string]bool{"b": true}},
		{"one leaves", func() { k.Delete(of("b")[0]) }, map[string]bool{}},
	} {
		step.do()
		if diff := cmp.Diff(step.want, heard); diff != "" {
			t.Errorf("%s (-want +got):\n%s", step.what, diff)
		}
	}
}
