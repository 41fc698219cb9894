package resync

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-logr/logr"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/watch"
)

// Evictor has objects whose bodies it dropped to save memory; [pipeline.Pipeline] is one.
type Evictor interface {
	// Evicted returns the types of these objects, and whether one of a type needs an exact list.
	Evicted() map[resource.Type]bool
	Fill(t resource.Type, r resource.Record, exact bool)
	Room(ctx context.Context) error
	FlushBulk()
}

// Filler gives the evicted objects of one target their bodies back.
type Filler struct {
	Lister  Lister
	Catalog Catalog
	Target  Evictor
	Log     logr.Logger
}

// These are the interval between checks for evicted objects, and the wait after a failed list. Both only delay
// objects that had to wait for memory anyway.
const (
	fillInterval = time.Second
	fillPause    = 10 * time.Second
)

// Run fills until ctx ends.
func (f *Filler) Run(ctx context.Context) error {
	wait := fillInterval
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
		wait = fillInterval
		for t, exact := range f.Target.Evicted() {
			if err := f.fill(ctx, t, exact); err != nil && ctx.Err() == nil {
				f.Log.Error(err, "Objects without metadata could not be read again", "resource", t.String())
				wait = fillPause
			}
		}
	}
}

func (f *Filler) fill(ctx context.Context, t resource.Type, exact bool) error {
	if err := f.Target.Room(ctx); err != nil {
		return fmt.Errorf("waiting for the receiver: %w", err)
	}
	_, err := f.Lister.Pages(ctx, t, watch.ListOptions{Inexact: !exact}, func(rs []resource.Record) error {
		for _, r := range rs {
			f.Catalog.IfCurrent(t, r, func() { f.Target.Fill(t, r, exact) })
		}
		return f.Target.Room(ctx) // before the next page is requested
	})
	f.Target.FlushBulk()
	if err != nil && !errors.Is(err, watch.ErrExpired) { // Objects that an expired list did not reach stay evicted.
		return fmt.Errorf("listing %s: %w", t, err)
	}
	return nil
}
