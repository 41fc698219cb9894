package inventory

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

// Source provides the content of an inventory.
type Source interface {
	// Generation changes whenever an object that Types would name appears. It need not change when one goes: a
	// name too many in the inventory costs one needless deletion.
	Generation() uint64
	// Types yields the types that have a complete list, in the order of [resource.CompareTypes]. The names of a
	// type are the objects that a receiver may hold: every known object, and also every object whose deletion is
	// not acknowledged, since a crash would lose that deletion. Version and objects must be of one moment, and
	// the pending deletions must be collected after it, so that an object that is deleted in between is in one of
	// the two.
	Types() iter.Seq[TypeSnapshot]
}

// WriterOptions are the settings of a [Writer].
type WriterOptions struct {
	// Interval is how often the inventory is written, when something changed. Zero means 60 s. An object that was
	// created within the last interval before a crash, and deleted before the next start, leaves its document
	// behind.
	Interval time.Duration
	// StopTimeout bounds the last write. Zero means 10 s.
	StopTimeout time.Duration
	// Before is the inventory of the previous process, nil for none. The writer closes it.
	Before *Inventory
	// Log takes the beginning and the end of trouble with writing.
	Log logr.Logger
	// Registerer takes the metrics. Nil means none.
	Registerer prometheus.Registerer
}

// Writer writes an inventory again and again. Create it with [NewWriter].
type Writer struct {
	dir     string
	meta    Meta
	source  Source
	opts    WriterOptions
	disk    disk
	metrics *metrics

	mu        sync.Mutex // guards the fields below
	unsettled map[resource.Type]bool
	settled   uint64 // counts settlements

	// Only Run uses the fields below.
	written bool // by this process
	failing bool
	last    [2]uint64 // generation and settlements at the last write
}

// NewWriter returns a writer of the inventory in a directory. It ignores the time of meta.
func NewWriter(dir string, meta Meta, source Source, opts WriterOptions) (*Writer, error) {
	if err := meta.check(); err != nil {
		return nil, err
	}
	opts.Interval = cmp.Or(opts.Interval, time.Minute)
	opts.StopTimeout = cmp.Or(opts.StopTimeout, 10*time.Second)
	k := &Writer{dir: dir, meta: meta, source: source, opts: opts, metrics: newMetrics(opts.Registerer), unsettled: map[resource.Type]bool{}}
	if opts.Before != nil {
		for _, s := range opts.Before.types {
			k.unsettled[s.typ()] = true
		}
	}
	k.metrics.carried.Set(float64(len(k.unsettled)))
	return k, nil
}

// Settle says that the earlier inventory's names of some types are no longer needed: their deletions have been
// handed to the place from which the [Source] takes its pending deletions, or the type is no longer wanted. It
// does not block.
func (k *Writer) Settle(types ...resource.Type) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, t := range types {
		if k.unsettled[t] {
			delete(k.unsettled, t)
			k.settled++
		}
	}
	k.metrics.carried.Set(float64(len(k.unsettled)))
}

// Unsettled tells whether the writer still keeps the earlier inventory's names of a type.
func (k *Writer) Unsettled(t resource.Type) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.unsettled[t]
}

// Run writes the inventory every interval in which something changed, and once more when ctx ends. It never
// fails: it counts errors, logs the first and the recovery, and tries again. It is called once.
func (k *Writer) Run(ctx context.Context) error {
	if k.opts.Before != nil {
		defer k.opts.Before.Close()
	}
	tick := time.NewTicker(k.opts.Interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), k.opts.StopTimeout)
			k.keep(last)
			cancel()
			return nil
		case <-tick.C:
			k.keep(ctx)
		}
	}
}

// keep writes if anything has changed.
func (k *Writer) keep(ctx context.Context) {
	now := [2]uint64{k.source.Generation()} // before the names are read, so that a change in between is written again
	k.mu.Lock()
	now[1] = k.settled
	k.mu.Unlock()
	begun := time.Now()
	if k.written && now == k.last {
		k.metrics.upToDate(begun)
		return
	}
	meta := k.meta
	meta.Written = begun
	w, err := k.disk.write(ctx, k.dir, meta, k.types())
	if err != nil {
		if !errors.Is(ctx.Err(), context.Canceled) { // else the last write follows
			k.failed(err)
		}
		return
	}
	k.written, k.last = true, now
	k.metrics.wrote(w, time.Since(begun))
	k.metrics.upToDate(begun)
	if k.failing {
		k.failing = false
		k.opts.Log.Info("Inventory is written again", "bytes", w.Bytes, "objects", w.Objects)
	}
}

func (k *Writer) failed(err error) {
	k.metrics.errors.Inc()
	if k.failing {
		return
	}
	k.failing = true
	k.opts.Log.Error(err, "Inventory cannot be written; deletions that happen while no replica runs may be missed", "directory", k.dir)
}

// types yields the names of the source, and those of types in the earlier inventory that are not settled.
func (k *Writer) types() iter.Seq[namedType] {
	return func(yield func(namedType) bool) {
		carried := k.carried()
		for t := range k.source.Types() {
			for len(carried) > 0 && resource.CompareTypes(carried[0].typ(), t.Type) < 0 {
				if !yield(k.old(carried[0])) {
					return
				}
				carried = carried[1:]
			}
			n := namedType{typ: t.Type, version: t.Version, names: sure(t.Names)}
			if len(carried) > 0 && resource.CompareTypes(carried[0].typ(), t.Type) == 0 {
				// Otherwise its kind was renamed under one name, and only one of them has a place.
				if carried[0].typ() == t.Type {
					n.names = union(t.Names, k.old(carried[0]).names)
				}
				carried = carried[1:]
			}
			if !yield(n) {
				return
			}
		}
		for _, s := range carried {
			if !yield(k.old(s)) {
				return
			}
		}
	}
}

// carried returns the sections that are not settled.
func (k *Writer) carried() []section {
	k.mu.Lock()
	defer k.mu.Unlock()
	var carried []section
	if k.opts.Before != nil {
		for _, s := range k.opts.Before.types {
			if k.unsettled[s.typ()] {
				carried = append(carried, s)
			}
		}
	}
	return carried
}

// old is a type in the earlier inventory. If the file cannot be read any more, because the disk has failed, the type
// is settled, so that the next write succeeds without it.
func (k *Writer) old(s section) namedType {
	return namedType{typ: s.typ(), version: s.Version, names: func(yield func(string, error) bool) {
		for name, err := range k.opts.Before.names(s.typ()) {
			if err != nil {
				k.Settle(s.typ())
				err = fmt.Errorf("copying the names of %s from the earlier inventory: %w", s.typ(), err)
			}
			if !yield(name, err) {
				return
			}
		}
	}}
}

// union yields the names of two ascending sequences, ascending, each once.
func union(a iter.Seq[string], b iter.Seq2[string, error]) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		next, stop := iter.Pull2(b)
		defer stop()
		other, err, more := next()
		for name := range a {
			for more && err == nil && other < name {
				if !yield(other, nil) {
					return
				}
				other, err, more = next()
			}
			if err != nil {
				break
			}
			if more && other == name {
				other, err, more = next()
			}
			if !yield(name, nil) {
				return
			}
		}
		for more {
			if !yield(other, err) || err != nil {
				return
			}
			other, err, more = next()
		}
	}
}
