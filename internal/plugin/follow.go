package plugin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/api"
)

const (
	// followPause is the time between two reads of an operation: short enough for a bar, and 1 % of the reads that a
	// replica grants.
	followPause = time.Second
	// followPatience is how long all replicas may be silent before a resync is followed no longer. A rollout takes
	// less time to bring a replica back.
	followPatience = 2 * time.Minute
	// startPatience is how long the start of a resync may take: longer than a replica's own bound.
	startPatience = 40 * time.Second
)

// errUnknownResync says that no replica knows the operation.
var errUnknownResync = errors.New("no replica knows this resync any more: those that ran it have restarted, and what it sent is sent; " +
	"look at kubectl vectordb-sync status, and start another one if need be")

// startResync asks any replica of the fleet. Asking a second one after a first that did not answer is safe, for
// equal requests are one resync.
func startResync(ctx context.Context, f *fleet, query url.Values) (api.Operation, *replica, error) {
	patient := *f
	patient.timeout = max(f.timeout, startPatience)
	return anyOf(ctx, &patient, func(ctx context.Context, r *replica) (api.Operation, error) {
		return ask[api.Operation](ctx, r, http.MethodPost, "/api/v1/resync?"+query.Encode())
	})
}

// follow reads an operation until it has finished, and shows each step. It returns the last state that it has seen.
// It also ends with ctx, with an error when no replica has answered for followPatience, and with
// [errUnknownResync].
func follow(ctx context.Context, f *fleet, first *replica, op api.Operation, show progress) (api.Operation, error) {
	show.update(op)
	defer show.end()
	heard := time.Now()
	for !op.Status.Finished() {
		select {
		case <-ctx.Done():
			return op, ctx.Err()
		case <-time.After(followPause):
		}
		now, err := readResync(ctx, f, first, op.ID)
		switch {
		case err == nil:
			op, heard = now, time.Now()
			show.update(op)
		case ctx.Err() != nil:
			return op, ctx.Err()
		case errors.Is(err, errUnknownResync):
			return op, err
		case time.Since(heard) > followPatience:
			return op, fmt.Errorf("following resync %s: %w", op.ID, err)
		}
	}
	return op, nil
}

// readResync asks the replica that was asked first, and then all others. Any of them may answer, but a replica that
// has just started does not know the operation.
func readResync(ctx context.Context, f *fleet, first *replica, id string) (api.Operation, error) {
	order := []*replica{first}
	for _, r := range f.replicas {
		if r != first {
			order = append(order, r)
		}
	}
	var (
		errs    []error
		unknown int
	)
	for _, r := range order {
		op, err := func() (api.Operation, error) {
			ctx, cancel := f.bounded(ctx)
			defer cancel()
			return get[api.Operation](ctx, r, "/api/v1/resync/"+url.PathEscape(id))
		}()
		if err == nil {
			return op, nil
		}
		var refused *answerError
		if errors.As(err, &refused) && refused.Code == http.StatusNotFound {
			unknown++
		}
		errs = append(errs, fmt.Errorf("%s: %w", r.name, err))
	}
	if unknown == len(order) {
		return api.Operation{}, errUnknownResync
	}
	return api.Operation{}, errors.Join(errs...)
}
