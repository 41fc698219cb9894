package metricsdoc_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"go.uber.org/goleak"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/api"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/metricsdoc"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// custom is a collector as packages write their own: several metrics, read at each scrape.
type custom struct{ descs []*prometheus.Desc }

func (c custom) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range c.descs {
		ch <- d
	}
}

func (c custom) Collect(ch chan<- prometheus.Metric) {
	ch <- prometheus.MustNewConstMetric(c.descs[0], prometheus.GaugeValue, 1, "a")
	ch <- prometheus.MustNewConstMetric(c.descs[1], prometheus.CounterValue, 1)
}

func TestEverySortOfMetricIsDescribed(t *testing.T) {
	t.Parallel()
	reg := metricsdoc.NewRegistry()
	auto := promauto.With(reg)
	auto.NewCounter(prometheus.CounterOpts{Name: "a_total", Help: "Plain."})
	auto.NewCounterVec(prometheus.CounterOpts{Name: "b_total", Help: "Without a series."}, []string{"x", "y"})
	reg.MustRegister(
		prometheus.NewGauge(prometheus.GaugeOpts{Name: "c", Help: `"Quoted", with {braces: "}}"}, and | pipes` + "\nin two lines", ConstLabels: prometheus.Labels{"target": `a=",}"`, "b": ""}}),
		prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "d", ConstLabels: prometheus.Labels{"target": "z"}}, []string{"id"}),
		prometheus.NewHistogram(prometheus.HistogramOpts{Name: "e_seconds", Help: "Plain."}),
		prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "f_seconds", Help: "Vector."}, []string{"x"}),
		prometheus.NewSummary(prometheus.SummaryOpts{Name: "g_seconds", Help: "Plain."}),
		prometheus.NewSummaryVec(prometheus.SummaryOpts{Name: "h_seconds", Help: "Vector."}, []string{"x"}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "i", Help: "Function."}, func() float64 { return 1 }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "j_total", Help: "Function."}, func() float64 { return 1 }),
		custom{[]*prometheus.Desc{
			prometheus.NewDesc("k", "Own gauge.", []string{"state"}, nil),
			prometheus.NewDesc("l_total", "Own counter.", nil, prometheus.Labels{"target": "z"}),
		}},
		prometheus.V2.NewCounterVec(prometheus.CounterVecOpts{
			CounterOpts:    prometheus.CounterOpts{Name: "m_total", Help: "Normalised label."},
			VariableLabels: prometheus.ConstrainedLabels{{Name: "x", Constraint: strings.ToLower}, {Name: "y"}},
		}),
	)
	got, err := reg.Families()
	if err != nil {
		t.Fatal(err)
	}
	pkg := "metricsdoc_test"
	want := []metricsdoc.Family{
		{Name: "a_total", Help: "Plain.", Type: "counter", Package: pkg},
		{Name: "b_total", Help: "Without a series.", Type: "counter", Labels: []string{"x", "y"}, Package: pkg},
		{Name: "c", Help: `"Quoted", with {braces: "}}"}, and | pipes` + "\nin two lines", Type: "gauge", Labels: []string{"b", "target"}, Package: pkg},
		{Name: "d", Type: "gauge", Labels: []string{"target", "id"}, Package: pkg},
		{Name: "e_seconds", Help: "Plain.", Type: "histogram", Package: pkg},
		{Name: "f_seconds", Help: "Vector.", Type: "histogram", Labels: []string{"x"}, Package: pkg},
		{Name: "g_seconds", Help: "Plain.", Type: "summary", Package: pkg},
		{Name: "h_seconds", Help: "Vector.", Type: "summary", Labels: []string{"x"}, Package: pkg},
		{Name: "i", Help: "Function.", Type: "gauge", Package: pkg},
		{Name: "j_total", Help: "Function.", Type: "counter", Package: pkg},
		{Name: "k", Help: "Own gauge.", Type: "gauge", Labels: []string{"state"}, Package: pkg},
		{Name: "l_total", Help: "Own counter.", Type: "counter", Labels: []string{"target"}, Package: pkg},
		{Name: "m_total", Help: "Normalised label.", Type: "counter", Labels: []string{"x", "y"}, Package: pkg},
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Error(diff)
	}
}

