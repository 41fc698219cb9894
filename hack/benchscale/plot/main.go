// Command plot draws what benchscale has measured, as SVG files.
//
//	go -C hack/benchscale/plot run . RESULTS.jsonl DIRECTORY
//
// Points are medians, whiskers the least and the most of all runs.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"
)

// result is what is drawn of a run.
type result struct {
	Scenario struct {
		Objects  float64 `json:"objects"`
		Replicas float64 `json:"replicas"`
		Profile  string  `json:"profile"`
		Rate     float64 `json:"rate"`
	} `json:"scenario"`
	Rest   float64 `json:"rest"`
	Peak   float64 `json:"peak"`
	CPU    float64 `json:"cpu"`
	LagP99 float64 `json:"lagP99"`
}

// figure is one file.
type figure struct {
	file, title, x, y string
	points            func(r result) (series string, x, y float64, ok bool)
}

var figures = []figure{
	{"memory.svg", "Resident memory by objects, at rest, one replica", "objects", "MiB", func(r result) (string, float64, float64, bool) {
		return "at rest", r.Scenario.Objects, r.Rest, r.Scenario.Replicas == 1 && r.Scenario.Rate == 0
	}},
	{"cpu.svg", "Processor time by changes, one replica, 20,000 objects", "changes a second", "cores", func(r result) (string, float64, float64, bool) {
		return r.Scenario.Profile, r.Scenario.Rate, r.CPU, r.Scenario.Replicas == 1 && r.Scenario.Rate > 0
	}},
	{"lag.svg", "Lag by changes, p99, windows of 1 s and 0.5 s", "changes a second", "seconds", func(r result) (string, float64, float64, bool) {
		return r.Scenario.Profile, r.Scenario.Rate, r.LagP99, r.LagP99 > 0
	}},
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "plot:", err)
		os.Exit(1)
	}
}

// errUsage says how it is called.
var errUsage = errors.New("want a file of results and a directory")

func run(args []string) error {
	if len(args) != 2 {
		return errUsage
	}
	results, err := read(args[0])
	if err != nil {
		return err
	}
	for _, f := range figures {
		if err := f.draw(results, args[1]); err != nil {
			return fmt.Errorf("drawing %s: %w", f.file, err)
		}
	}
	return nil
}

func read(path string) (all []result, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	for s := bufio.NewScanner(f); s.Scan(); {
		var r result
		if err := json.Unmarshal(s.Bytes(), &r); err != nil {
			return nil, fmt.Errorf("reading %s: %w", path, err)
		}
		all = append(all, r)
	}
	return all, nil
}

// whiskers are points with the least and the most of their runs.
type whiskers struct {
	plotter.XYs
	plotter.YErrors
}

// draw writes the file, if there is anything to be drawn.
func (f figure) draw(results []result, dir string) error {
	series := make(map[string]map[float64][]float64)
	for _, r := range results {
		name, x, y, ok := f.points(r)
		if !ok {
			continue
		}
		if series[name] == nil {
			series[name] = make(map[float64][]float64)
		}
		series[name][x] = append(series[name][x], y)
	}
	if len(series) == 0 {
		return nil
	}
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text, p.Y.Min = f.title, f.x, f.y, 0
	p.Add(plotter.NewGrid())
	for i, name := range sorted(series) {
		var w whiskers
		for _, x := range sorted(series[name]) {
			ys := series[name][x]
			slices.Sort(ys)
			median := ys[len(ys)/2]
			w.XYs = append(w.XYs, plotter.XY{X: x, Y: median})
			w.YErrors = append(w.YErrors, struct{ Low, High float64 }{median - ys[0], ys[len(ys)-1] - median})
		}
		line, points, err := plotter.NewLinePoints(w.XYs)
		if err != nil {
			return err
		}
		bars, err := plotter.NewYErrorBars(w)
		if err != nil {
			return err
		}
		line.Color, points.Color, bars.Color = plotutil.Color(i), plotutil.Color(i), plotutil.Color(i)
		p.Add(line, points, bars)
		p.Legend.Add(name, line, points)
	}
	p.Legend.Top, p.Legend.Left = true, true
	return p.Save(16*vg.Centimeter, 9*vg.Centimeter, filepath.Join(dir, f.file))
}

func sorted[K interface{ ~string | ~float64 }, V any](m map[K]V) []K {
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
