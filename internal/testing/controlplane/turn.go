package controlplane

import (
	"context"
	"sync/atomic"
	"time"
)

// turn is what one test has to know of itself on a control plane that others have used before: where its own time
// begins, and whether it has left more than can be put back. It is zero for a control plane of its own.
type turn struct {
	// revision is the last one of etcd before it.
	revision atomic.Int64
	// audited is how much of the audit log is older.
	audited atomic.Int64
	// began is when it began, in nanoseconds since 1970.
	began atomic.Int64
	// spent is set by what is done to the processes or to history, which no restoration undoes.
	spent atomic.Bool
}

func (t *turn) spend() { t.spent.Store(true) }

// begin has a new turn begin.
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
