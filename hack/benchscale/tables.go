package main

import (
	"fmt"
	"slices"
	"time"
)

// table is one table of the document.
type table struct {
	about   string
	columns []string
	has     func(s scenario, all []measured) bool
	row     func(m measured, all []measured) []string
}

// fleet is the number of replicas from which a scenario concerns their requests to the API server.
const fleet = 10

var tables = []table{
	{
		"Memory and start of one replica. Seconds depend on the load, processor time by up to a third, memory hardly.",
		[]string{"Objects", "Runs, load", "At rest, MiB", "Peak of the start, MiB", "Processor time of the start, s", "Start until equal, s"},
		func(s scenario, _ []measured) bool { return s.Rate == 0 && s.Replicas == 1 },
		memoryRow,
	},
	{
		"Changes, one replica, 20,000 objects: `status` changes nothing at the receiver, all of `labels` is sent.",
		[]string{"Changes", "Runs, load", "Of a core", "An event, ms of processor time", "Sent", "Lag p50, s", "Lag p99, s"},
		func(s scenario, _ []measured) bool { return s.Rate > 0 && s.Replicas == 1 && s.plain() },
		churnRow,
	},
	{
		"Shares: all changes are sent, by one replica or another. The busiest replica bounds what a fleet can follow.",
		[]string{
			"Replicas", "Changes", "Runs, load", "Least and most of the objects, %", "Of a core, busiest",
			"An event, ms of processor time, busiest",
		},
		shared,
		sharesRow,
	},
	{
		"Scale out: each replica may have a few requests in flight, the receiver takes all at once, and more changes are offered than can be sent.",
		[]string{
			"Replicas", "Requests in flight, receiver", "Changes", "Runs, load", "Sent a second", "Times that of one",
			"Most of the objects, %", "Changes a second without a growing backlog", "Times that of one",
		},
		func(s scenario, _ []measured) bool { return s.InFlight > 0 },
		scaleRow,
	},
	{
		"Receivers that are slow or fail, one replica.",
		[]string{"Receiver", "Changes", "Runs, load", "Of a core", "Lag p50, s", "Lag p99, s", "Equal after the last change, s"},
		func(s scenario, _ []measured) bool { return s.InFlight == 0 && (s.Latency > 0 || s.Failures > 0) },
		receiverRow,
	},
	{
		"A receiver that is away, one replica.",
		[]string{"Objects, changes", "Load", "Away", "Objects that wait", "Memory before and at the end, MiB", "Bytes each", "Equal after its return, s"},
		func(s scenario, _ []measured) bool { return s.Away > 0 },
		awayRow,
	},
	{
		"Soak, one replica. Each figure is the median of the second tenth of the time and of the last.",
		[]string{"Changes", "Load", "Time", "Memory, MiB", "Goroutines", "File descriptors", "Threads", "Lag p99, s"},
		func(s scenario, _ []measured) bool { return s.Sample > 0 && s.Away == 0 },
		soakRow,
	},
	{
		"What a fleet asks of the API server, all replicas together. What watches of Leases bring goes by the square of the replicas.",
		[]string{
			"Replicas", "Changes", "Runs, load", "Memory of each, MiB", "Leases renewed a second", "Leases sent to watches, KiB/s",
			"ConfigMaps written a second", "KiB each",
		},
		func(s scenario, all []measured) bool { return s.Replicas >= fleet || shared(s, all) },
		fleetRow,
	},
}

// plain tells whether the receiver behaves, and the time is short.
func (s scenario) plain() bool {
	return s.Latency == 0 && s.Failures == 0 && s.Away == 0 && s.Sample == 0
}

func (s scenario) changes() string {
	return fmt.Sprintf("%s, %.0f/s for %s", s.Profile, s.Rate, short(s.For))
}

// short is a duration without zeros at its end.
func short(d time.Duration) string {
	if d >= time.Minute && d%time.Minute == 0 {
		return fmt.Sprintf("%d min", d/time.Minute)
	}
	return fmt.Sprintf("%g s", d.Seconds())
}

func memoryRow(m measured, _ []measured) []string {
	return []string{
		fmt.Sprint(m.Objects), m.counted(),
		m.spread("%.1f", func(r result) float64 { return r.Start.Rest }), m.spread("%.1f", func(r result) float64 { return r.Start.Peak }),
		m.spread("%.1f", func(r result) float64 { return r.Start.CPU }), m.spread("%.0f", func(r result) float64 { return r.Start.Took }),
	}
}

func churnRow(m measured, _ []measured) []string {
	lag := func(f func(*churned) float64) string {
		if m.Profile == "status" { // no change has to arrive
			return ""
		}
		return m.churn("%.1f", f)
	}
	return []string{
		m.changes(), m.counted(), m.churn("%.3f", func(c *churned) float64 { return c.CPU }),
		m.churn("%.3f", func(c *churned) float64 { return c.PerEvent }), m.churn("%.0f", func(c *churned) float64 { return float64(c.Upserts) }),
		lag(func(c *churned) float64 { return c.LagP50 }), lag(func(c *churned) float64 { return c.LagP99 }),
	}
}

