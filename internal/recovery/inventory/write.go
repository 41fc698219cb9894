package inventory

import (
	"bufio"
	"compress/flate"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"syscall"

	"github.com/cespare/xxhash/v2"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

// TypeSnapshot is all objects of one type that a receiver may hold.
type TypeSnapshot struct {
	// Type is the type.
	Type resource.Type
	// Version is the resourceVersion up to which Names is complete: of the objects that existed at Version, Names
	// lacks only those that were deleted and whose deletion was acknowledged.
	Version uint64
	// Names yields each object once, ascending: namespace/name, or the name alone for a cluster-scoped one. The
	// writer calls it once, after it has written the types yielded earlier.
	Names iter.Seq[string]
}

// Written is the result of a call of [Write].
type Written struct {
	// Bytes is the size of the file.
	Bytes int64
	// Types and Objects are how many are in it.
	Types, Objects int
}

// Write replaces the inventory in a directory, which it creates if necessary. The types have to come in the order
// of [resource.CompareTypes]. After an error, or when the process or the machine ends in the middle, the earlier
// inventory is still there. Write blocks until the file is on the disk, and holds one name at a time.
func Write(ctx context.Context, dir string, meta Meta, types iter.Seq[TypeSnapshot]) (Written, error) {
	return disk{}.write(ctx, dir, meta, func(yield func(namedType) bool) {
		for t := range types {
			if !yield(namedType{typ: t.Type, version: t.Version, names: sure(t.Names)}) {
				return
			}
		}
	})
}

// namedType is a [TypeSnapshot] whose names may come from a file, hence may fail.
type namedType struct {
	typ     resource.Type
	version uint64
	names   iter.Seq2[string, error]
}

// sure makes a sequence of one that cannot fail.
func sure(names iter.Seq[string]) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for name := range names {
			if !yield(name, nil) {
				return
			}
		}
	}
}

// file is the destination of a write.
type file interface {
	io.WriteCloser
	Sync() error
}

// disk makes files. The zero value uses the operating system.
type disk struct {
	create func(path string) (file, error)
}

func (d disk) open(path string) (file, error) {
	if d.create != nil {
		return d.create(path)
	}
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
}

func (d disk) write(ctx context.Context, dir string, meta Meta, types iter.Seq[namedType]) (w Written, err error) {
	if err := meta.check(); err != nil {
		return Written{}, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return Written{}, fmt.Errorf("making directory of inventory: %w", err)
	}
	temp := filepath.Join(dir, tempName)
	if err := os.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) { // of a process that ended while writing
		return Written{}, fmt.Errorf("removing unfinished inventory: %w", err)
	}
	f, err := d.open(temp)
	if err != nil {
		return Written{}, fmt.Errorf("making inventory: %w", err)
	}
	w, err = encode(ctx, f, meta, types)
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(temp, filepath.Join(dir, fileName))
	}
	if err != nil {
		_ = os.Remove(temp) // The next call removes it, if need be.
		return Written{}, fmt.Errorf("writing inventory: %w", err)
	}
	if err := syncDir(dir); err != nil {
		return Written{}, fmt.Errorf("syncing directory of inventory: %w", err)
	}
	return w, nil
}

// syncDir makes a rename durable. Some file systems do not support that, and say so.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Sync(); err != nil && !errors.Is(err, syscall.EINVAL) && !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	return nil
}

// encoder writes one file.
type encoder struct {
	out     *bufio.Writer
	sum     *summer
	deflate *flate.Writer
	table   table
	names   int64 // bytes of names so far
	objects int
	scratch []byte
}

// summer counts the bytes that pass, and sums them up.
type summer struct {
	w   io.Writer
	sum *xxhash.Digest
	n   int64
}

// Write implements [io.Writer].
func (s *summer) Write(p []byte) (int, error) {
	n, err := s.w.Write(p)
	_, _ = s.sum.Write(p[:n]) // never fails
	s.n += int64(n)
	return n, err
}

