package retired

// Len returns the number of names that are kept.
func (e *Backlog) Len() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.deleted) + len(e.inDoubt) + len(e.seen) + len(e.fresh)
}