// shared tells whether the same scenario was measured with another number of replicas.
func shared(s scenario, all []measured) bool {
	return s.Rate > 0 && s.plain() && s.Replicas < fleet && slices.ContainsFunc(all, func(m measured) bool {
		other := m.scenario
		other.Replicas = s.Replicas
		return other == s && m.Replicas != s.Replicas && m.Replicas < fleet
	})
}

func sharesRow(m measured, _ []measured) []string {
	busiest := func(r result) float64 { return r.Churn.PerEventBusiest }
	share := func(of func([]int) int) string {
		return m.churn("%.0f", func(c *churned) float64 {
			all := 0
			for _, n := range c.Shares {
				all += n
			}
			return 100 * float64(of(c.Shares)) / float64(max(1, all))
		})
	}
	return []string{
		fmt.Sprint(m.Replicas), m.changes(), m.counted(), share(slices.Min) + "; " + share(slices.Max),
		m.churn("%.3f", func(c *churned) float64 { return c.Busiest }), m.spread("%.3f", busiest),
	}
}

func scaleRow(m measured, all []measured) []string {
	times := func(f func(result) float64) string {
		one := m.scenario
		one.Replicas = 1
		i := slices.IndexFunc(all, func(o measured) bool { return o.scenario == one })
		if i < 0 || m.Replicas == 1 {
			return ""
		}
		alone := all[i].median(f)
		return m.spread("%.1f", func(r result) float64 { return f(r) / max(alone, 1e-9) })
	}
	largest := func(r result) float64 {
		sum := 0
		for _, n := range r.Churn.Owned {
			sum += n
		}
		return 100 * float64(slices.Max(r.Churn.Owned)) / float64(max(1, sum))
	}
	return []string{
		fmt.Sprint(m.Replicas), fmt.Sprintf("%d each, takes %s", m.InFlight, m.Latency), m.changes(), m.counted(),
		m.spread("%.0f", result.saturated), times(result.saturated), m.spread("%.0f", largest),
		m.spread("%.0f", result.follows), times(result.follows),
	}
}

func receiverRow(m measured, _ []measured) []string {
	behaves := ""
	if m.Latency > 0 {
		behaves = "takes " + m.Latency.String()
	}
	if m.Failures > 0 {
		behaves += fmt.Sprintf("fails %.0f %% of requests", 100*m.Failures)
	}
	return []string{
		behaves, m.changes(), m.counted(), m.churn("%.3f", func(c *churned) float64 { return c.CPU }),
		m.churn("%.1f", func(c *churned) float64 { return c.LagP50 }), m.churn("%.1f", func(c *churned) float64 { return c.LagP99 }),
		m.churn("%.1f", func(c *churned) float64 { return c.Drained }),
	}
}

func awayRow(m measured, _ []measured) []string {
	return []string{
		fmt.Sprintf("%d, %s", m.Objects, m.changes()), m.spread("%.0f", func(r result) float64 { return r.Load }), short(m.Away),
		m.churn("%.0f", func(c *churned) float64 { return float64(c.Waiting) }),
		m.spread("%.1f", func(r result) float64 { return r.Start.Rest }) + "; " + m.churn("%.1f", func(c *churned) float64 { return c.After }),
		m.spread("%.0f", func(r result) float64 {
			return (r.Churn.After - r.Start.Rest) * (1 << 20) / float64(max(1, r.Churn.Waiting))
		}),
		m.churn("%.0f", func(c *churned) float64 { return c.Drained }),
	}
}

func soakRow(m measured, _ []measured) []string {
	both := func(f func(sample) float64) string {
		middle := func(tenth int) string {
			return m.spread("%.0f", func(r result) float64 {
				n := len(r.Samples)
				var values []float64
				for _, s := range r.Samples[n*tenth/10 : n*(tenth+1)/10] {
					values = append(values, f(s))
				}
				slices.Sort(values)
				if len(values) == 0 {
					return 0
				}
				return values[len(values)/2]
			})
		}
		return middle(1) + "; " + middle(9)
	}
	return []string{
		m.changes(), m.spread("%.0f", func(r result) float64 { return r.Load }), short(m.For),
		both(func(s sample) float64 { return s.Resident }), both(func(s sample) float64 { return s.Goroutines }),
		both(func(s sample) float64 { return s.Files }), both(func(s sample) float64 { return s.Threads }),
		m.churn("%.1f", func(c *churned) float64 { return c.LagP99 }),
	}
}

func fleetRow(m measured, _ []measured) []string {
	of := func(format, key string, f func(traffic) float64) string {
		return m.churn(format, func(c *churned) float64 { return f(c.Traffic[key]) })
	}
	requests := func(t traffic) float64 { return t.Requests }
	const written = "PUT configmaps" // checkpoints, and what members tell each other beside them
	return []string{
		fmt.Sprint(m.Replicas), m.changes(), m.counted(), m.churn("%.0f", func(c *churned) float64 { return c.After }),
		of("%.1f", "PUT leases", requests), of("%.1f", "watch leases", func(t traffic) float64 { return t.Bytes / (1 << 10) }),
		of("%.1f", written, requests), of("%.0f", written, func(t traffic) float64 { return t.Bytes / max(t.Requests, 1e-9) / (1 << 10) }),
	}
}