func encode(ctx context.Context, w io.Writer, meta Meta, types iter.Seq[namedType]) (Written, error) {
	sum := &summer{w: w, sum: xxhash.New()}
	e := &encoder{
		sum: sum, out: bufio.NewWriterSize(sum, 64<<10),
		table: table{Cluster: meta.Cluster, Ring: meta.Ring, Written: meta.Written.UTC(), Types: []section{}},
	}
	var err error
	if e.deflate, err = flate.NewWriter(e.out, flate.BestSpeed); err != nil {
		return Written{}, err
	}
	if _, err := e.out.WriteString(magic + version); err != nil {
		return Written{}, err
	}
	for t := range types {
		if err := e.section(ctx, t); err != nil {
			return Written{}, err
		}
	}
	return e.finish()
}

// offset is where the next byte goes.
func (e *encoder) offset() int64 { return e.sum.n + int64(e.out.Buffered()) }

func (e *encoder) section(ctx context.Context, t namedType) error {
	if n := len(e.table.Types); n > 0 && resource.CompareTypes(e.table.Types[n-1].typ(), t.typ) >= 0 {
		return fmt.Errorf("types out of order: %s after %s", t.typ, e.table.Types[n-1].typ())
	}
	s := section{
		Group: t.typ.Group, APIVersion: t.typ.Version, Resource: t.typ.Resource, Kind: t.typ.Kind, Namespaced: t.typ.Namespaced, Within: t.typ.Within,
		Version: t.version, Offset: e.offset(),
	}
	e.deflate.Reset(e.out)
	before := ""
	for name, err := range t.names {
		if err != nil {
			return err
		}
		if s.Objects%4096 == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		n, err := e.name(before, name)
		if err != nil {
			return fmt.Errorf("type %s: %w", t.typ, err)
		}
		s.Objects++
		s.Names += int64(n)
		before = name
	}
	if err := e.deflate.Close(); err != nil {
		return err
	}
	s.Bytes = e.offset() - s.Offset
	e.names += s.Names
	e.objects += s.Objects
	e.table.Types = append(e.table.Types, s)
	if limits := (Limits{}).withDefaults(); e.offset() > limits.FileBytes || e.names > limits.NameBytes {
		return fmt.Errorf("%w: %d objects", ErrTooLarge, e.objects)
	}
	return ctx.Err()
}

// name writes the difference from the name before, and returns how many bytes that is.
func (e *encoder) name(before, name string) (int, error) {
	if name == "" || len(name) > maxNameBytes {
		return 0, fmt.Errorf("name of %d bytes, want 1 to %d", len(name), maxNameBytes)
	}
	if name <= before {
		return 0, fmt.Errorf("names out of order: %q after %q", name, before)
	}
	shared := 0
	for shared < len(before) && before[shared] == name[shared] {
		shared++
	}
	e.scratch = binary.AppendUvarint(e.scratch[:0], uint64(shared))
	e.scratch = binary.AppendUvarint(e.scratch, uint64(len(name)-shared))
	e.scratch = append(e.scratch, name[shared:]...)
	return e.deflate.Write(e.scratch)
}

func (e *encoder) finish() (Written, error) {
	at := e.offset()
	text, err := json.Marshal(e.table)
	if err != nil {
		return Written{}, fmt.Errorf("encoding table: %w", err)
	}
	if len(text) > maxTableBytes {
		return Written{}, fmt.Errorf("%w: a table of %d types", ErrTooLarge, len(e.table.Types))
	}
	_, _ = e.out.Write(binary.BigEndian.AppendUint64(text, uint64(at))) // Flush tells.
	if err := e.out.Flush(); err != nil {
		return Written{}, err
	}
	_, err = e.sum.w.Write(binary.BigEndian.AppendUint64(nil, e.sum.sum.Sum64()))
	return Written{Bytes: e.sum.n + 8, Types: len(e.table.Types), Objects: e.objects}, err
}
