package checkpoint

// Seen is how far a member has seen one type.
type Seen struct {
	// Version is up to where, 0 for a type that has not been listed; Event the newest change. Opaque tells
	// that versions are no numbers.
	Version, Event uint64
	Opaque         bool
	// Sum is that of the index at SumAt; 0 where it is not known.
	Sum, SumAt uint64
	// Deleted and Earlier are for the fields of [Entry] of that name.
	Deleted uint64
	Earlier []uint64
}

// Compose makes the entries of a member's two checkpoints, for its own partitions and for all, from how far
// it has seen each type and what of it is not acknowledged, with room for so many exceptions. What was seen
// has to be read before what is not acknowledged: a change in between is above that version.
func Compose(seen map[string]Seen, own, all map[string]Backlog, room int) (ownTypes, allTypes map[string]Entry) {
	versions := make(map[string]uint64, len(seen))
	for name, s := range seen {
		if s.Version > 0 {
			versions[name] = s.Version
		}
	}
	ownTypes, allTypes = Entries(versions, own, room), Bounds(versions, all)
	for name, s := range seen {
		for _, types := range []map[string]Entry{ownTypes, allTypes} {
			e := types[name]
			e.Event, e.Deleted, e.Earlier, e.Opaque = s.Event, s.Deleted, s.Earlier, s.Opaque
			if s.Version == 0 { // It is not known yet: what was true before still is.
				e.Low, e.High = s.Deleted, s.Deleted
			}
			types[name] = e
		}
		e := ownTypes[name] // The other checkpoint travels with it.
		e.Sum, e.SumAt = s.Sum, s.SumAt
		ownTypes[name] = e
	}
	return ownTypes, allTypes
}
