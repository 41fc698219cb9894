package controlplane

import (
	"context"
	"sync/atomic"
	"time"
)

// turn is the data of one test on a control plane that others have used before: where its own time begins, and
// whether it has changed more than can be put back. It is zero for a control plane of its own.
type turn struct {
	// revision is the last revision of etcd before the turn.
	revision atomic.Int64
	// audited is how much of the audit log is older.
	audited atomic.Int64
	// began is when the turn began, in nanoseconds since 1970.
	began atomic.Int64
	// spent tells that the test has changed processes or history, which no restoration undoes.
	spent atomic.Bool
}

func (t *turn) spend() { t.spent.Store(true) }

// begin begins a new turn.
func (c *ControlPlane) begin(ctx context.Context) error {
	revision, err := c.Revision(ctx)
	if err != nil {
		return err
	}
	c.turn.revision.Store(revision)
	if c.opts.AuditLog {
		end, err := c.auditEnd()
		if err != nil {
			return err
		}
		c.turn.audited.Store(end)
	}
	c.turn.began.Store(time.Now().UnixNano())
	return nil
}
