package retired

// Len is how many names are kept.
func (e *Backlog) Len() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.deleted) + len(e.inDoubt) + len(e.seen) + len(e.fresh)
}
