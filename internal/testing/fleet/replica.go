package fleet

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/api"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/process"
)

var build = sync.OnceValues(func() (string, error) {
	if path := os.Getenv("K8S_VECTORDB_SYNC_BINARY"); path != "" {
		return path, nil
	}
	root, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("finding the module: %w", err)
	}
	dir := filepath.Dir(strings.TrimSpace(string(root)))
	path := filepath.Join(dir, "bin", "k8s-vectordb-sync")
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", path, "./cmd/k8s-vectordb-sync")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the program: %w\n%s", err, out)
	}
	return path, nil
})

// Replica is one process of the program.
type Replica struct {
	// Name is the replica's POD_NAME.
	Name string
	// API, Health and Metrics are host:port of its servers. Metrics are served without TLS unless its
	// environment says otherwise.
	API, Health, Metrics string

	t   testing.TB
	cmd *exec.Cmd
	log *logBuffer
	end *end
}

// end is the end of a process.
type end struct {
	done chan struct{}
	err  error // of Wait, once done is closed
}

// beside are the settings of replicas in stories that run beside others, which is all but the full measure.
var beside = map[string]string{
	// None is fenced because other stories have the processor for two seconds.
	"LEASE_DURATION_MS": "6000", "LEASE_RENEW_DEADLINE_MS": "4000", "LEASE_RENEW_INTERVAL_MS": "1300",
	// At the program's own pace, the collector takes half of the processor time of stories, whose memory nobody looks
	// at. An empty value is that pace.
	"GOGC": "400",
}

// Start starts a replica and returns at once. The environment overrides a default one, in which the program sends to
// the rig's receiver with short windows. An empty POD_NAME becomes replica-N.
func (r *Rig) Start(env map[string]string) *Replica {
	r.t.Helper()
	binary, err := build()
	if err != nil {
		r.t.Fatal(err)
	}
	return r.StartBinary(binary, env)
}

// StartBinary is [Rig.Start] for another program, such as one of an earlier version.
func (r *Rig) StartBinary(binary string, env map[string]string) *Replica {
	r.t.Helper()
	name := env["POD_NAME"]
	if name == "" {
		name = r.name()
	}
	p := &Replica{
		Name: name, API: freeAddress(r.t), Health: freeAddress(r.t), Metrics: freeAddress(r.t),
		t: r.t, log: &logBuffer{}, end: &end{done: make(chan struct{})},
	}
	all := map[string]string{
		"PATH": os.Getenv("PATH"), "HOME": r.t.TempDir(), "KUBECONFIG": r.Kubeconfig(),
		"REST_ENDPOINT": r.SyncURL(), "ENDPOINT_FORMAT": r.format,
		"API_BIND_ADDRESS": p.API, "HEALTH_PROBE_BIND_ADDRESS": p.Health, "METRICS_BIND_ADDRESS": p.Metrics, "METRICS_SECURE": "false",
		"POD_NAME": name, "POD_NAMESPACE": "default",
		"DEBOUNCE_WINDOW_MS": "1000", "DEBOUNCE_MAX_WAIT_MS": "5000", "BATCH_FLUSH_INTERVAL_MS": "500",
		// The others give up a killed replica after 3 s instead of 15, or after 6; see beside.
		"LEASE_DURATION_MS": "3000", "LEASE_RENEW_DEADLINE_MS": "2000", "LEASE_RENEW_INTERVAL_MS": "700",
	}
	if r.format == DotAI {
		all["AUTH_TOKEN_FILE"] = tokenFile(r.t)
	}
	if os.Getenv("E2E_LONG") == "" {
		maps.Copy(all, beside)
	}
	maps.Copy(all, env)
	p.cmd = exec.Command(binary)
	for _, k := range slices.Sorted(maps.Keys(all)) {
		p.cmd.Env = append(p.cmd.Env, k+"="+all[k])
	}
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	go func() { // Ends with the process, which ends with the test.
		p.end.err = p.cmd.Wait()
		close(p.end.done)
	}()
	r.t.Cleanup(func() {
		p.Kill()
		if r.t.Failed() {
			r.t.Logf("last words of %s:\n%s", p.Name, p.Log(40))
		}
	})
	return p
}

// Ask runs the program with arguments and an environment of its own beside KUBECONFIG, waits for its end, and
// returns its output. The program must succeed.
func (r *Rig) Ask(ctx context.Context, env map[string]string, args ...string) string {
	r.t.Helper()
	binary, err := build()
	if err != nil {
		r.t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + r.t.TempDir(), "KUBECONFIG=" + r.Kubeconfig()}
	for _, k := range slices.Sorted(maps.Keys(env)) {
		cmd.Env = append(cmd.Env, k+"="+env[k])
	}
	var out, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaints
	if err := cmd.Run(); err != nil {
		r.t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, &complaints)
	}
	return out.String()
}

