package monitoring

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/fleet"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/process"
)

// Options are the settings of a [Prometheus].
type Options struct {
	// Binary is the path of the program, which hack/prometheus/ensure.sh downloads.
	Binary string
	// Interval is how often it scrapes, and how often it looks at the alerts.
	Interval time.Duration
	// Alerts are a file of rules, as in the chart.
	Alerts any
	// Scrape are the scrape configurations; see [ScrapeConfig].
	Scrape []map[string]any
}

// Prometheus is a Prometheus that runs until its test ends. Its methods fail the test when it does not answer. Only
// the test's own goroutine may call them.
type Prometheus struct {
	t       testing.TB
	address string
	client  *http.Client
}

// Target is a target that it scrapes.
type Target struct {
	Labels map[string]string `json:"labels"`
	// Health is up, down, or unknown before the first scrape; Error says why it is down.
	Health string `json:"health"`
	Error  string `json:"lastError"`
}

// Alert is an alert that is pending or firing.
type Alert struct {
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
	// State is pending or firing.
	State string `json:"state"`
}

// Start starts a Prometheus and waits until it is ready. Its data are removed with the test.
func Start(t testing.TB, o Options) *Prometheus {
	t.Helper()
	port, err := process.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	p := &Prometheus{t: t, address: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), client: &http.Client{Timeout: time.Minute}}
	interval := strconv.Itoa(int(o.Interval.Milliseconds())) + "ms"
	config := WriteFile(t, dir, "prometheus.yml", map[string]any{
		"global":         map[string]string{"scrape_interval": interval, "scrape_timeout": interval, "evaluation_interval": interval},
		"rule_files":     []string{WriteFile(t, dir, "alerts.yml", o.Alerts)},
		"scrape_configs": o.Scrape,
	})
	running, err := process.Start(process.Command{
		Binary: o.Binary, Log: filepath.Join(dir, "prometheus.log"),
		Args: []string{"--config.file=" + config, "--storage.tsdb.path=" + filepath.Join(dir, "data"), "--web.listen-address=" + p.address},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.client.CloseIdleConnections()
		if err := running.Stop(false, 0); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("Prometheus said last:\n%s", running.Tail(20))
		}
	})
	fleet.Eventually(t, time.Minute, func() string {
		select {
		case <-running.Ended():
			t.Fatal("Prometheus has ended")
		default:
		}
		if _, err := p.fetch("/-/ready"); err != nil {
			return err.Error()
		}
		return ""
	})
	return p
}

// Query returns the labels of each series of a result.
func (p *Prometheus) Query(expr string) []map[string]string {
	p.t.Helper()
	var data struct {
		Result []struct {
			Metric map[string]string `json:"metric"`
		} `json:"result"`
	}
	p.get("query?query="+url.QueryEscape(expr), &data)
	found := make([]map[string]string, len(data.Result))
	for i, r := range data.Result {
		found[i] = r.Metric
	}
	return found
}

// Targets returns the targets that it scrapes at present.
func (p *Prometheus) Targets() []Target {
	p.t.Helper()
	var data struct {
		Active []Target `json:"activeTargets"`
	}
	p.get("targets?state=active", &data)
	return data.Active
}

// Alerts returns the alerts that are pending or firing.
func (p *Prometheus) Alerts() []Alert {
	p.t.Helper()
	var data struct {
		Alerts []Alert `json:"alerts"`
	}
	p.get("alerts", &data)
	return data.Alerts
}

// Fired returns the names of the alerts that have been firing since the start.
func (p *Prometheus) Fired() []string {
	p.t.Helper()
	var names []string
	for _, labels := range p.Query(`count by (alertname) (count_over_time(ALERTS{alertstate="firing"}[1d]))`) {
		names = append(names, labels["alertname"])
	}
	return names
}

// get asks its API.
func (p *Prometheus) get(path string, data any) {
	p.t.Helper()
	body, err := p.fetch("/api/v1/" + path)
	if err != nil {
		p.t.Fatal(err)
	}
	answer := struct {
		Data any `json:"data"`
	}{data}
	if err := json.Unmarshal(body, &answer); err != nil {
		p.t.Fatalf("%s: %v in %s", path, err, body)
	}
}

func (p *Prometheus) fetch(path string) ([]byte, error) {
	resp, err := p.client.Get("http://" + p.address + path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %s", path, resp.Status, body)
	}
	return body, err
}

// WriteFile writes a file that Prometheus reads, and replaces an old one in one step. It returns the path.
func WriteFile(t testing.TB, dir, name string, content any) string {
	t.Helper()
	text, err := json.Marshal(content) // JSON is YAML, too
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
	return path
}
