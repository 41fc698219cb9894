package fleet_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/receiver"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/fleet"
)

func TestUnexplainedFindsWhatWasSentForNothing(t *testing.T) {
	t.Parallel()
	upsert := func(status int, unchanged bool) receiver.Record {
		return receiver.Record{Status: status, Upserts: []receiver.Upsert{{ID: "a", Written: true, Unchanged: unchanged}}}
	}
	left := upsert(200, true)
	left.ClientGone = true
	for name, c := range map[string]struct {
		records []receiver.Record
		anew    bool
		want    []string
	}{
		"nothing":                         {},
		"changes only":                    {records: []receiver.Record{upsert(200, false), upsert(200, false)}},
		"for nothing":                     {records: []receiver.Record{upsert(200, false), upsert(200, true)}, want: []string{"a"}},
		"after an error":                  {records: []receiver.Record{upsert(500, false), upsert(200, true)}},
		"after a reset":                   {records: []receiver.Record{upsert(0, false), upsert(200, true), upsert(200, true)}},
		"after an error of another":       {records: []receiver.Record{{Status: 500, Upserts: []receiver.Upsert{{ID: "b"}}}, upsert(200, true)}, want: []string{"a"}},
		"after a delete that failed":      {records: []receiver.Record{{Status: 503, Deletes: []string{"a"}}, upsert(200, true)}},
		"overtaken after its client left": {records: []receiver.Record{left}},
		"of an object created anew":       {records: []receiver.Record{upsert(200, false), upsert(200, true)}, anew: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := fleet.Unexplained(c.records, func(resource.ID) bool { return c.anew })
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("unexplained (-want +got):\n%s", diff)
			}
		})
	}
}
