package projection

// Len returns of how many objects it remembers what the receiver sees.
func (l *Projection) Len() int { return len(l.sights) }
