package inventory

import (
	"bufio"
	"compress/flate"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"

	"github.com/cespare/xxhash/v2"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/guard"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

// Inventory is an open inventory that was found intact. Replacing or removing the file does not change it.
type Inventory struct {
	file  *os.File
	size  int64
	meta  Meta
	types []section
}

// Open reads and checks the inventory in a directory. Want says to which cluster and ring it must belong; Open
// ignores its time. It fails with [fs.ErrNotExist] where there is none, with [ErrCorrupt], [ErrForeign],
// [ErrFormat] or [ErrTooLarge] for a file that must not be believed, and with another error when the disk fails.
// It blocks until it has read the file twice, 0.13 s for a million objects. The caller closes the result.
func Open(dir string, want Meta, limits Limits) (*Inventory, error) {
	if err := want.check(); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, fileName)
	info, err := os.Lstat(path) // a pipe would block the opener
	if err != nil {
		return nil, fmt.Errorf("opening inventory: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("opening inventory %s: %w: it is no regular file", path, ErrCorrupt)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("opening inventory: %w", err)
	}
	inv, err := load(f, want, limits.withDefaults())
	if err != nil {
		return nil, errors.Join(fmt.Errorf("opening inventory %s: %w", path, err), f.Close())
	}
	return inv, nil
}

func load(f *os.File, want Meta, limits Limits) (*Inventory, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	t, err := decode(f, info.Size(), limits)
	if err != nil {
		return nil, err
	}
	if t.Cluster != want.Cluster {
		return nil, fmt.Errorf("%w: it is of cluster %.64q, want %q", ErrForeign, t.Cluster, want.Cluster)
	}
	if t.Ring != want.Ring {
		return nil, fmt.Errorf("%w: it is of ring %.64q, want %q", ErrForeign, t.Ring, want.Ring)
	}
	return &Inventory{file: f, size: info.Size(), types: t.Types, meta: Meta{Cluster: t.Cluster, Ring: t.Ring, Written: t.Written}}, nil
}

// decode checks everything that can be checked in a file of that size, and returns its table.
func decode(r io.ReaderAt, size int64, limits Limits) (table, error) {
	if size > limits.FileBytes {
		return table{}, fmt.Errorf("%w: %d bytes, want at most %d", ErrTooLarge, size, limits.FileBytes)
	}
	if err := checkHeader(r); err != nil {
		return table{}, err
	}
	start := int64(len(magic + version))
	if size < start+footerBytes {
		return table{}, fmt.Errorf("%w: it ends after %d bytes", ErrCorrupt, size)
	}
	if err := checkSum(r, size); err != nil {
		return table{}, err
	}
	t, end, err := readTable(r, start, size)
	if err != nil {
		return table{}, err
	}
	if err := t.check(start, end, limits); err != nil {
		return table{}, err
	}
	for _, s := range t.Types {
		if err := s.scan(r, func([]byte) bool { return true }); err != nil {
			return table{}, err
		}
	}
	return t, nil
}

func checkHeader(r io.ReaderAt) error {
	header := make([]byte, len(magic+version))
	n, err := r.ReadAt(header, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("reading header: %w", err)
	}
	switch header = header[:n]; {
	case len(header) < len(magic) || string(header[:len(magic)]) != magic:
		return fmt.Errorf("%w: it does not begin as one", ErrCorrupt)
	case string(header[len(magic):]) != version:
		return fmt.Errorf("%w: %q, want %q", ErrFormat, header[len(magic):], version)
	}
	return nil
}

// checkSum reads the whole file.
func checkSum(r io.ReaderAt, size int64) error {
	sum := xxhash.New()
	if n, err := io.Copy(sum, io.NewSectionReader(r, 0, size-8)); err != nil {
		return fmt.Errorf("reading: %w", err)
	} else if n != size-8 {
		return fmt.Errorf("%w: it became shorter", ErrCorrupt)
	}
	var want [8]byte
	if _, err := r.ReadAt(want[:], size-8); err != nil {
		return fmt.Errorf("reading checksum: %w", err)
	}
	if binary.BigEndian.Uint64(want[:]) != sum.Sum64() {
		return fmt.Errorf("%w: its checksum is wrong", ErrCorrupt)
	}
	return nil
}

func readTable(r io.ReaderAt, start, size int64) (t table, at int64, err error) {
	var footer [8]byte
	if _, err := r.ReadAt(footer[:], size-footerBytes); err != nil {
		return table{}, 0, fmt.Errorf("reading footer: %w", err)
	}
	place := binary.BigEndian.Uint64(footer[:])
	if place < uint64(start) || place > uint64(size-footerBytes) {
		return table{}, 0, fmt.Errorf("%w: its table is at %d", ErrCorrupt, place)
	}
	at = int64(place)
	if n := size - footerBytes - at; n > maxTableBytes {
		return table{}, 0, fmt.Errorf("%w: a table of %d bytes, want at most %d", ErrTooLarge, n, maxTableBytes)
	}
	text := make([]byte, size-footerBytes-at)
	if _, err := r.ReadAt(text, at); err != nil {
		return table{}, 0, fmt.Errorf("reading table: %w", err)
	}
	if err := json.Unmarshal(text, &t); err != nil {
		return table{}, 0, fmt.Errorf("%w: its table is no JSON of ours: %w", ErrCorrupt, err)
	}
	return t, at, nil
}

// check tells whether the sections fill the file between two offsets, and stay within the limits.
func (t table) check(start, end int64, limits Limits) error {
	names := int64(0)
	for i, s := range t.Types {
		switch {
		case i > 0 && resource.CompareTypes(t.Types[i-1].typ(), s.typ()) >= 0:
			return fmt.Errorf("%w: types out of order", ErrCorrupt)
		case s.Offset != start || s.Bytes < 0 || s.Bytes > end-start:
			return fmt.Errorf("%w: the section of %.64q is not where it should be", ErrCorrupt, s.typ())
		case s.Names < 0 || s.Names > limits.NameBytes-names:
			return fmt.Errorf("%w: more than %d bytes of names", ErrTooLarge, limits.NameBytes)
		case s.Objects < 0 || int64(s.Objects) > s.Names/3: // two lengths and a byte for each
			return fmt.Errorf("%w: %d objects of type %.64q in %d bytes", ErrCorrupt, s.Objects, s.typ(), s.Names)
		}
		start += s.Bytes
		names += s.Names
	}
	if start != end {
		return fmt.Errorf("%w: %d bytes belong to no type", ErrCorrupt, end-start)
	}
	return nil
}

// scan calls f with each name until f returns false. The name is valid during the call. The longest name bounds
// the allocations, whatever the section holds; s.Names bounds what is read.
func (s section) scan(r io.ReaderAt, f func(name []byte) bool) error {
	deflated := bufio.NewReaderSize(io.NewSectionReader(r, s.Offset, s.Bytes), 16<<10)
	inflated := &io.LimitedReader{R: flate.NewReader(deflated), N: s.Names + 1}
	in := bufio.NewReaderSize(inflated, 16<<10)
	var name []byte
	var err error
	for range s.Objects {
		if name, err = nextName(in, name); err != nil {
			return s.bad(err)
		}
		if !f(name) {
			return nil
		}
	}
	if _, err := in.ReadByte(); !errors.Is(err, io.EOF) {
		return s.bad(errors.Join(errMore, err))
	}
	if _, err := deflated.ReadByte(); !errors.Is(err, io.EOF) || inflated.N != 1 {
		return s.bad(errMore)
	}
	return nil
}

var (
	errMore  = errors.New("its names do not end where they should")
	errOrder = errors.New("its names are malformed or out of order")
)

// bad turns the cause that stopped a scan, the disk or the content, into an error.
func (s section) bad(err error) error {
	if path := (*os.PathError)(nil); errors.As(err, &path) {
		return fmt.Errorf("reading section of %s: %w", s.typ(), err)
	}
	return fmt.Errorf("%w: section of %.64q: %w", ErrCorrupt, s.typ(), err)
}

// nextName reads the name that follows another, into the same memory.
func nextName(in *bufio.Reader, before []byte) ([]byte, error) {
	shared, err := binary.ReadUvarint(in)
	if err != nil {
		return nil, err
	}
	more, err := binary.ReadUvarint(in)
	if err != nil {
		return nil, err
	}
	if shared > uint64(len(before)) || more == 0 || more > maxNameBytes-shared {
		return nil, errOrder
	}
	next := byte(0) // the byte that has to be exceeded
	after := shared < uint64(len(before))
	if after {
		next = before[shared]
	}
	name := slices.Grow(before[:shared], int(more))[:shared+more]
	if _, err := io.ReadFull(in, name[shared:]); err != nil {
		return nil, err
	}
	if after && name[shared] <= next {
		return nil, errOrder
	}
	return name, nil
}

// Close ends the use of the file. Iterations that go on fail.
func (inv *Inventory) Close() error { return inv.file.Close() }

// Meta returns the description of the inventory.
func (inv *Inventory) Meta() Meta { return inv.meta }

// Bytes is the size of the file.
func (inv *Inventory) Bytes() int64 { return inv.size }

// Types returns the data of each type, in the order of [resource.CompareTypes].
func (inv *Inventory) Types() []TypeInfo {
	infos := make([]TypeInfo, len(inv.types))
	for i, s := range inv.types {
		infos[i] = s.info()
	}
	return infos
}

// Objects yields the objects of a type, none for a type that is not in the inventory. It reads them from the file
// each time. An error, which it yields last, says that the disk has failed since the inventory was opened: the
// objects yielded before are not all.
func (inv *Inventory) Objects(t resource.Type) iter.Seq2[guard.Object, error] {
	return func(yield func(guard.Object, error) bool) {
		for name, err := range inv.names(t) {
			if !yield(objectOf(name), err) {
				return
			}
		}
	}
}

func (inv *Inventory) find(t resource.Type) (section, bool) {
	i := slices.IndexFunc(inv.types, func(s section) bool { return s.typ() == t })
	if i < 0 {
		return section{}, false
	}
	return inv.types[i], true
}

// names yields the written names; an error ends them.
func (inv *Inventory) names(t resource.Type) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		s, ok := inv.find(t)
		if !ok {
			return
		}
		stopped := false
		err := s.scan(inv.file, func(name []byte) bool {
			stopped = !yield(string(name), nil)
			return !stopped
		})
		if err != nil && !stopped {
			yield("", err)
		}
	}
}
