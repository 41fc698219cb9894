package config_test

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap/zapcore"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/config"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

// load reads an environment that names the replica, so that no test depends on the machine's name.
func load(t testing.TB, environ ...string) config.Config {
	t.Helper()
	c, err := config.FromEnviron(append(environ, "POD_NAME=sync-0"))
	if err != nil {
		t.Fatalf("FromEnviron(%q): %v", environ, err)
	}
	return c
}

// refused returns the errors for an environment that has to be refused, one for each mistake.
func refused(t testing.TB, environ ...string) []*config.Error {
	t.Helper()
	_, err := config.FromEnviron(append(environ, "POD_NAME=sync-0"))
	if err == nil {
		t.Fatalf("FromEnviron(%q) takes it, want an error", environ)
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		t.Fatalf("error %v is not joined of one for each mistake", err)
	}
	var all []*config.Error
	for _, err := range joined.Unwrap() {
		var e *config.Error
		if !errors.As(err, &e) {
			t.Fatalf("error %v names no variable", err)
		}
		all = append(all, e)
	}
	return all
}

func write(t testing.TB, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestDefaults(t *testing.T) {
	c := load(t)
	if got, want := c.Endpoint.String(), "http://localhost:3000/api/v1/instances/sync"; got != want {
		t.Errorf("Endpoint = %s, want %s", got, want)
	}
	if c.CapabilitiesEndpoint != nil {
		t.Errorf("CapabilitiesEndpoint = %s, want none", c.CapabilitiesEndpoint)
	}
	tests := map[string]struct{ got, want any }{
		"EndpointFormat":         {c.EndpointFormat, "cluster-whisperer"},
		"AuthTokenFile":          {c.AuthTokenFile, ""},
		"MaxInFlight":            {c.MaxInFlight, 2},
		"RequestTimeout":         {c.RequestTimeout, 90 * time.Second},
		"SettleTime":             {c.SettleTime, 60 * time.Second},
		"ResourceSyncConfig":     {c.ResourceSyncConfig, false},
		"DebounceWindow":         {c.DebounceWindow, 10 * time.Second},
		"DebounceMaxWait":        {c.DebounceMaxWait, 60 * time.Second},
		"BatchFlushInterval":     {c.BatchFlushInterval, 5 * time.Second},
		"BatchMaxSize":           {c.BatchMaxSize, 50},
		"BatchMaxBytes":          {c.BatchMaxBytes, 1 << 20},
		"DirtyMaxBytes":          {c.DirtyMaxBytes, int64(32 << 20)},
		"ShutdownTimeout":        {c.ShutdownTimeout, 25 * time.Second},
		"ResyncInterval":         {c.ResyncInterval, 24 * time.Hour},
		"VerifyInterval":         {c.VerifyInterval, time.Hour},
		"WatchNamespaces":        {len(c.WatchNamespaces), 0},
		"ExcludeNamespaces":      {len(c.ExcludeNamespaces), 0},
		"PodUID":                 {c.PodUID, ""},
		"PodNamespace":           {c.PodNamespace, "default"},
		"StatefulSetName":        {c.StatefulSetName, ""},
		"RingName":               {c.RingName, "k8s-vectordb-sync"},
		"LeaseDuration":          {c.LeaseDuration, 15 * time.Second},
		"LeaseRenewDeadline":     {c.LeaseRenewDeadline, 10 * time.Second},
		"LeaseRenewInterval":     {c.LeaseRenewInterval, 5 * time.Second},
		"StateDir":               {c.StateDir, ""},
		"APIBindAddress":         {c.APIBindAddress, ":8082"},
		"APIAuth":                {c.APIAuth, false},
		"MetricsBindAddress":     {c.MetricsBindAddress, ":8443"},
		"MetricsSecure":          {c.MetricsSecure, true},
		"MetricsCertDir":         {c.MetricsCertDir, ""},
		"HealthProbeBindAddress": {c.HealthProbeBindAddress, ":8081"},
		"LogLevel":               {c.LogLevel, zapcore.InfoLevel},
		"LogFormat":              {c.LogFormat, "json"},
		"Types":                  {c.Types.String(), "include= exclude=events,leases,endpointslices"},
		"Annotations":            {c.Selection.Annotations.String(), "include=description,*/description exclude="},
		"Labels":                 {c.Selection.Labels.String(), "include= exclude=*/?fd.timestamp"},
		"Selector":               {c.Selection.ServerSide(), ""},
		"OptOut":                 {c.Selection.OptOut, "vectordb-sync.io/ignore"},
		"SkipControlled":         {c.Selection.SkipControlled, false},
		"Extra":                  {len(c.Selection.Extra), 0},
		"Warnings":               {len(c.Warnings), 0},
	}
	for field, tt := range tests {
		if tt.got != tt.want {
			t.Errorf("%s = %v, want %v", field, tt.got, tt.want)
		}
	}
}

func TestDotAIHasDefaultsOfItsOwn(t *testing.T) {
	token := write(t, "token", "secret\n")
	m := load(t, "ENDPOINT_FORMAT=dot-ai", "AUTH_TOKEN_FILE="+token).Map()
	for name, want := range map[string]string{
		"REST_ENDPOINT": "http://localhost:3456/api/v1/resources/sync", "MAX_IN_FLIGHT": "8", "REQUEST_TIMEOUT_MS": "120000",
		"SETTLE_TIME_MS": "90000", "BATCH_MAX_SIZE": "20", "BATCH_MAX_BYTES": "786432", "DEBOUNCE_WINDOW_MS": "10000",
	} {
		if m[name] != want {
			t.Errorf("%s = %s, want %s", name, m[name], want)
		}
	}
}

// TestEveryVariableIsRead sets each to a value that is not its default, alone, and looks for it in the Config.
func TestEveryVariableIsRead(t *testing.T) {
	dir := t.TempDir()
	for _, file := range []string{"tls.crt", "tls.key", "token"} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	certificate(t, dir)
	tests := map[string]struct {
		value string
		with  []string // the other variables that the value needs
		get   func(config.Config) any
		want  any
	}{
		"ENDPOINT_FORMAT": {"DOT-AI", []string{"AUTH_TOKEN_FILE=" + dir + "/token"}, func(c config.Config) any { return c.EndpointFormat }, "dot-ai"},
		"REST_ENDPOINT": {" https://receiver.example.com/sync ", nil, func(c config.Config) any { return c.Endpoint.String() },
			"https://receiver.example.com/sync"},
		"INSTANCES_ENDPOINT":        {"http://[::1]:3000/sync", nil, func(c config.Config) any { return c.Endpoint.String() }, "http://[::1]:3000/sync"},
		"AUTH_TOKEN_FILE":           {dir + "/token", nil, func(c config.Config) any { return c.AuthTokenFile }, dir + "/token"},
		"ENDPOINT_CA_FILE":          {dir + "/ca.pem", nil, func(c config.Config) any { return c.Files.CA }, dir + "/ca.pem"},
		"ENDPOINT_CLIENT_CERT_FILE": {dir + "/ca.pem", []string{"ENDPOINT_CLIENT_KEY_FILE=" + dir + "/key.pem"}, func(c config.Config) any { return c.Files.Cert }, dir + "/ca.pem"},
		"ENDPOINT_CLIENT_KEY_FILE":  {dir + "/key.pem", []string{"ENDPOINT_CLIENT_CERT_FILE=" + dir + "/ca.pem"}, func(c config.Config) any { return c.Files.Key }, dir + "/key.pem"},
		"ENDPOINT_HEADERS_FILE":     {dir + "/headers", nil, func(c config.Config) any { return c.Files.Headers }, dir + "/headers"},
		"CAPABILITIES_ENDPOINT":     {"http://cw/scan", nil, func(c config.Config) any { return c.CapabilitiesEndpoint.String() }, "http://cw/scan"},
		"MAX_IN_FLIGHT":             {"3", nil, func(c config.Config) any { return c.MaxInFlight }, 3},
		"REQUEST_TIMEOUT_MS":        {"1500", nil, func(c config.Config) any { return c.RequestTimeout }, 1500 * time.Millisecond},
		"SETTLE_TIME_MS":            {"1", nil, func(c config.Config) any { return c.SettleTime }, time.Millisecond},
		"RESOURCE_SYNC_CONFIG":      {"true", nil, func(c config.Config) any { return c.ResourceSyncConfig }, true},
		"DEBOUNCE_WINDOW_MS":        {"0", nil, func(c config.Config) any { return c.DebounceWindow }, time.Duration(0)},
		"DEBOUNCE_MAX_WAIT_MS":      {"10000", nil, func(c config.Config) any { return c.DebounceMaxWait }, 10 * time.Second},
		"BATCH_FLUSH_INTERVAL_MS":   {"1", nil, func(c config.Config) any { return c.BatchFlushInterval }, time.Millisecond},
		"BATCH_MAX_SIZE":            {"1000000", nil, func(c config.Config) any { return c.BatchMaxSize }, 1000000},
		"BATCH_MAX_BYTES":           {"5242880", nil, func(c config.Config) any { return c.BatchMaxBytes }, 5242880},
		"DIRTY_MAX_BYTES":           {"1GiB", nil, func(c config.Config) any { return c.DirtyMaxBytes }, int64(1073741824)},
		"SHUTDOWN_TIMEOUT_MS":       {"0", nil, func(c config.Config) any { return c.ShutdownTimeout }, time.Duration(0)},
		"RESYNC_INTERVAL_MIN":       {"0", nil, func(c config.Config) any { return c.ResyncInterval }, time.Duration(0)},
		"WATCH_RESOURCE_TYPES":      {"Pods, deployments.apps,", nil, func(c config.Config) any { return c.Types.String() }, "include=Pods,deployments.apps exclude=events,leases,endpointslices"},
		"EXCLUDE_RESOURCE_TYPES":    {"", nil, func(c config.Config) any { return c.Types.String() }, "include= exclude="},
		"WATCH_NAMESPACES":          {"shop , payments", nil, func(c config.Config) any { return strings.Join(c.WatchNamespaces, "|") }, "shop|payments"},
		"EXCLUDE_NAMESPACES":        {"kube-system", nil, func(c config.Config) any { return strings.Join(c.ExcludeNamespaces, "|") }, "kube-system"},
		"ANNOTATION_INCLUDE":        {"", nil, func(c config.Config) any { return c.Selection.Annotations.Match("description") }, false},
		"ANNOTATION_EXCLUDE":        {"a.example.com/*", nil, func(c config.Config) any { return c.Selection.Annotations.Match("a.example.com/description") }, false},
		"LABEL_INCLUDE": {"app,*/name", nil, func(c config.Config) any {
			return c.Selection.Labels.Match("app.kubernetes.io/name") && !c.Selection.Labels.Match("tier")
		}, true},
		"LABEL_EXCLUDE":             {"", nil, func(c config.Config) any { return c.Selection.Labels.Match("nvidia.com/gfd.timestamp") }, true},
		"WATCH_LABEL_SELECTOR":      {"team=shop,tier notin (a, b)", nil, func(c config.Config) any { return c.Selection.Selector.String() }, "team=shop,tier notin (a,b)"},
		"OPT_OUT_ANNOTATION":        {"", nil, func(c config.Config) any { return c.Selection.OptOut }, ""},
		"SKIP_CONTROLLED":           {"true", nil, func(c config.Config) any { return c.Selection.SkipControlled }, true},
		"EXTRA_LABELS":              {"cluster=prod-eu, example.com/team=", nil, func(c config.Config) any { return fmt.Sprint(c.Selection.Extra) }, "map[cluster:prod-eu example.com/team:]"},
		"VERIFY_INTERVAL_MIN":       {"15", nil, func(c config.Config) any { return c.VerifyInterval }, 15 * time.Minute},
		"POD_NAME":                  {"sync-1.pods", nil, func(c config.Config) any { return c.PodName }, "sync-1.pods"},
		"POD_UID":                   {"7d1b7e4e-3c3f", nil, func(c config.Config) any { return c.PodUID }, "7d1b7e4e-3c3f"},
		"POD_NAMESPACE":             {"sync-system", nil, func(c config.Config) any { return c.PodNamespace }, "sync-system"},
		"STATEFUL_SET_NAME":         {"sync.of-somebody", nil, func(c config.Config) any { return c.StatefulSetName }, "sync.of-somebody"},
		"RING_NAME":                 {"other", nil, func(c config.Config) any { return c.RingName }, "other"},
		"LEASE_DURATION_MS":         {"12500", nil, func(c config.Config) any { return c.LeaseDuration }, 12500 * time.Millisecond},
		"LEASE_RENEW_DEADLINE_MS":   {"12000", nil, func(c config.Config) any { return c.LeaseRenewDeadline }, 12 * time.Second},
		"LEASE_RENEW_INTERVAL_MS":   {"7000", nil, func(c config.Config) any { return c.LeaseRenewInterval }, 7 * time.Second},
		"STATE_DIR":                 {dir + "/later", nil, func(c config.Config) any { return c.StateDir }, dir + "/later"},
		"API_BIND_ADDRESS":          {"127.0.0.1:9000", nil, func(c config.Config) any { return c.APIBindAddress }, "127.0.0.1:9000"},
		"API_AUTH":                  {"1", nil, func(c config.Config) any { return c.APIAuth }, true},
		"METRICS_BIND_ADDRESS":      {"0", nil, func(c config.Config) any { return c.MetricsBindAddress }, "0"},
		"METRICS_SECURE":            {"False", nil, func(c config.Config) any { return c.MetricsSecure }, false},
		"METRICS_CERT_DIR":          {dir, nil, func(c config.Config) any { return c.MetricsCertDir }, dir},
		"DEBUG_ENDPOINTS":           {"true", nil, func(c config.Config) any { return c.DebugEndpoints }, true},
		"HEALTH_PROBE_BIND_ADDRESS": {"[::1]:0", nil, func(c config.Config) any { return c.HealthProbeBindAddress }, "[::1]:0"},
		"LOG_LEVEL":                 {"Debug", nil, func(c config.Config) any { return c.LogLevel }, zapcore.DebugLevel},
		"LOG_FORMAT":                {"console", nil, func(c config.Config) any { return c.LogFormat }, "console"},
		"KUBECONFIG":                {"/does/not/exist", nil, func(c config.Config) any { return len(c.Warnings) }, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c, err := config.FromEnviron(append(tt.with, name+"="+tt.value))
			if err != nil {
				t.Fatal(err)
			}
			if got := tt.get(c); got != tt.want {
				t.Errorf("with %s=%s it is %v, want %v", name, tt.value, got, tt.want)
			}
		})
	}
	for _, s := range config.Settings() {
		if _, found := tests[s.Name]; !found {
			t.Errorf("no test sets %s", s.Name)
		}
	}
}

