package resync

import "github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"

// cursor remembers how far a list has come, as two names. API servers list in the order of namespace/name. If one
// does not, a list that is begun again is read from its start.
type cursor struct {
	last     string // of the list under way
	reached  string // by any of the lists before
	unsorted bool
	moved    bool // the list under way has got beyond reached
}

// seen takes the next record and tells whether an earlier list had reached it. An object that was not current
// then is still not current, or the watch brings it.
func (c *cursor) seen(r resource.Record) bool {
	k := r.Namespace + "/" + r.Name
	c.unsorted = c.unsorted || k < c.last
	c.last = k
	if k <= c.reached {
		return true
	}
	c.moved = true
	return false
}

// again begins another list. It tells whether the last list came further than the earlier ones.
func (c *cursor) again() (moved bool) {
	moved = c.moved
	if !c.unsorted {
		c.reached = max(c.reached, c.last)
	} else {
		c.reached = ""
	}
	c.last, c.moved = "", false
	return moved
}
