// Command plot draws what benchscale has measured: docs/benchmarks/*.svg of docs/benchmarks/scale.jsonl. It also writes
// the sums of all of these, and of itself, by which a test sees that they belong together.
//
//	make bench-scale PART=report
//
// Points are medians, whiskers the least and the most of all runs.
package main

import (
	"bufio"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"
)

// result is what is drawn of a run.
type result struct {
	Scenario struct {
		Objects  float64       `json:"objects"`
		Replicas float64       `json:"replicas"`
		Profile  string        `json:"profile"`
		Rate     float64       `json:"rate"`
		For      time.Duration `json:"for"`
		Latency  time.Duration `json:"latency"`
		Failures float64       `json:"failures"`
		Away     time.Duration `json:"away"`
		Sample   time.Duration `json:"sample"`
	} `json:"scenario"`
	Start struct {
		Rest float64 `json:"rest"`
		Peak float64 `json:"peak"`
	} `json:"start"`
	Churn struct {
		CPU             float64 `json:"cpu"`
		LagP99          float64 `json:"lagP99"`
		PerEventBusiest float64 `json:"perEventBusiest"`
	} `json:"churn"`
	Samples []struct {
		At       float64 `json:"at"`
		Resident float64 `json:"resident"`
	} `json:"samples"`
}

// plain tells whether the receiver behaves, and the time is short.
func (r result) plain() bool {
	s := r.Scenario
	return s.Rate > 0 && s.Latency == 0 && s.Failures == 0 && s.Away == 0 && s.Sample == 0
}

// point is one of a line.
type point struct {
	series string
	x, y   float64
}

// figure is one file.
type figure struct {
	file, title, x, y string
	points            func(r result) []point
}

// fleet is from how many replicas on a run is about something else than shares.
const fleet = 10

var figures = []figure{
	{"memory", "Resident memory of one replica", "objects", "MiB", func(r result) []point {
		if r.Scenario.Replicas != 1 || r.Scenario.Rate > 0 {
			return nil
		}
		return []point{{"at rest", r.Scenario.Objects, r.Start.Rest}, {"peak of the start", r.Scenario.Objects, r.Start.Peak}}
	}},
	{"cpu", "Processor time of one replica, 20,000 objects", "changes a second", "share of a core", func(r result) []point {
		if r.Scenario.Replicas != 1 || !r.plain() {
			return nil
		}
		return []point{{r.Scenario.Profile, r.Scenario.Rate, r.Churn.CPU}}
	}},
	{"lag", "From a change to its arrival, p99, one replica, windows of 1 s and 0.5 s", "changes a second", "seconds", func(r result) []point {
		if r.Scenario.Replicas != 1 || !r.plain() || r.Churn.LagP99 == 0 {
			return nil
		}
		return []point{{r.Scenario.Profile, r.Scenario.Rate, r.Churn.LagP99}}
	}},
	{"shares", "Processor time of the busiest replica, all changes sent", "replicas", "ms a change", func(r result) []point {
		if r.Scenario.Profile != "labels" || r.Scenario.Replicas >= fleet || !r.plain() {
			return nil
		}
		return []point{{fmt.Sprintf("%.0f/s", r.Scenario.Rate), r.Scenario.Replicas, r.Churn.PerEventBusiest}}
	}},
	{"endurance", "Resident memory of one replica under changes", "minutes", "MiB", func(r result) []point {
		name := fmt.Sprintf("%.0f/s of %.0f objects", r.Scenario.Rate, r.Scenario.Objects)
		if r.Scenario.Away > 0 {
			name += ", receiver away"
		}
		var all []point
		for _, s := range r.Samples {
			all = append(all, point{name, s.At / 60, s.Resident})
		}
		return all
	}},
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "plot:", err)
		os.Exit(1)
	}
}

// errUsage says how it is called.
var errUsage = errors.New("want the root of the repository")

