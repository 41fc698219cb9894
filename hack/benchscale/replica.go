package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/process"
)

// replica is one process of the program.
type replica struct {
	*process.Process
	health, metrics string
}

// startReplica starts the program.
func startReplica(binary, dir string, n int, env map[string]string) (*replica, error) {
	var addresses [3]string
	for i := range addresses {
		port, err := process.FreePort()
		if err != nil {
			return nil, err
		}
		addresses[i] = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	}
	name := "replica-" + strconv.Itoa(n)
	all := map[string]string{
		"HOME": dir, "POD_NAME": name, "POD_NAMESPACE": "default", "ENDPOINT_FORMAT": "cluster-whisperer",
		"API_BIND_ADDRESS": addresses[0], "HEALTH_PROBE_BIND_ADDRESS": addresses[1],
		"METRICS_BIND_ADDRESS": addresses[2], "METRICS_SECURE": "false", "DEBUG_ENDPOINTS": "true",
		"DEBOUNCE_WINDOW_MS": "1000", "DEBOUNCE_MAX_WAIT_MS": "5000", "BATCH_FLUSH_INTERVAL_MS": "500",
	}
	maps.Copy(all, env)
	for _, pace := range []string{"GOGC", "GOMEMLIMIT"} { // so that a person can try their effect
		if value, ok := os.LookupEnv(pace); ok {
			all[pace] = value
		}
	}
	if all["DEBUG_ENDPOINTS"] != "true" { // profiles of memory cost memory
		delete(all, "DEBUG_ENDPOINTS")
	}
	var environ []string
	for _, k := range slices.Sorted(maps.Keys(all)) {
		environ = append(environ, k+"="+all[k])
	}
	p, err := process.Start(process.Command{Binary: binary, Env: environ, Log: filepath.Join(dir, name+".log")})
	if err != nil {
		return nil, err
	}
	return &replica{Process: p, health: addresses[1], metrics: addresses[2]}, nil
}

// errNotReady is the state of a replica until it has read everything.
var errNotReady = errors.New("not ready")

// ready waits until the replica is ready.
func (r *replica) ready(ctx context.Context) error {
	return r.Await(ctx, func(ctx context.Context) error {
		return get(ctx, "http://"+r.health+"/readyz", io.Discard)
	})
}

// profile writes the answer of the debug endpoint to a file.
func (r *replica) profile(ctx context.Context, what, path string) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return get(ctx, "http://"+r.metrics+"/debug/pprof/"+what, f)
}

func get(ctx context.Context, url string, to io.Writer) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer anybody") // the replay server accepts any token
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s: %w", url, resp.Status, errNotReady)
	}
	_, err = io.Copy(to, resp.Body)
	return err
}

// usage is how much a process has used so far, and how much memory it holds.
type usage struct {
	cpu            time.Duration
	resident, peak int64
	files, threads int
	goroutines     int
	sent           int // upserts so far
	owned          int // objects that the replica may send for
}

// used reads /proc, and the replica's own metrics.
func (r *replica) used(ctx context.Context) (usage, error) {
	u, err := r.process()
	if err != nil {
		return u, err
	}
	var body bytes.Buffer
	if err := get(ctx, "http://"+r.metrics+"/metrics", &body); err != nil {
		return u, err
	}
	for line := range strings.Lines(body.String()) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		n, _ := strconv.ParseFloat(value, 64)
		switch {
		case name == "go_goroutines":
			u.goroutines = int(n)
		case strings.HasPrefix(name, "k8s_vectordb_sync_ring_objects_owned"):
			u.owned = int(n)
		case strings.HasPrefix(name, "k8s_vectordb_sync_delivery_batch_objects_sum") && strings.Contains(name, `"upsert"`):
			u.sent += int(n)
		}
	}
	return u, nil
}

// process reads /proc.
func (r *replica) process() (usage, error) {
	base := "/proc/" + strconv.Itoa(r.PID())
	stat, err := os.ReadFile(base + "/stat")
	if err != nil {
		return usage{}, err
	}
	_, rest, _ := strings.Cut(string(stat), ") ") // the name of the program may contain any character
	fields := strings.Fields(rest)
	var u usage
	for _, i := range []int{11, 12} { // user and system time: fields 14 and 15 of proc(5), in hundredths of a second
		ticks, err := strconv.Atoi(fields[i])
		if err != nil {
			return usage{}, err
		}
		u.cpu += time.Duration(ticks) * 10 * time.Millisecond
	}
	open, err := os.ReadDir(base + "/fd")
	if err != nil {
		return usage{}, err
	}
	u.files = len(open)
	f, err := os.Open(base + "/status")
	if err != nil {
		return usage{}, err
	}
	defer func() { _ = f.Close() }()
	for s := bufio.NewScanner(f); s.Scan(); {
		name, value, _ := strings.Cut(s.Text(), ":")
		n, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
		switch name {
		case "VmRSS":
			u.resident = n << 10
		case "VmHWM":
			u.peak = n << 10
		case "Threads":
			u.threads = int(n)
		}
	}
	return u, nil
}
