package checkpoint

// Since returns the lowest version after which some member has seen every change of a type, of all that speak of it; 0
// when none does. Of a deletion at that version, or below, no member knows unless it is told ([Deletions]).
func (b *Book) Since(typeName string) uint64 {
	var since uint64
	for _, p := range *b.believed.Load() {
		if e, ok := p.checkpoint.Types[typeName]; ok && e.Since > 0 && (since == 0 || e.Since < since) {
			since = e.Since
		}
	}
	return since
}
