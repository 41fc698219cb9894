package guard

// Limit is how many of n known objects or documents of one type may be deleted on an inference: 50, or a tenth of n,
// whichever is more. Up to 50 a mistake is repaired by one small resync; beyond a tenth it is likelier than
// the finding.
func Limit(n int) int { return max(50, n/10) }

// Exceeded tells whether that many deletions out of n have to wait for a person.
func Exceeded(deletions, n int) bool { return deletions > Limit(n) }
