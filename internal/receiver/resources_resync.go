package receiver

import (
	"maps"
	"net/http"
)

// pointCeiling is how many points dot-ai ever reads of its collection. It neither lists further points nor finds
// them in a resync.
const pointCeiling = 10_000

type resyncResult struct {
	Inserted          int      `json:"inserted"`
	Updated           int      `json:"updated"`
	Deleted           int      `json:"deleted"`
	InsertedResources []string `json:"insertedResources"`
	UpdatedResources  []string `json:"updatedResources"`
	DeletedResources  []string `json:"deletedResources"`
}

// resync makes the payload the whole world, as far as dot-ai can see it. Of the first 10,000 points, it deletes
// those that are not in the list, of all kinds and namespaces. It stops at the first failure, before any delete.
func (c resourcesContract) resync(a *application) answer {
	failed := func(message string) answer {
		return dotError(http.StatusInternalServerError, "RESYNC_FAILED", message, nil)
	}
	if a.effect.CollectionLost {
		return failed(lostCollection)
	}
	seen := map[string]keyed{}
	for _, k := range a.srv.docs.list(Resources, byPoint, pointCeiling) {
		seen[k.id] = k
	}
	out := resyncResult{InsertedResources: []string{}, UpdatedResources: []string{}, DeletedResources: []string{}}
	listed := make(map[string]struct{}, len(a.payload.upserts))
	for i, d := range a.payload.upserts {
		listed[d.ID] = struct{}{}
		old, known := seen[d.ID]
		if known && !differs(old, d) {
			continue
		}
		if err := c.upsert(a, i); err != nil {
			return failed(err.Error())
		}
		if known {
			out.UpdatedResources = append(out.UpdatedResources, d.ID)
		} else {
			out.InsertedResources = append(out.InsertedResources, d.ID)
		}
	}
	for id := range seen {
		if _, keep := listed[id]; keep {
			continue
		}
		if err := c.remove(a, -1, id); err != nil {
			return failed(err.Error())
		}
		out.DeletedResources = append(out.DeletedResources, id)
	}
	out.Inserted, out.Updated, out.Deleted = len(out.InsertedResources), len(out.UpdatedResources), len(out.DeletedResources)
	return dotSuccess(syncResult{Upserted: out.Inserted + out.Updated, Deleted: out.Deleted, Resync: &out})
}

// differs is dot-ai's idea of a change: updatedAt, labels or annotations.
func differs(old keyed, d Document) bool {
	held, err := old.unpack()
	return err != nil || held.UpdatedAt != d.UpdatedAt || !maps.Equal(held.Labels, d.Labels) ||
		!maps.Equal(held.Annotations, d.Annotations)
}
