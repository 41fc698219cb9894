package checkpoint

// All returns the checkpoints that are believed, by name. They must not be changed.
func (b *Ledger) All() map[string]Checkpoint {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := make(map[string]Checkpoint, len(b.entries))
	for name, e := range b.entries {
		all[name] = e.checkpoint
	}
	return all
}

// Name is the part as checkpoints spell it: type/from/until.
func (p Part) Name() string { return encodeParts([]Part{p})[0] }
