package access

import (
	"context"
	"time"
)

const (
	// first is how long after one question the next one follows; it doubles up to what the caller says.
	first = time.Second
	// Often and Rarely are how long the pause between two questions gets: for what somebody waits for, and
	// for what nobody expects to be allowed.
	Often, Rarely = 30 * time.Second, 10 * time.Minute
)

// Wait asks for a right until it is given, or there is no answer: then the request itself meets whatever is
// wrong. It tells refused once when it is not given. It returns the error of ctx when that ends before.
func Wait(ctx context.Context, may func(context.Context) (bool, error), most time.Duration, refused func()) error {
	for pause, told := first, false; ; pause = min(2*pause, most) {
		allowed, err := may(ctx)
		switch {
		case ctx.Err() != nil:
			return ctx.Err() // The caller knows what is ending.
		case err != nil || allowed:
			return nil //nolint:nilerr // Without an answer the request itself meets whatever is wrong.
		case !told:
			told = true
			refused()
		}
		select {
		case <-ctx.Done():
			return ctx.Err() // The caller knows what is ending.
		case <-time.After(pause):
		}
	}
}
