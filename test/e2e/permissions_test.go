//go:build e2e

package e2e

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/inspect"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/receiver"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/controlplane"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/fleet"
)

// rarely are permissions that a short life may not use, and the reasons why replicas need them all the same.
var rarely = map[string]string{
	"delete leases": "the Lease of a replica that is gone is deleted after five minutes",
	"get leases":    "a replica whose renewal was not answered looks what became of it",
	"list leases":   "older API servers do not stream lists",
	"list secrets":  "older API servers do not stream lists",
	"patch events":  "an Event that is repeated word for word is counted up",
}

// rarelyNarrow are those of replicas that serve no declared receiver, and watch few types.
var rarelyNarrow = map[string]string{
	"delete configmaps":              "the checkpoints of a declared receiver go with it",
	"list customresourcedefinitions": "older API servers do not stream lists",
	"list apiservices":               "older API servers do not stream lists",
	"create events":                  "the receiver is never down",
}

// TestPermissionsAreEnoughAndNoMore has replicas with only the rights of the chart do everything that they ever do.
// It compares the API server's audit log with the roles: no request was denied, and every permission was used.
func TestPermissionsAreEnoughAndNoMore(t *testing.T) {
	beside(t, 90*time.Second)
	r := fleet.New(t, fleet.Options{ControlPlane: controlplane.Options{AuditLog: true}})
	for _, namespace := range []string{chartNamespace, "dot-ai", "narrow-system"} {
		r.Kube("", "create", "namespace", namespace)
	}

	t.Run("all that the chart can switch on", func(t *testing.T) {
		manifest := render(t, "k8s-vectordb-sync", chartNamespace, "--set", "config.apiAuth=true,config.debugEndpoints=true,resourceSyncConfig.enabled=true,"+
			"resourceSyncConfig.secrets.namespaces={dot-ai},resourceSyncConfig.secrets.names={mcp-credentials}",
			"--show-only", "templates/rbac.yaml", "--show-only", "templates/serviceaccount.yaml",
			"--show-only", "templates/resourcesyncconfig-rbac.yaml", "--show-only", "templates/crd.yaml")
		account := "k8s-vectordb-sync-controller-manager"
		l := &life{Rig: r.In(t), t: t, account: account}
		left := l.live(manifest)
		judge(t, r, manifest, account, chartNamespace, rarely)
		l.withoutCheckpoints(left)
	})

	t.Run("three types", func(t *testing.T) {
		r := r.In(t)
		manifest := render(t, "narrow", "narrow-system", "--set", "config.watchResourceTypes={deployments,services.v1,*.example.com}",
			"--show-only", "templates/rbac.yaml", "--show-only", "templates/serviceaccount.yaml")
		account := "narrow-k8s-vectordb-sync-controller-manager"
		r.Apply(manifest)
		r.Apply(widgets("v1"))
		r.Kube("", "wait", "--for=condition=Established", "--timeout=30s", "crd/widgets.example.com")
		fill(r, "v1", 3)
		r.Kube("", "create", "deployment", "shop", "--image=shop")
		l := &life{Rig: r, t: t, account: account, namespace: "narrow-system", env: map[string]string{
			"WATCH_RESOURCE_TYPES": "deployments,services.v1,*.example.com", "RING_NAME": "narrow",
		}}
		first, second := l.start("narrow-0"), l.start("narrow-1")
		first.WaitReady(time.Minute)
		second.WaitReady(time.Minute)
		agreed(t, converge, first, second)
		l.lookAtMetrics(first)
		if first.Logged("cluster cannot be told from others") {
			t.Error("the cluster's identity cannot be read")
		}
		code, body := l.ask(first, http.MethodPost, "/api/v1/resync", "")
		if code != http.StatusOK {
			t.Errorf("a resync is answered %d %.300s", code, body)
		}
		second.Kill()
		agreed(t, converge, first)
		first.Stop(grace)
		excused := maps.Clone(rarely)
		maps.Copy(excused, rarelyNarrow)
		judge(t, r, manifest, account, "narrow-system", excused)
	})
}

// insecure accepts any certificate, because replicas make their own.
var insecure = &http.Client{Timeout: time.Minute, Transport: &http.Transport{
	TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true, // see above
}}