func TestMetricsBelongToThePackageThatMakesThem(t *testing.T) {
	t.Parallel()
	reg := metricsdoc.NewRegistry()
	api.New(nil, api.Options{Registerer: reg}) // through promauto
	got, err := reg.Families()
	if err != nil || len(got) == 0 {
		t.Fatalf("got %v, %v", got, err)
	}
	for _, f := range got {
		if f.Package != "api" {
			t.Errorf("%s belongs to %q", f.Name, f.Package)
		}
	}
}

func TestUnregisteredMetricsStayDescribed(t *testing.T) {
	t.Parallel()
	reg := metricsdoc.NewRegistry()
	for _, target := range []string{"a", "b"} { // one metric of two targets is one line
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: "x_total", ConstLabels: prometheus.Labels{"target": target}})
		reg.MustRegister(c)
		if !reg.Unregister(c) {
			t.Error("Unregister does not know what was registered")
		}
	}
	if got, err := reg.Families(); err != nil || len(got) != 1 {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestRegistry_MetricCannotBeDescribed_IsAnError(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		register func(prometheus.Registerer)
		want     string
	}{
		"no sample": {
			func(r prometheus.Registerer) {
				prometheus.WrapRegistererWithPrefix("p_", r).MustRegister(prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "x"}, []string{"a"}))
			},
			"the type of p_x cannot be told",
		},
		"twice": {
			func(r prometheus.Registerer) {
				r.MustRegister(prometheus.NewGauge(prometheus.GaugeOpts{Name: "x"}), prometheus.NewGauge(prometheus.GaugeOpts{Name: "x"}))
			},
			"duplicate",
		},
		"two meanings": {
			func(r prometheus.Registerer) {
				old := prometheus.NewGauge(prometheus.GaugeOpts{Name: "x"})
				r.MustRegister(old)
				r.Unregister(old)
				r.MustRegister(prometheus.NewCounter(prometheus.CounterOpts{Name: "x"}))
			},
			"x is registered with two meanings",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reg := metricsdoc.NewRegistry()
			tc.register(reg)
			_, err := reg.Families()
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want one with %q", err, tc.want)
			}
			if err := metricsdoc.Write(&bytes.Buffer{}, reg); err == nil {
				t.Error("a wrong document was written")
			}
		})
	}
}

func TestTableEscapesWhatWouldBreakIt(t *testing.T) {
	t.Parallel()
	reg := metricsdoc.NewRegistry()
	reg.MustRegister(prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "x", Help: "A | B\nand <name>."}, []string{"a", "b"}))
	var b bytes.Buffer
	if err := metricsdoc.Write(&b, reg); err != nil {
		t.Fatal(err)
	}
	if want := "| `x` | gauge | `a`, `b` | A \\| B and &lt;name>. |\n"; !strings.HasSuffix(b.String(), want) {
		t.Errorf("got %s, want %s at the end", b.String(), want)
	}
}

// tb records the messages of a test.
type tb struct{ said []string }

func (*tb) Helper()                          {}
func (t *tb) Errorf(format string, a ...any) { t.said = append(t.said, fmt.Sprintf(format, a...)) }
func (t *tb) Fatalf(format string, a ...any) { t.Errorf(format, a...) }

func TestCheckSaysWhatIsStale(t *testing.T) {
	t.Parallel()
	reg := metricsdoc.NewRegistry()
	reg.MustRegister(prometheus.NewGauge(prometheus.GaugeOpts{Name: "x", Help: "New."}))
	var b bytes.Buffer
	if err := metricsdoc.Write(&b, reg); err != nil {
		t.Fatal(err)
	}
	fresh, stale := filepath.Join(t.TempDir(), "fresh.md"), filepath.Join(t.TempDir(), "stale.md")
	if err := os.WriteFile(fresh, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(stale, bytes.ReplaceAll(b.Bytes(), []byte("New."), []byte("Old.")), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string][]string{
		fresh: nil,
		stale: {stale + " is stale; go run ./internal/metricsdoc/gen docs/metrics.md writes it:\n- | `x` | gauge |  | Old. |\n+ | `x` | gauge |  | New. |"},
	} {
		var got tb
		metricsdoc.Check(&got, path, reg)
		if diff := cmp.Diff(want, got.said); diff != "" {
			t.Error(diff)
		}
	}
	var got tb
	metricsdoc.Check(&got, filepath.Join(t.TempDir(), "none.md"), reg)
	if len(got.said) != 1 || !strings.Contains(got.said[0], "reading the reference") {
		t.Errorf("got %v", got.said)
	}
}
