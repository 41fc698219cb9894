package index_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

// Listeners get a deletion for an object that is not selected any more. They get nothing for an object that
// never was selected, however often it changes: each deletion would be a request.
func TestLeave_SelectedObject_ListenersHearOfItOnce(t *testing.T) {
	t.Parallel()
	x, r := newIndex()
	x.Replace(pods, []resource.Record{rec("a", "in", 1, 10)}, 20)
	r.take()
	x.Leave(pods, "a", "in", 9) // older than the known version
	x.Leave(pods, "a", "never", 30)
	if got := r.take(); len(got) > 0 {
		t.Errorf("told of %v, want nothing", got)
	}
	if got := x.Type(pods); got.Version != 30 || got.Objects != 1 {
		t.Errorf("%+v, want that version 30 was seen", got)
	}
	x.Leave(pods, "a", "in", 31)
	x.Leave(pods, "a", "in", 32)
	if diff := cmp.Diff([]string{"live delete a/v1/Pod/in 0@31 was 1"}, r.take()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	x.Upsert(pods, rec("a", "in", 1, 33))
	if diff := cmp.Diff([]string{"live upsert a/v1/Pod/in 1@33"}, r.take()); diff != "" {
		t.Errorf("when it is selected again (-want +got):\n%s", diff)
	}
}