// life is a fleet with the rights of a ServiceAccount.
type life struct {
	*fleet.Rig
	t                  *testing.T
	account, namespace string
	env                map[string]string
}

// start starts a replica with the rights of the chart.
func (l *life) start(name string) *fleet.Replica {
	l.t.Helper()
	kubeconfig, err := l.ServiceAccountKubeconfig(l.t.Context(), l.namespace, l.account)
	if err != nil {
		l.t.Fatal(err)
	}
	env := map[string]string{"KUBECONFIG": kubeconfig, "POD_NAMESPACE": l.namespace, "POD_NAME": name, "METRICS_SECURE": "true",
		"STATEFUL_SET_NAME": strings.TrimSuffix(l.account, "-controller-manager")}
	maps.Copy(env, l.env)
	if env["STATE_DIR"] != "" {
		env["STATE_DIR"] += "/" + name
	}
	return l.Start(env)
}

// live is a whole life: start, sync, metrics, API, resync, a declared receiver with its Secret, a crash, a join, a
// leave, a restart, a type that comes and goes. It returns the remaining replica.
func (l *life) live(manifest string) *fleet.Replica {
	t := l.t
	l.namespace = chartNamespace
	l.env = map[string]string{"API_AUTH": "true", "DEBUG_ENDPOINTS": "true", "RESOURCE_SYNC_CONFIG": "true", "STATE_DIR": t.TempDir()}
	l.Apply(manifest)
	l.Apply(`
{apiVersion: v1, kind: ServiceAccount, metadata: {name: editor, namespace: default}}
---
{apiVersion: v1, kind: ServiceAccount, metadata: {name: inspector, namespace: default}}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {name: inspector}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: k8s-vectordb-sync-debug-reader}, subjects: [{kind: ServiceAccount, name: inspector, namespace: default}]}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {name: editor}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: k8s-vectordb-sync-api-editor}, subjects: [{kind: ServiceAccount, name: editor, namespace: default}]}
`)
	l.Kube("", "wait", "--for=condition=Established", "--timeout=60s", "crd/resourcesyncconfigs.dot-ai.devopstoolkit.live")
	replicas := []*fleet.Replica{l.start("k8s-vectordb-sync-0"), l.start("k8s-vectordb-sync-1")}
	for _, p := range replicas {
		p.WaitReady(time.Minute)
	}
	l.WaitEqual(converge)
	l.SetFaults(receiver.Rule{Effect: receiver.Effect{Status: http.StatusServiceUnavailable}})
	l.Kube("", "create", "namespace", "meanwhile")
	fleet.Eventually(t, converge, func() string {
		if got := eventsOf(l.Rig, l.namespace, "ReceiverDown"); len(got) != 1 {
			return fmt.Sprintf("Events of a receiver that is down: %q, want one", got)
		}
		return ""
	})
	l.SetFaults()
	l.Apply(fmt.Sprintf(declaredObject, "http://"+l.ReceiverAddress()+"/api/v1/resources/sync"))

	l.lookAtMetrics(replicas[0])
	l.lookInside(replicas[0])
	for token, want := range map[string]int{"": http.StatusUnauthorized, l.token("default", "editor"): http.StatusOK} {
		if code, body := l.ask(replicas[0], http.MethodGet, "/api/v1/status", token); code != want {
			t.Errorf("the status is answered %d, want %d: %.300s", code, want, body)
		}
	}
	if code, body := l.ask(replicas[0], http.MethodPost, "/api/v1/resync", l.token("default", "editor")); code != http.StatusOK {
		t.Errorf("a resync is answered %d %.300s", code, body)
	}

	secret := func(verb string) {
		args := []string{verb, "secret", "mcp-credentials", "-n", "dot-ai"}
		if verb == "create" {
			args = []string{"create", "secret", "generic", "mcp-credentials", "-n", "dot-ai", "--from-literal=api-key=" + fleet.Token}
		}
		l.Kube("", args...)
	}
	ready := func(want string) {
		t.Helper()
		fleet.Eventually(t, time.Minute, func() string {
			if s := l.Kube("", "get", "resourcesyncconfig", "default-sync", "-n", "dot-ai", "-o", `jsonpath={.status.conditions[?(@.type=="Ready")].status}`); s != want {
				return "Ready is " + s + ", want " + want
			}
			return ""
		})
	}
	ready("False")
	secret("create")
	ready("True")
	secret("delete")
	ready("False") // an Event as before: its count rises

	replicas[1].Kill()
	third := l.start("k8s-vectordb-sync-2")
	third.WaitReady(time.Minute)
	third.Stop(grace)
	replicas[1] = l.start("k8s-vectordb-sync-1")
	replicas[1].WaitReady(time.Minute)
	l.Apply(widgets("v1"))
	l.Kube("", "wait", "--for=condition=Established", "--timeout=30s", "crd/widgets.example.com")
	fill(l.Rig, "v1", 5)
	l.WaitEqual(converge)
	l.Kube("", "delete", "crd", "widgets.example.com")
	l.Kube("", "delete", "resourcesyncconfig", "default-sync", "-n", "dot-ai")
	l.WaitEqual(converge)
	replicas[1].Stop(grace)
	return replicas[0]
}

