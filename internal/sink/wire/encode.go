package wire

import "github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"

// The envelope is the same for both receivers. The array that is not used is sent empty, because dot-ai refuses
// null.
const (
	upsertsOpen  = `{"upserts":[`
	upsertsClose = `],"deletes":[]}`
	deletesOpen  = `{"upserts":[],"deletes":[`
	deletesClose = `]}`

	// overhead is one comma less than the envelope, because every item but the last has one.
	overhead = len(upsertsOpen) + len(upsertsClose) - 1
)

// usualItem and usualID are lengths that few items and IDs exceed, in bytes. They only size buffers.
const (
	usualItem = 512
	usualID   = 96
)

// encodeUpserts writes the envelope and, with one, each item.
func encodeUpserts(items []Item, one func(dst []byte, i *Item) (out []byte, fault string)) ([]byte, error) {
	dst := make([]byte, 0, len(items)*usualItem+overhead+1)
	seen := make(map[resource.ID]struct{}, len(items))
	dst = append(dst, upsertsOpen...)
	for i := range items {
		if i > 0 {
			dst = append(dst, ',')
		}
		fault := unique(seen, items[i].ID)
		if fault == "" {
			dst, fault = one(dst, &items[i])
		}
		if fault != "" {
			return nil, ItemError{Index: i, Reason: fault}
		}
	}
	return append(dst, upsertsClose...), nil
}

// encodeDeletes writes the envelope and, with one, each ID.
func encodeDeletes(ids []resource.ID, one func(dst []byte, id resource.ID) (out []byte, fault string)) ([]byte, error) {
	dst := make([]byte, 0, len(ids)*usualID+len(deletesOpen)+len(deletesClose))
	seen := make(map[resource.ID]struct{}, len(ids))
	dst = append(dst, deletesOpen...)
	for i, id := range ids {
		if i > 0 {
			dst = append(dst, ',')
		}
		fault := unique(seen, id)
		if fault == "" {
			dst, fault = one(dst, id)
		}
		if fault != "" {
			return nil, ItemError{Index: i, Reason: fault}
		}
	}
	return append(dst, deletesClose...), nil
}

// unique refuses an empty ID and a repeated one: for both, cluster-whisperer's database answers 500 for ever.
func unique(seen map[resource.ID]struct{}, id resource.ID) (fault string) {
	if id == "" {
		return "its ID is empty"
	}
	if _, twice := seen[id]; twice {
		return Reason("its ID " + string(id) + " stands twice in one body")
	}
	seen[id] = struct{}{}
	return ""
}

// required refuses an item that lacks a field that both receivers demand.
func required(i *Item) (fault string) {
	switch {
	case i.Name == "":
		return "its name is empty"
	case i.Type.Kind == "":
		return "its kind is empty"
	case i.Type.Version == "":
		return "its API version is empty"
	}
	return ""
}
