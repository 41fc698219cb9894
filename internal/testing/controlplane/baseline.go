package controlplane

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"golang.org/x/sync/errgroup"
)

const (
	// registry begins the keys of all objects in etcd.
	registry = "/registry/"
	// tooMuch is the number of objects from which a new API server is cheaper, and smaller, than one that has seen
	// them deleted.
	tooMuch = 5_000
	// atOnce is how many requests a restoration makes at once.
	atOnce = 16
	// settleTimeout bounds the wait until an API server is at rest.
	settleTimeout = 15 * time.Second
)

// beats are the prefixes of keys that a running API server writes by the clock, as heartbeats. No test writes them.
var beats = []string{
	registry + "leases/kube-system/apiserver-",
	registry + "peerserverleases/",
	registry + "masterleases/",
}

// Definitions come last, so that each object goes while its type is served. A ClusterIP goes when the API server has
// no Service with it any more; else the API server would give it back.
const (
	definitions = registry + "apiextensions.k8s.io/customresourcedefinitions/"
	apiServices = registry + "apiregistration.k8s.io/apiservices/"
	ipAddresses = registry + "ipaddresses/"
)

// automanaged marks APIServices that the API server makes, and takes back, for the types that it serves itself.
var automanaged = []byte("kube-aggregator.kubernetes.io/automanaged")

// objects are the objects in etcd, as the API server has encoded them, by key.
type objects map[string][]byte

// baseline is the state of a control plane just after its API server has started.
type baseline struct {
	stored objects
	types  types
	listed listing
}

// errTooMuch says that a control plane holds too many objects to delete them one by one.
var errTooMuch = errors.New("it holds too many objects")

func readObjects(ctx context.Context, client *clientv3.Client) (objects, error) {
	count, err := client.Get(ctx, registry, clientv3.WithPrefix(), clientv3.WithCountOnly())
	if err != nil {
		return nil, fmt.Errorf("counting what etcd holds: %w", err)
	}
	if count.Count > tooMuch {
		return nil, errTooMuch
	}
	all, err := client.Get(ctx, registry, clientv3.WithPrefix())
	if err != nil {
		return nil, fmt.Errorf("reading etcd: %w", err)
	}
	o := make(objects, len(all.Kvs))
	for _, kv := range all.Kvs {
		key := string(kv.Key)
		if !slices.ContainsFunc(beats, func(b string) bool { return strings.HasPrefix(key, b) }) {
			o[key] = kv.Value
		}
	}
	return o, nil
}

// difference is the difference of two states of etcd: the objects that one has beyond the other, and the objects of
// the other that are missing or changed.
type difference struct {
	foreign objects
	missing objects
}

// differ compares the present state with the wanted one.
func differ(got, want objects) difference {
	d := difference{foreign: make(objects), missing: make(objects)}
	for key, value := range got {
		if _, ok := want[key]; !ok {
			d.foreign[key] = value
		}
	}
	for key, value := range want {
		if had, ok := got[key]; !ok || !bytes.Equal(had, value) {
			d.missing[key] = value
		}
	}
	return d
}

func (d difference) empty() bool { return len(d.foreign) == 0 && len(d.missing) == 0 }

// String names a few of the keys.
func (d difference) String() string {
	const few = 5
	foreign, missing := slices.Sorted(maps.Keys(d.foreign)), slices.Sorted(maps.Keys(d.missing))
	return fmt.Sprintf("%d objects too many %q, %d missing or changed %q",
		len(foreign), foreign[:min(few, len(foreign))], len(missing), missing[:min(few, len(missing))])
}

// takeBaseline waits until an API server that has just started has made all of its own objects, and returns them. It
// runs before any other write. An object that came later would be deleted before every test but the first.
func takeBaseline(ctx context.Context, client *clientv3.Client, api *viewer) (*baseline, error) {
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	var b baseline
	err := poll(ctx, func() error {
		before := b
		var err error
		if b.stored, err = readObjects(ctx, client); err != nil {
			return err
		}
		if b.types, err = api.types(ctx); err != nil {
			return err
		}
		if d := differ(b.stored, before.stored); !d.empty() || !b.types.equals(before.types) {
			return fmt.Errorf("it still changes: %s", d)
		}
		if err := api.complete(ctx, b.stored); err != nil {
			return err
		}
		b.listed, err = api.list(ctx, b.types.paths)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &b, nil
}

// restore puts a control plane back. First it restores the objects in etcd, in a few passes, because the API server
// changes some of them. Then it waits until the API server shows the same objects.
func (b *baseline) restore(ctx context.Context, client *clientv3.Client, api *viewer) error {
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	return poll(ctx, func() error {
		d, err := b.changed(ctx, client)
		if err != nil {
			return err
		}
		if !d.empty() {
			if err := d.undo(ctx, client, api); err != nil {
				return err
			}
			return fmt.Errorf("etcd: %s", d) // the next pass looks again
		}
		served, err := api.types(ctx)
		if err != nil {
			return err
		}
		if !served.equals(b.types) {
			return errors.New("the types that are served differ")
		}
		foreign, err := api.foreignSchemas(ctx, b.types.groups)
		if err != nil {
			return err
		}
		if len(foreign) > 0 {
			return fmt.Errorf("there are schemas of what is served no longer: %q", foreign)
		}
		listed, err := api.list(ctx, b.types.paths)
		if err != nil {
			return err
		}
		if err := listed.equals(b.listed); err != nil {
			return err
		}
		// This shows objects that the API server has written meanwhile.
		if d, err = b.changed(ctx, client); err == nil && !d.empty() {
			err = fmt.Errorf("etcd: %s", d)
		}
		return err
	})
}

// changed returns the difference between etcd and the baseline.
func (b *baseline) changed(ctx context.Context, client *clientv3.Client) (difference, error) {
	now, err := readObjects(ctx, client)
	if err != nil {
		return difference{}, err
	}
	return differ(now, b.stored), nil
}

// undo deletes foreign objects and writes missing ones back. Each object is a revision of its own, as when the API
// server writes: the API server does not expect a revision that changes several objects.
func (d difference) undo(ctx context.Context, client *clientv3.Client, api *viewer) error {
	var first, last []string
	for key, value := range d.foreign {
		switch {
		case strings.HasPrefix(key, apiServices) && bytes.Contains(value, automanaged):
			// It goes with its definition.
		case strings.HasPrefix(key, definitions), strings.HasPrefix(key, apiServices), strings.HasPrefix(key, ipAddresses):
			last = append(last, key)
		default:
			first = append(first, key)
		}
	}
	if err := deleteAll(ctx, client, first); err != nil {
		return err
	}
	group, within := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for key, value := range d.missing {
		group.Go(func() error {
			_, err := client.Put(within, key, string(value))
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return fmt.Errorf("writing to etcd: %w", err)
	}
	if len(last) == 0 {
		return nil
	}
	// A consistent list: the API server has seen that the Services are gone.
	if _, err := api.listOne(ctx, "api/v1/services"); err != nil {
		return err
	}
	return deleteAll(ctx, client, last)
}

func deleteAll(ctx context.Context, client *clientv3.Client, keys []string) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for _, key := range keys {
		group.Go(func() error {
			_, err := client.Delete(ctx, key)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return fmt.Errorf("deleting from etcd: %w", err)
	}
	return nil
}

// poll calls f until it returns nil, with a pause after each failure. It gives up with the context, or on
// [errTooMuch], and returns the last failure.
func poll(ctx context.Context, f func() error) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		amiss := f()
		if amiss == nil || errors.Is(amiss, errTooMuch) {
			return amiss
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ctx.Err(), amiss)
		}
	}
}
