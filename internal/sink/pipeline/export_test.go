package pipeline

// CountUnsettled counts one by one the objects of [Stats.Unsettled].
func (p *Pipeline) CountUnsettled() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for _, it := range p.items.byID {
		n += one(it.overwritable())
	}
	return n
}

// CountDirty counts one by one the objects of [Stats.Dirty]. It differs while a change is applied between the
// two.
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

// WithoutStubs makes a pipeline keep items where it would make stubs.
func (p *Pipeline) WithoutStubs() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.items.stubs = nil
}

// CountStubs returns the number of stubs.
func (p *Pipeline) CountStubs() (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for range p.items.allStubs() {
		n++
	}
	return n
}
