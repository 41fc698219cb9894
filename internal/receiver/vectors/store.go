package vectors

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
)

// ErrDimension says that a vector is not as long as the kept ones.
var ErrDimension = errors.New("vectors have another dimension")

// Match is a document with the cosine between its text and the question.
type Match struct {
	Key    string
	Cosine float32
}

// Store keeps vectors. Make it with [Open].
type Store struct {
	mu   sync.RWMutex // guards all below
	file *file        // nil in memory
	dim  int          // 0 while there is no vector
	// texts are by the hash of the text, documents by the caller's key.
	texts     map[uint64]*text
	documents map[string]uint64
}

type text struct {
	vector []float32
	used   int // how many documents have the text
}

// Open reads the vectors of a model from a file, and creates a missing one. An empty path keeps the vectors in
// memory. It drops the contents of a file that is broken or belongs to another model, and returns the reason beside
// the Store.
func Open(path, model string) (s *Store, anew string, err error) {
	s = &Store{texts: map[uint64]*text{}, documents: map[string]uint64{}}
	if path == "" {
		return s, "", nil
	}
	s.file, anew, err = openFile(path, model)
	if err != nil {
		return nil, "", err
	}
	err = s.file.read(func(hash uint64, v []float32) {
		if s.dim == 0 {
			s.dim = len(v)
		}
		if len(v) == s.dim {
			s.texts[hash] = &text{vector: v}
		}
	})
	if err != nil {
		return nil, "", errors.Join(err, s.file.close())
	}
	return s, anew, nil
}

// Has tells whether a text has a vector.
func (s *Store) Has(hash uint64) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.texts[hash] != nil
}

// Len returns how many documents have a vector, and its dimension.
func (s *Store) Len() (documents, dimension int) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.documents), s.dim
}

// Add keeps vectors by the hash of their texts, all or none. It blocks until they are on disk.
func (s *Store) Add(vectors map[uint64][]float32) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	dim := s.dim
	for _, v := range vectors {
		if dim == 0 {
			dim = len(v)
		}
		if len(v) != dim {
			return fmt.Errorf("%w: %d numbers, those that are kept have %d", ErrDimension, len(v), dim)
		}
	}
	if s.file != nil {
		if err := s.file.put(vectors); err != nil {
			return err
		}
	}
	s.dim = dim
	for hash, v := range vectors {
		if s.texts[hash] == nil {
			s.texts[hash] = &text{vector: v}
		}
	}
	return nil
}

// Assign sets the texts of documents, and names the documents that are gone. A text without a vector counts as
// none. It blocks until the vectors that no document needs are off the disk.
func (s *Store) Assign(texts map[string]uint64, gone []string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var unused []uint64
	for key, hash := range texts {
		if old, held := s.documents[key]; held && old == hash {
			continue
		}
		released := s.release(key)
		if t := s.texts[hash]; t != nil {
			t.used++
			s.documents[key] = hash
		}
		unused = append(unused, released...)
	}
	for _, key := range gone {
		unused = append(unused, s.release(key)...)
	}
	// One document may give up a text that another takes in the same call.
	unused = slices.DeleteFunc(unused, func(hash uint64) bool { return s.texts[hash].used > 0 })
	return s.forget(unused)
}

// release takes a document's text away. It returns the text's hash if no other document has that text.
func (s *Store) release(key string) []uint64 {
	hash, held := s.documents[key]
	if !held {
		return nil
	}
	delete(s.documents, key)
	t := s.texts[hash]
	if t.used--; t.used > 0 {
		return nil
	}
	return []uint64{hash}
}

func (s *Store) forget(hashes []uint64) error {
	for _, h := range hashes {
		delete(s.texts, h)
	}
	if s.file == nil || len(hashes) == 0 {
		return nil
	}
	return s.file.drop(hashes)
}

// Prune forgets the vectors that no document needs, such as those of documents that went while the file was closed.
func (s *Store) Prune() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var unused []uint64
	for hash, t := range s.texts {
		if t.used == 0 {
			unused = append(unused, hash)
		}
	}
	return s.forget(unused)
}

// Reset forgets all vectors, and their dimension.
func (s *Store) Reset() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dim = 0
	s.texts, s.documents = map[uint64]*text{}, map[string]uint64{}
	if s.file == nil {
		return nil
	}
	return s.file.clear()
}

// Nearest returns the n documents that are nearest to a vector of length 1, the nearest first. No document is near
// to a vector of another dimension. Documents that accept refuses are left out; nil accepts all.
func (s *Store) Nearest(question []float32, n int, accept func(key string) bool) []Match {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if len(question) != s.dim || n < 1 {
		return nil
	}
	cosines := make(map[uint64]float32, len(s.texts))
	best := make([]Match, 0, 2*n)
	least := float32(math.Inf(-1)) // a document below it cannot be among the best
	for key, hash := range s.documents {
		cosine, known := cosines[hash]
		if !known {
			cosine = dot(question, s.texts[hash].vector)
			cosines[hash] = cosine
		}
		if cosine < least || accept != nil && !accept(key) {
			continue
		}
		best = append(best, Match{key, cosine})
		if len(best) == cap(best) {
			best = keepBest(best, n)
			least = best[n-1].Cosine
		}
	}
	return keepBest(best, n)
}

// keepBest sorts and cuts.
func keepBest(all []Match, n int) []Match {
	slices.SortFunc(all, func(a, b Match) int {
		return cmp.Or(cmp.Compare(b.Cosine, a.Cosine), cmp.Compare(a.Key, b.Key))
	})
	return all[:min(n, len(all))]
}

func dot(a, b []float32) float32 {
	var s0, s1, s2, s3 float32 // four sums, which the processor can add at once
	b = b[:len(a)]
	i := 0
	for ; i+4 <= len(a); i += 4 {
		s0 += a[i] * b[i]
		s1 += a[i+1] * b[i+1]
		s2 += a[i+2] * b[i+2]
		s3 += a[i+3] * b[i+3]
	}
	for ; i < len(a); i++ {
		s0 += a[i] * b[i]
	}
	return s0 + s1 + s2 + s3
}

// Close releases the file.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file == nil {
		return nil
	}
	err := s.file.close()
	s.file = nil
	return err
}