// withoutCheckpoints takes the right to write checkpoints away until the replica reports that, and reads its metric
// meanwhile.
func (l *life) withoutCheckpoints(p *fleet.Replica) {
	l.t.Helper()
	l.Kube("", "patch", "role", "k8s-vectordb-sync-ring-role", "-n", l.namespace, "--type=json",
		`-p=[{"op": "replace", "path": "/rules/1/verbs", "value": [get, list, watch]}]`)
	taken := time.Now()
	n := 0
	fleet.Eventually(l.t, converge, func() string {
		n++
		l.Kube("", "label", "--overwrite", "namespace", "dot-ai", "n="+strconv.Itoa(n))
		if !p.Logged("Checkpoint could not be written") {
			return "the log does not say that checkpoints cannot be written"
		}
		return ""
	})
	// The last write came before that; the watch of roles may have needed a moment.
	if at := l.metric(p, `k8s_vectordb_sync_checkpoint_timestamp_seconds{target="default"}`); at > float64(taken.Add(time.Second).Unix()) || at < float64(taken.Add(-time.Minute).Unix()) {
		l.t.Errorf("the checkpoint was last written at %v, and may not be since %v", at, taken.Unix())
	}
}

// lookAtMetrics reads the metrics with the chart's own account, which has that right. The server makes a certificate
// first, and a quick replica is ready before that.
func (l *life) lookAtMetrics(p *fleet.Replica) {
	l.t.Helper()
	fleet.Eventually(l.t, time.Minute, func() string {
		conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(l.t.Context(), "tcp", p.Metrics)
		if err != nil {
			return err.Error()
		}
		_ = conn.Close()
		return ""
	})
	fleet.Eventually(l.t, converge, func() string {
		if !p.Logged("Serving metrics server") {
			return "metrics are not served yet"
		}
		return ""
	})
	if n := l.metric(p, "k8s_vectordb_sync_dropped_total{"); n != 0 {
		l.t.Errorf("%v changes dropped", n)
	}
}

