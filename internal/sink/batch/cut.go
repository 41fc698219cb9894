package batch

// Limits bound one batch. A field of zero or below does not bound.
type Limits struct {
	// Count is the largest number of items.
	Count int
	// Bytes is the largest number of bytes, Overhead included.
	Bytes int
	// Overhead is the number of bytes that a batch takes beside its items.
	Overhead int
}

// Builder decides, item by item, whether the next one still fits into the batch that is being filled. Its zero
// value is an empty batch without limits.
type Builder struct {
	limits       Limits
	count, bytes int
}

// NewBuilder starts an empty batch.
func NewBuilder(l Limits) Builder { return Builder{limits: l, bytes: l.Overhead} }

// Add takes an item of that many bytes into the batch and returns true, or returns false when it does not fit. The
// first item always fits: an item that is too large by itself must still go somewhere, alone.
func (b *Builder) Add(size int) bool {
	if b.count > 0 {
		if b.limits.Count > 0 && b.count >= b.limits.Count {
			return false
		}
		if b.limits.Bytes > 0 && b.bytes+size > b.limits.Bytes {
			return false
		}
	}
	b.count++
	b.bytes += size
	return true
}

// Count returns the number of items in the batch.
func (b *Builder) Count() int { return b.count }

// Bytes returns the number of bytes that the batch takes, Overhead included.
func (b *Builder) Bytes() int { return b.bytes }

// Full tells whether the batch can hold no further item by count.
func (b *Builder) Full() bool { return b.limits.Count > 0 && b.count >= b.limits.Count }
