package watch

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// reportEvery is how often a change of what fails is logged at most, so that a restart of the API server, which every
// type notices, is one line or none.
const reportEvery = 10 * time.Second

// report waits for ctx's end. Meanwhile it calls OnSettled once and logs what fails, on the edge.
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

// reportFailing logs what fails if it differs from before, and returns it.
func (m *Manager) reportFailing(before []string) []string {
	const most = 10 // entries in a line; the status has them all
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

// reportUnreadable names what is in no namespace and may not be read, if it differs from before, and returns it.
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