func TestMaxWaitFollowsTheWindowUnlessItIsSet(t *testing.T) {
	tests := map[string]struct {
		environ []string
		want    time.Duration
	}{
		"a short window":       {[]string{"DEBOUNCE_WINDOW_MS=1000"}, 60 * time.Second},
		"no window":            {[]string{"DEBOUNCE_WINDOW_MS=0"}, 60 * time.Second},
		"a long window":        {[]string{"DEBOUNCE_WINDOW_MS=20000"}, 120 * time.Second},
		"set, as the window":   {[]string{"DEBOUNCE_WINDOW_MS=20000", "DEBOUNCE_MAX_WAIT_MS=20000"}, 20 * time.Second},
		"set to nothing":       {[]string{"DEBOUNCE_WINDOW_MS=20000", "DEBOUNCE_MAX_WAIT_MS="}, 120 * time.Second},
		"the longest that can": {[]string{"DEBOUNCE_WINDOW_MS=3600000"}, 6 * time.Hour},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := load(t, tt.environ...).DebounceMaxWait; got != tt.want {
				t.Errorf("DebounceMaxWait = %s, want %s", got, tt.want)
			}
		})
	}
}

func TestEndpointMayBeMissingOnlyWithResourceSyncConfig(t *testing.T) {
	tests := map[string]struct {
		environ []string
		want    string // of the endpoint
	}{
		"unset":                  {[]string{"RESOURCE_SYNC_CONFIG=true"}, ""},
		"set to nothing":         {[]string{"RESOURCE_SYNC_CONFIG=1", "REST_ENDPOINT="}, ""},
		"set":                    {[]string{"RESOURCE_SYNC_CONFIG=true", "REST_ENDPOINT=http://cw/sync"}, "http://cw/sync"},
		"by its other name":      {[]string{"RESOURCE_SYNC_CONFIG=true", "INSTANCES_ENDPOINT=http://cw/sync"}, "http://cw/sync"},
		"by the other name only": {[]string{"REST_ENDPOINT=", "INSTANCES_ENDPOINT=http://cw/sync"}, "http://cw/sync"},
		"by both, equal":         {[]string{"REST_ENDPOINT=http://cw/sync", "INSTANCES_ENDPOINT=http://cw/sync"}, "http://cw/sync"},
		"dot-ai needs no token without an endpoint": {[]string{"RESOURCE_SYNC_CONFIG=true", "ENDPOINT_FORMAT=dot-ai"}, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := load(t, tt.environ...)
			if tt.want == "" && c.Endpoint != nil || tt.want != "" && (c.Endpoint == nil || c.Endpoint.String() != tt.want) {
				t.Errorf("Endpoint = %v, want %q", c.Endpoint, tt.want)
			}
		})
	}
	if errs := refused(t, "REST_ENDPOINT="); len(errs) != 1 || errs[0].Variable != "REST_ENDPOINT" {
		t.Errorf("errors %v, want one for REST_ENDPOINT", errs)
	}
}