func run(args []string) error {
	if len(args) != 1 {
		return errUsage
	}
	dir := filepath.Join(args[0], "docs/benchmarks")
	results, err := read(filepath.Join(dir, "scale.jsonl"))
	if err != nil {
		return err
	}
	summed := []string{"docs/benchmarks/scale.jsonl", "hack/benchscale/plot/main.go"}
	for _, f := range figures {
		path := filepath.Join(dir, f.file+".svg")
		switch drawn, err := f.draw(results, path); {
		case err != nil:
			return fmt.Errorf("drawing %s: %w", f.file, err)
		case drawn:
			summed = append(summed, "docs/benchmarks/"+f.file+".svg")
		}
	}
	var sums strings.Builder
	for _, path := range summed {
		body, err := os.ReadFile(filepath.Join(args[0], path))
		if err != nil {
			return err
		}
		fmt.Fprintf(&sums, "%x  %s\n", sha256.Sum256(body), path)
	}
	return os.WriteFile(filepath.Join(dir, "sha256sums"), []byte(sums.String()), 0o600)
}

func read(path string) (all []result, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	s := bufio.NewScanner(f)
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		var r result
		if err := json.Unmarshal(s.Bytes(), &r); err != nil {
			return nil, fmt.Errorf("reading %s: %w", path, err)
		}
		all = append(all, r)
	}
	return all, s.Err()
}

// whiskers are points with the least and the most of their runs.
type whiskers struct {
	plotter.XYs
	plotter.YErrors
}

// few is up to how many points each is marked.
const few = 20

// draw writes the file, if there is anything to be drawn.
func (f figure) draw(results []result, path string) (bool, error) {
	series := make(map[string]map[float64][]float64)
	for _, r := range results {
		for _, p := range f.points(r) {
			if series[p.series] == nil {
				series[p.series] = make(map[float64][]float64)
			}
			series[p.series][p.x] = append(series[p.series][p.x], p.y)
		}
	}
	if len(series) == 0 {
		return false, nil
	}
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text, p.X.Min, p.Y.Min = f.title, f.x, f.y, 0, 0
	p.X.Tick.Marker, p.Y.Tick.Marker = plainTicks{}, plainTicks{}
	p.Add(plotter.NewGrid())
	for i, name := range sorted(series) {
		var w whiskers
		for _, x := range sorted(series[name]) {
			ys := series[name][x]
			slices.Sort(ys)
			median := ys[len(ys)/2]
			w.XYs = append(w.XYs, plotter.XY{X: x, Y: median})
			w.YErrors = append(w.YErrors, struct{ Low, High float64 }{ys[0] - median, ys[len(ys)-1] - median})
		}
		line, points, err := plotter.NewLinePoints(w.XYs)
		if err != nil {
			return false, err
		}
		bars, err := plotter.NewYErrorBars(w)
		if err != nil {
			return false, err
		}
		line.Color, points.Color, bars.Color = plotutil.Color(i), plotutil.Color(i), plotutil.Color(i)
		p.Add(line)
		if len(w.XYs) <= few {
			p.Add(points, bars)
		}
		p.Legend.Add(name, line)
	}
	p.X.Max *= 1.05 // room for the last label
	p.Y.Max *= 1.2  // room for the legend
	p.X.Min, p.Y.Min = 0, 0
	p.Legend.Top, p.Legend.Left = true, true
	return true, p.Save(16*vg.Centimeter, 9*vg.Centimeter, path)
}

// plainTicks are the usual ones, without exponents.
type plainTicks struct{}

// Ticks returns them.
func (plainTicks) Ticks(low, high float64) []plot.Tick {
	ticks := plot.DefaultTicks{}.Ticks(low, high)
	for i := range ticks {
		if ticks[i].Label != "" {
			ticks[i].Label = fmt.Sprintf("%.5g", ticks[i].Value)
			if ticks[i].Value >= 1000 {
				ticks[i].Label = fmt.Sprintf("%.0f", ticks[i].Value)
			}
		}
	}
	return ticks
}

func sorted[K interface{ ~string | ~float64 }, V any](m map[K]V) []K {
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