func tokenFile(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(path, []byte(Token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func freeAddress(t testing.TB) string {
	t.Helper()
	port, err := process.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
}

// In returns a view of the replica for a subtest: a failure there fails the subtest.
func (p *Replica) In(t testing.TB) *Replica {
	v := *p
	v.t = t
	return &v
}

// Kill kills the process, if it still runs, and waits for its end.
func (p *Replica) Kill() {
	_ = p.cmd.Process.Kill()
	<-p.end.done
}

// Running tells whether the process has not ended.
func (p *Replica) Running() bool {
	select {
	case <-p.end.done:
		return false
	default:
		return true
	}
}

// Signal sends a signal, such as SIGSTOP or SIGCONT.
func (p *Replica) Signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatalf("signalling %s: %v", p.Name, err)
	}
}

// Stop sends SIGTERM and waits for the end. It returns the exit code, and fails the test if the process does not
// end.
func (p *Replica) Stop(within time.Duration) int {
	p.t.Helper()
	p.Signal(syscall.SIGTERM)
	return p.Wait(within)
}

// Wait waits for the end of the process and returns its exit code.
func (p *Replica) Wait(within time.Duration) int {
	p.t.Helper()
	select {
	case <-p.end.done:
	case <-time.After(within):
		p.t.Fatalf("%s still runs after %v; its last words:\n%s", p.Name, within, p.Log(20))
	}
	var exit *exec.ExitError
	if p.end.err != nil && !errors.As(p.end.err, &exit) {
		p.t.Fatalf("waiting for %s: %v", p.Name, p.end.err)
	}
	return p.cmd.ProcessState.ExitCode()
}

// WaitReady waits until /readyz answers that the replica is ready.
func (p *Replica) WaitReady(within time.Duration) {
	p.t.Helper()
	Eventually(p.t, within, func() string {
		select {
		case <-p.end.done:
			p.t.Fatalf("%s ended:\n%s", p.Name, p.Log(20))
		default:
		}
		code, body := p.Get("http://" + p.Health + "/readyz")
		if code != http.StatusOK {
			return fmt.Sprintf("%s is not ready: %d %s", p.Name, code, body)
		}
		return ""
	})
}

// Get asks a server of the replica and returns status and body, or 0 and the error.
func (p *Replica) Get(url string) (int, string) {
	client := http.Client{Timeout: 10 * time.Second}
	resp, err := client.Get(url)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, string(body)
}

// Status returns the answer of /api/v1/status.
func (p *Replica) Status() api.Status {
	p.t.Helper()
	var s api.Status
	code, body := p.Get("http://" + p.API + "/api/v1/status")
	if code != http.StatusOK {
		p.t.Fatalf("status of %s: %d %s", p.Name, code, body)
	}
	if err := json.Unmarshal([]byte(body), &s); err != nil {
		p.t.Fatalf("status of %s: %v", p.Name, err)
	}
	return s
}

// WaitInStep waits until the replica itself reports that all its targets are in step. It ignores repetitions after
// unknown outcomes.
func (p *Replica) WaitInStep(within time.Duration) {
	p.t.Helper()
	Eventually(p.t, within, func() string {
		s := p.Status()
		if !s.Ready {
			return "not ready"
		}
		for _, t := range s.Targets {
			if t.Dirty > 0 || t.InFlight > 0 {
				return fmt.Sprintf("target %s: %d dirty, %d in flight, %s %s", t.Name, t.Dirty, t.InFlight, t.State, t.Reason)
			}
		}
		return ""
	})
}

// Metric returns the sum of all series of a metric that have these labels (name, value, name, value...).
func (p *Replica) Metric(name string, labels ...string) float64 {
	p.t.Helper()
	code, body := p.Get("http://" + p.Metrics + "/metrics")
	if code != http.StatusOK {
		p.t.Fatalf("metrics of %s: %d %s", p.Name, code, body)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(body))
	if err != nil {
		p.t.Fatalf("metrics of %s: %v", p.Name, err)
	}
	family, ok := families[name]
	if !ok {
		p.t.Fatalf("%s has no metric %s", p.Name, name)
	}
	sum := 0.0
	for _, m := range family.GetMetric() {
		if has(m, labels) {
			sum += m.GetCounter().GetValue() + m.GetGauge().GetValue() + m.GetUntyped().GetValue()
		}
	}
	return sum
}

func has(m *dto.Metric, labels []string) bool {
	for i := 0; i+1 < len(labels); i += 2 {
		if !slices.ContainsFunc(m.GetLabel(), func(l *dto.LabelPair) bool { return l.GetName() == labels[i] && l.GetValue() == labels[i+1] }) {
			return false
		}
	}
	return true
}

// Resident returns the resident memory of the process in bytes, now and at its highest.
func (p *Replica) Resident() (now, peak int64) {
	p.t.Helper()
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	value := func(line string) int64 {
		n, err := strconv.ParseInt(strings.Fields(line)[1], 10, 64)
		if err != nil {
			p.t.Fatal(err)
		}
		return n << 10
	}
	for s := bufio.NewScanner(f); s.Scan(); {
		switch {
		case strings.HasPrefix(s.Text(), "VmRSS:"):
			now = value(s.Text())
		case strings.HasPrefix(s.Text(), "VmHWM:"):
			peak = value(s.Text())
		}
	}
	return now, peak
}

// CPU returns how much processor time the process has used.
func (p *Replica) CPU() time.Duration {
	p.t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		p.t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(stat), ") ") // the name of the program may contain any character
	fields := strings.Fields(rest)
	const user, system = 11, 12 // fields 14 and 15 of proc(5), in hundredths of a second
	var ticks int64
	for _, i := range []int{user, system} {
		n, err := strconv.ParseInt(fields[i], 10, 64)
		if err != nil {
			p.t.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

// Log returns the last lines that the process printed.
func (p *Replica) Log(lines int) string {
	all := strings.Split(strings.TrimRight(p.log.String(), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// Logged tells whether the process has printed a text.
func (p *Replica) Logged(text string) bool { return strings.Contains(p.log.String(), text) }

// logBuffer is a buffer that may be read while it is written.
type logBuffer struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// Ring returns the answer of /api/v1/ring.
func (p *Replica) Ring() api.Ring {
	p.t.Helper()
	var ring api.Ring
	code, body := p.Get("http://" + p.API + "/api/v1/ring")
	if code != http.StatusOK {
		p.t.Fatalf("ring of %s: %d %s", p.Name, code, body)
	}
	if err := json.Unmarshal([]byte(body), &ring); err != nil {
		p.t.Fatalf("ring of %s: %v", p.Name, err)
	}
	return ring
}