func TestFirstOfTwoCountsAndRubbishIsPassedOver(t *testing.T) {
	c := load(t, "RING_NAME=first", "RING_NAME=second", "no-equals-sign", "=", "", "=C:=C:\\")
	if c.RingName != "first" {
		t.Errorf("RingName = %s, want first, as os.Getenv has it", c.RingName)
	}
}

func TestHostNamesTheReplicaUnlessPodNameDoes(t *testing.T) {
	host, err := os.Hostname()
	if err != nil {
		t.Skip("a machine without a name")
	}
	c, err := config.FromEnviron(nil)
	if err != nil {
		t.Skipf("a machine whose name cannot be a replica's: %v", err)
	}
	if want := strings.ToLower(host); c.PodName != want {
		t.Errorf("PodName = %s, want %s", c.PodName, want)
	}
}

func TestLogLevels(t *testing.T) {
	for value, want := range map[string]zapcore.Level{
		"debug": -1, "INFO": 0, "warn": 1, "error": 2, "0": 0, "1": -1, "4": -4, "10": -10, "": 0,
	} {
		c := load(t, "LOG_LEVEL="+value)
		if c.LogLevel != want {
			t.Errorf("LOG_LEVEL=%s is %d, want %d", value, c.LogLevel, want)
		}
		if again := load(t, "LOG_LEVEL="+c.Map()["LOG_LEVEL"]); again.LogLevel != want {
			t.Errorf("LOG_LEVEL=%s is shown as %s, which is %d", value, c.Map()["LOG_LEVEL"], again.LogLevel)
		}
	}
}

