package projection

// Len returns the number of objects whose view the projection remembers.
func (l *Projection) Len() int { return len(l.sights) }
