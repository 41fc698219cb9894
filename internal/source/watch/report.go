package watch

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// reportEvery is the least time between two messages about failing types. A restart of the API server, which
// makes all types fail, is logged once or not at all.
const reportEvery = 10 * time.Second

// report blocks until ctx ends. Meanwhile it calls OnSettled once, and logs changes of the set of failing types.
func (m *Manager) report(ctx context.Context) {
	tick := time.NewTicker(reportEvery)
	defer tick.Stop()
	settled, failing, unreadable := false, []string(nil), []string(nil)
	for {
		select {
		case <-ctx.Done():
			return
		case <-m.changed:
			if !settled && m.Settled() {
				settled = true
				m.opts.Log.Info("Every resource has been listed or has failed")
				unreadable = m.reportUnreadable(unreadable)
				if m.opts.OnSettled != nil {
					m.opts.OnSettled()
				}
			}
		case <-tick.C:
			failing, unreadable = m.reportFailing(failing), m.reportUnreadable(unreadable)
		}
	}
}

// reportFailing logs the failing types if they differ from before, and returns them.
func (m *Manager) reportFailing(before []string) []string {
	const most = 10 // entries in a message; the status has all of them
	var now []string
	for _, s := range m.statuses(func(p Phase) bool { return p == Failing }) {
		now = append(now, fmt.Sprintf("%s: %s", s.Type, s.Reason))
	}
	switch {
	case slices.Equal(before, now):
	case len(now) == 0:
		m.opts.Log.Info("All resources can be read again")
	default:
		m.opts.Log.Info("Some resources cannot be read", "count", len(now), "resources", now[:min(most, len(now))])
	}
	return now
}

// reportUnreadable logs the Unreadable types if they differ from before, and returns them.
func (m *Manager) reportUnreadable(before []string) []string {
	var now []string
	for _, s := range m.statuses(func(p Phase) bool { return p == Unreadable }) {
		now = append(now, s.Type.String())
	}
	if len(now) > 0 && !slices.Equal(before, now) {
		m.opts.Log.Info("Resources of no namespace are left out, for they take rights in the whole cluster", "count", len(now), "resources", now)
	}
	return now
}