func TestFiltersAreReadyToUse(t *testing.T) {
	c := load(t, "WATCH_RESOURCE_TYPES=*.apps", "EXCLUDE_RESOURCE_TYPES=replicasets", "ANNOTATION_INCLUDE=*/owner")
	if !c.Types.Match(resource.Type{Group: "apps", Version: "v1", Resource: "deployments", Kind: "Deployment"}) ||
		c.Types.Match(resource.Type{Group: "apps", Version: "v1", Resource: "replicasets", Kind: "ReplicaSet"}) ||
		c.Types.Match(resource.Type{Version: "v1", Resource: "pods", Kind: "Pod"}) {
		t.Errorf("types %s do not match as they say", c.Types)
	}
	if !c.Selection.Annotations.Match("example.com/owner") || c.Selection.Annotations.Match("description") {
		t.Errorf("annotations %s do not match as they say", c.Selection.Annotations)
	}
}

func TestDefinitionsAreNoInstancesBesideCapabilities(t *testing.T) {
	definitions := resource.Type{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions", Kind: "CustomResourceDefinition"}
	const endpoint = "CAPABILITIES_ENDPOINT=http://cw/scan"
	for name, tt := range map[string]struct {
		environ []string
		want    bool
	}{
		"without": {nil, true}, "with": {[]string{endpoint}, false}, "asked for by a glob": {[]string{endpoint, "WATCH_RESOURCE_TYPES=*"}, false},
		"asked for":            {[]string{endpoint, "WATCH_RESOURCE_TYPES=pods,customresourcedefinitions"}, true},
		"asked for by a crd":   {[]string{endpoint, "WATCH_RESOURCE_TYPES=crd"}, true},
		"asked for and denied": {[]string{endpoint, "WATCH_RESOURCE_TYPES=crds,pods", "EXCLUDE_RESOURCE_TYPES=customresourcedefinitions"}, false},
	} {
		if got := load(t, tt.environ...).Types.Match(definitions); got != tt.want {
			t.Errorf("%s: definitions are sent: %v, want %v", name, got, tt.want)
		}
	}
}

// TestMapReadsBack checks that the settings in the log at the start, as an environment, give the same
// configuration.
func TestMapReadsBack(t *testing.T) {
	want := load(t, "DEBOUNCE_WINDOW_MS=20000", "BATCH_MAX_BYTES=2Mi", "WATCH_RESOURCE_TYPES=pods", "API_AUTH=true", "LOG_LEVEL=3",
		"CAPABILITIES_ENDPOINT=http://cw/scan", "ANNOTATION_EXCLUDE=a,b",
		"WATCH_LABEL_SELECTOR=a in (b,c),!d", "EXTRA_LABELS=z=1,cluster=eu").Map()
	var environ []string
	for name, value := range want {
		environ = append(environ, name+"="+value)
	}
	c, err := config.FromEnviron(environ)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, c.Map()); diff != "" {
		t.Errorf("map (-want +got):\n%s", diff)
	}
	if got, want := strings.Count(c.String(), "=")-strings.Count(strings.Join(slices.Collect(maps.Values(want)), ""), "="), len(want); got != want {
		t.Errorf("String() has %d settings, want %d: %s", got, want, c)
	}
	if !strings.HasPrefix(c.String(), "ANNOTATION_EXCLUDE=a,b ANNOTATION_INCLUDE=") {
		t.Errorf("String() = %s, want the names in order", c)
	}
}

func TestSettingsAreDocumented(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range config.Settings() {
		if s.Name == "" || s.Group == "" || s.Doc == "" || s.Want == "" || !strings.HasSuffix(s.Doc, ".") || seen[s.Name] {
			t.Errorf("setting %q has no group, no values, no full sentence, or stands there twice: %+v", s.Name, s)
		}
		seen[s.Name] = true
	}
}
