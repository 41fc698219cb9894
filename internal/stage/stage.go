package stage

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"
)

// Stage is a set of parts that stop together.
type Stage struct {
	ctx    context.Context
	cancel context.CancelFunc
	group  errgroup.Group
	fail   context.CancelCauseFunc
}

// New returns a stage whose parts' errors go to fail.
func New(fail context.CancelCauseFunc) *Stage {
	s := &Stage{fail: fail}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

// Start runs a part, which must return soon after its context ends. Its error stops the whole replica.
func (s *Stage) Start(name string, run func(context.Context) error) {
	s.group.Go(func() error {
		if err := run(s.ctx); err != nil {
			s.fail(fmt.Errorf("%s: %w", name, err))
		}
		return nil
	})
}

// Stop ends the parts and waits for them.
func (s *Stage) Stop() {
	s.cancel()
	_ = s.group.Wait() // Errors went to fail.
}
