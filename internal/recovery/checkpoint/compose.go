package checkpoint

// Seen is how far a member has seen one type.
type Seen struct {
	// Version is the version up to which the member has seen the type, 0 before its first list; Event is the newest
	// change. Opaque tells that versions are no numbers.
	Version, Event uint64
	Opaque         bool
	// Sum is the sum of the index at SumAt; 0 where it is not known.
	Sum, SumAt uint64
	// Deleted and Earlier become the fields of [Entry] with these names.
	Deleted uint64
	Earlier []uint64
}

// Compose makes the entries of a member's two checkpoints, for its own partitions and for all. Its input is how far
// the member has seen each type, the backlogs, and the room for exceptions. The caller has to read seen before the
// backlogs: a change in between is then above the seen version.
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
			if s.Version == 0 { // The type is not known yet, so the earlier entry is still true.
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
