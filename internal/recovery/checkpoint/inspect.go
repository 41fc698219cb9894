package checkpoint

// All returns the checkpoints that are believed, by name. They must not be changed.
func (b *Book) All() map[string]Checkpoint {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := make(map[string]Checkpoint, len(b.pages))
	for name, e := range b.pages {
		all[name] = e.checkpoint
	}
	return all
}

// Name is the part as checkpoints spell it: type/from/until.
func (p Part) Name() string { return encodeParts([]Part{p})[0] }
