package access

import (
	"context"
	"time"
)

const (
	// first is the pause between the first two questions; it doubles up to the caller's bound.
	first = time.Second
	// Often and Rarely are bounds of the pause between two questions. Often is for a right that a caller waits for,
	// Rarely for a right that the account is not expected to have.
	Often, Rarely = 30 * time.Second, 10 * time.Minute
)

// Wait asks for a right until it is granted or may fails. If may fails, the request itself will meet the error.
// Wait calls refused once if the right is not granted. It returns the error of ctx if that ends first.
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
