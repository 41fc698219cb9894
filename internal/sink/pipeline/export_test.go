package pipeline

// CountUnsettled counts one by one what [Stats.Unsettled] tells.
func (p *Pipeline) CountUnsettled() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for _, it := range p.items.byID {
		n += one(it.overwritable())
	}
	return n
}

// CountDirty counts one by one what [Stats.Dirty] tells. It differs while a change is applied between the two.
func (p *Pipeline) CountDirty() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for _, it := range p.items.byID {
		if it.dirty() && it.place != parked && it.place != quarantined {
			n++
		}
	}
	for _, b := range p.items.allStubs() {
		n += one(!b.parked)
	}
	return n
}

// WithoutStubs has a pipeline make no stubs.
func (p *Pipeline) WithoutStubs() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.items.stubs = nil
}

// CountStubs returns how many stubs there are.
func (p *Pipeline) CountStubs() (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for range p.items.allStubs() {
		n++
	}
	return n
}