// lookInside has the debug endpoints answer callers who have the right.
func (l *life) lookInside(p *fleet.Replica) {
	l.t.Helper()
	const object = "_cluster/v1/Namespace/dot-ai"
	paths := []string{"/debug/objects?id=" + object, "/debug/types?type=namespaces", "/debug/checkpoints", "/debug/pprof/heap?debug=1", "/debug/pprof/"}
	for token, want := range map[string]int{
		"": http.StatusUnauthorized, l.token(l.namespace, l.account): http.StatusForbidden, l.token("default", "inspector"): http.StatusOK,
	} {
		for _, path := range paths {
			if code, body := l.get(http.MethodGet, "https://"+p.Metrics+path, token); code != want {
				l.t.Errorf("%s is answered %d, want %d: %.300s", path, code, want, body)
			}
		}
	}
	see := func(path string, v any) {
		_, body := l.get(http.MethodGet, "https://"+p.Metrics+path, l.token("default", "inspector"))
		if err := json.Unmarshal([]byte(body), v); err != nil {
			l.t.Errorf("%s: %v: %.300s", path, err, body)
		}
	}
	var o inspect.Object
	see(paths[0], &o)
	if o.ID != object || o.Type != "namespaces.v1" || o.Owner == "" || o.Index == nil || len(o.Targets) != 1 || o.Targets[0].Target != "default" {
		l.t.Errorf("an object that is in step is shown as %+v", o)
	}
	var types struct{ Types []inspect.Type }
	see(paths[1], &types)
	if len(types.Types) != 1 || !types.Types[0].Listed || types.Types[0].Objects == 0 {
		l.t.Errorf("a type that is watched is shown as %+v", types)
	}
	fleet.Eventually(l.t, time.Minute, func() string { // a replica writes one every ten seconds
		var all struct{ Checkpoints []inspect.Checkpoint }
		see(paths[2], &all)
		for _, c := range all.Checkpoints {
			see("/debug/checkpoints?name="+url.QueryEscape(c.Name), &all)
			if e := all.Checkpoints[0].Entries["namespaces.v1"]; e.Low > 0 {
				return ""
			}
		}
		return fmt.Sprintf("no checkpoint speaks of namespaces: %+v", all)
	})
}

// metric returns the value of the first series with this prefix.
func (l *life) metric(p *fleet.Replica, prefix string) float64 {
	l.t.Helper()
	code, body := l.get(http.MethodGet, "https://"+p.Metrics+"/metrics", l.token(l.namespace, l.account))
	if code != http.StatusOK {
		l.t.Fatalf("metrics: %d %.300s", code, body)
	}
	for line := range strings.Lines(body) {
		if strings.HasPrefix(line, prefix) {
			v, err := strconv.ParseFloat(strings.TrimSpace(line[strings.LastIndexByte(line, ' '):]), 64)
			if err != nil {
				l.t.Fatal(err)
			}
			return v
		}
	}
	l.t.Fatalf("no metric begins with %s", prefix)
	return 0
}

func (l *life) ask(p *fleet.Replica, method, path, token string) (int, string) {
	l.t.Helper()
	return l.get(method, "http://"+p.API+path, token)
}

func (l *life) get(method, url, token string) (code int, body string) {
	l.t.Helper()
	req, err := http.NewRequestWithContext(l.t.Context(), method, url, http.NoBody)
	if err != nil {
		l.t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := insecure.Do(req)
	if err != nil {
		l.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	content, err := io.ReadAll(resp.Body)
	if err != nil {
		l.t.Fatal(err)
	}
	return resp.StatusCode, string(content)
}

func (l *life) token(namespace, account string) string {
	l.t.Helper()
	config, err := l.ServiceAccountRESTConfig(l.t.Context(), namespace, account)
	if err != nil {
		l.t.Fatal(err)
	}
	return config.BearerToken
}

// judge compares an account's requests with its rights.
func judge(t *testing.T, r *fleet.Rig, manifest, account, namespace string, excused map[string]string) {
	t.Helper()
	events, err := r.AuditEvents()
	if err != nil {
		t.Fatal(err)
	}
	user := "system:serviceaccount:" + namespace + ":" + account
	events = slices.DeleteFunc(events, func(e controlplane.AuditEvent) bool { return e.User != user })
	if len(events) < 50 {
		t.Fatalf("%s has asked %d times: too little was tested", user, len(events))
	}
	denied := make(map[string]int)
	for _, e := range events {
		if e.Code == http.StatusForbidden || e.Code == http.StatusUnauthorized {
			denied[e.Verb+" "+e.Group+" "+e.Resource+" in "+e.Namespace]++
		}
	}
	for what, n := range denied {
		t.Errorf("denied %d times: %s", n, what)
	}
	checked := 0
	for _, g := range grants(t, manifest, account) {
		checked++
		if excused[g.verb+" "+g.resource] == "" && !slices.ContainsFunc(events, g.covers) {
			t.Errorf("%s allows to %s %s of %q in %q, which nobody has asked for", g.role, g.verb, g.resource, g.group, g.namespace)
		}
	}
	t.Logf("%d requests, %d of them denied; %d permissions", len(events), len(denied), checked)
}
