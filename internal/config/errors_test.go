package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/config"
)

// TestBadValues has wrong values for each variable, with the one mistake that is reported.
func TestBadValues(t *testing.T) {
	dir := t.TempDir()
	empty, lines := write(t, "empty", " \n"), write(t, "lines", "a\nb")
	tests := map[string][]struct{ value, problem string }{
		"ENDPOINT_FORMAT": {{"qdrant", "unknown"}},
		"REST_ENDPOINT": {
			{"cluster-whisperer:3000", "has no scheme http or https"}, {"localhost", "has no scheme http or https"}, {"/api/v1", "has no scheme http or https"},
			{"ftp://cw/sync", "has no scheme http or https"}, {"http:///sync", "has no host"}, {"http://:3000/sync", "has no host"}, {"http:cw", "has no host"},
			{"http://cw:port/", "not a URL"}, {"http://cw:0/", "has a port that is none"}, {"http://cw:65536/", "has a port that is none"},
			{"http://c w/", "not a URL"}, {"http://user@cw/", "has a user or password, which belong into AUTH_TOKEN_FILE"},
			{"http://user:pw@cw/", "has a user or password, which belong into AUTH_TOKEN_FILE"}, {"http://cw/?", "has a query"},
			{"http://cw/?a=b", "has a query"}, {"http://cw/#x", "has a fragment"}, {"http://cw/#", "has a fragment"},
		},
		"INSTANCES_ENDPOINT":        {{"cw", "has no scheme http or https"}},
		"ENDPOINT_CA_FILE":          {{"ca", "not an absolute path"}, {lines, "file " + lines + " holds no certificate, want PEM blocks of type CERTIFICATE"}},
		"ENDPOINT_CLIENT_CERT_FILE": {{"cert", "not an absolute path"}, {lines, "set without ENDPOINT_CLIENT_KEY_FILE"}},
		"ENDPOINT_CLIENT_KEY_FILE":  {{"key", "not an absolute path"}, {lines, "set without ENDPOINT_CLIENT_CERT_FILE"}},
		"ENDPOINT_HEADERS_FILE":     {{"headers", "not an absolute path"}, {lines, "reading the headers of " + lines + ": line 1 is no header, want Name: value, line 2 is no header, want Name: value"}},
		"CAPABILITIES_ENDPOINT":     {{"cw", "has no scheme http or https"}},
		"AUTH_TOKEN_FILE": {
			{"token", "not an absolute path"}, {dir + "/none", "the file does not exist"}, {dir, "not a file"}, {os.DevNull, "not a file"},
			{empty, "the file is empty"}, {lines, "the file holds more than a token in one line"},
			{write(t, "long", strings.Repeat("a", 65537)), "the file is too long for a token"}, {lines + "/x", "the file cannot be read"},
		},
		"MAX_IN_FLIGHT":           {{"0", "less than 1"}, {"-1", "negative"}, {"1001", "more than 1000"}, {"two", "not a number"}},
		"REQUEST_TIMEOUT_MS":      {{"0", "less than 1"}, {"90s", "not a number"}, {"3600001", "more than 3600000"}},
		"SETTLE_TIME_MS":          {{"0", "less than 1"}, {"-60000", "negative"}},
		"RESOURCE_SYNC_CONFIG":    {{"yes", "neither true nor false"}},
		"DEBOUNCE_WINDOW_MS":      {{"ten", "not a number"}, {"-1", "negative"}, {"1.5", "not a whole number"}, {"1e4", "not a whole number"}, {"99999999999999999999", "out of range"}, {"9223372036854775807", "more than 3600000"}},
		"DEBOUNCE_MAX_WAIT_MS":    {{"9999", "less than DEBOUNCE_WINDOW_MS=10000"}, {"0", "less than DEBOUNCE_WINDOW_MS=10000"}, {"86400001", "more than 86400000"}},
		"BATCH_FLUSH_INTERVAL_MS": {{"0", "less than 1"}, {"5 s", "not a number"}},
		"BATCH_MAX_SIZE":          {{"0", "less than 1"}, {"-50", "negative"}, {"1000001", "more than 1000000"}},
		"BATCH_MAX_BYTES":         {{"5242881", "more than cluster-whisperer takes"}, {"6Mi", "more than cluster-whisperer takes"}, {"4095", "less than 4096"}, {"1Gi", "more than 67108864"}, {"99999999999Gi", "more than 67108864"}, {"-1Mi", "negative"}, {"-9223372036854775807Ki", "negative"}, {"Mi", "not a number of bytes"}, {"1MB", "not a number"}, {"1.5Mi", "not a number of bytes"}},
		"DIRTY_MAX_BYTES":         {{"0", "less than 1048576"}, {"2000Gi", "more than 1099511627776"}},
		"SHUTDOWN_TIMEOUT_MS":     {{"-1", "negative"}},
		"RESYNC_INTERVAL_MIN":     {{"-1440", "negative"}, {"525601", "more than 525600"}, {"24h", "not a number"}},
		"WATCH_RESOURCE_TYPES": {
			{"pods,apps/v1/deployments", "entry apps/v1/deployments is no resource type"},
			{"pods/status,,a!b", "entry pods/status is a subresource, which nobody can watch: pods is watched whole, entry 2 is empty, entry a!b is no resource type"},
			{",pods", "entry 1 is empty"},
		},
		"VERIFY_INTERVAL_MIN":       {{"-1", "negative"}, {"10081", "more than 10080"}, {"1h", "not a number"}},
		"EXCLUDE_RESOURCE_TYPES":    {{"[", "entry [ is no resource type"}, {"pods,*", "leaves nothing of WATCH_RESOURCE_TYPES="}},
		"WATCH_NAMESPACES":          {{"shop,Shop", "entry Shop is no DNS label"}, {"*", "entry * is no DNS label"}},
		"EXCLUDE_NAMESPACES":        {{"_cluster", "entry _cluster is no DNS label"}},
		"ANNOTATION_INCLUDE":        {{"a,[", "entry [ is no annotation"}},
		"ANNOTATION_EXCLUDE":        {{`\`, `entry \ is no annotation`}},
		"LABEL_INCLUDE":             {{"a,[", "entry [ is no label"}},
		"LABEL_EXCLUDE":             {{`\`, `entry \ is no label`}},
		"WATCH_LABEL_SELECTOR":      {{"a in b", "no label selector"}, {"=a", "no label selector"}},
		"OPT_OUT_ANNOTATION":        {{"a b", "no key of an annotation"}},
		"SKIP_CONTROLLED":           {{"some", "neither true nor false"}},
		"EXTRA_LABELS":              {{"cluster", "entry cluster has no value"}, {"a b=c", "entry a b=c has a key that no label can have"}, {"a=b c", "entry a=b c has a value that no label can have"}, {"a=b,a=c", "entry a=c repeats a key"}},
		"POD_NAME":                  {{"Sync_0", "no DNS subdomain"}},
		"POD_UID":                   {{"a b", "no DNS subdomain"}},
		"POD_NAMESPACE":             {{"a.b", "no DNS label"}},
		"STATEFUL_SET_NAME":         {{"A set", "no DNS subdomain"}},
		"RING_NAME":                 {{strings.Repeat("r", 64), "no DNS label"}},
		"LEASE_DURATION_MS":         {{"999", "less than 1000"}, {"15s", "not a number"}},
		"LEASE_RENEW_DEADLINE_MS":   {{"12001", "too close to LEASE_DURATION_MS=15000"}, {"15000", "too close to LEASE_DURATION_MS=15000"}, {"0", "less than 1"}},
		"LEASE_RENEW_INTERVAL_MS":   {{"7001", "too close to LEASE_RENEW_DEADLINE_MS=10000"}, {"0", "less than 1"}},
		"STATE_DIR":                 {{"state", "not an absolute path"}, {lines, "not a directory"}},
		"API_BIND_ADDRESS":          {{"8082", "not an address with a port"}, {":http", "has a port that is none"}, {":65536", "has a port that is none"}, {"a b:1", "has a host that is none"}, {"::1:80", "not an address with a port"}, {"0", "not an address with a port"}},
		"METRICS_BIND_ADDRESS":      {{"off", "not an address with a port"}, {"127.0.0.1:8082", "the same port as API_BIND_ADDRESS=:8082"}},
		"METRICS_SECURE":            {{"2", "neither true nor false"}},
		"METRICS_CERT_DIR":          {{"certs", "not an absolute path"}},
		"API_AUTH":                  {{"on", "neither true nor false"}},
		"DEBUG_ENDPOINTS":           {{"yes", "neither true nor false"}},
		"HEALTH_PROBE_BIND_ADDRESS": {{":8443", "the same port as METRICS_BIND_ADDRESS=:8443"}, {":-1", "has a port that is none"}},
		"LOG_LEVEL":                 {{"trace", "unknown level"}, {"-1", "unknown level"}, {"11", "unknown level"}, {"300", "unknown level"}},
		"LOG_FORMAT":                {{"text", "unknown"}},
	}
	for name, cases := range tests {
		for _, tt := range cases {
			t.Run(name+"="+tt.value, func(t *testing.T) {
				_, err := config.FromEnviron([]string{name + "=" + tt.value})
				want := name + "="
				if err == nil || !strings.HasPrefix(err.Error(), want) || !strings.Contains(err.Error(), ": "+tt.problem+"; want ") {
					t.Fatalf("error is %v, want %s…: %s; want …", err, want, tt.problem)
				}
				if lines := strings.Count(err.Error(), "\n") + 1; lines != 1 {
					t.Errorf("one mistake has %d errors:\n%v", lines, err)
				}
			})
		}
	}
	for _, s := range config.Settings() {
		if _, found := tests[s.Name]; !found && s.Name != "KUBECONFIG" {
			t.Errorf("no test gives %s a bad value", s.Name)
		}
	}
}

func TestVariablesThatContradictEachOther(t *testing.T) {
	token, cert := write(t, "token", "secret"), write(t, "tls.crt", "x")
	tests := map[string]struct {
		environ []string
		want    []string // NAME=value: problem
	}{
		"two endpoints": {
			[]string{"REST_ENDPOINT=http://a/", "INSTANCES_ENDPOINT=http://b/"}, []string{"INSTANCES_ENDPOINT=http://b/: not the value of REST_ENDPOINT"},
		},
		"no receiver": {[]string{"REST_ENDPOINT=", "RESOURCE_SYNC_CONFIG=false"}, []string{"REST_ENDPOINT=: empty: there is no receiver"}},
		"dot-ai without a token": {
			[]string{"ENDPOINT_FORMAT=dot-ai"}, []string{"AUTH_TOKEN_FILE=: not set, and dot-ai answers nobody without a token"},
		},
		"the window is longer than the wait": {
			[]string{"DEBOUNCE_WINDOW_MS=2000", "DEBOUNCE_MAX_WAIT_MS=1000"}, []string{"DEBOUNCE_MAX_WAIT_MS=1000: less than DEBOUNCE_WINDOW_MS=2000"},
		},
		"namespaces in both lists": {
			[]string{"WATCH_NAMESPACES=a,b,c", "EXCLUDE_NAMESPACES=x,c,a"},
			[]string{"EXCLUDE_NAMESPACES=x,c,a: has c, which is in WATCH_NAMESPACES too", "EXCLUDE_NAMESPACES=x,c,a: has a, which is in WATCH_NAMESPACES too"},
		},
		"no types are left": {
			[]string{"WATCH_RESOURCE_TYPES=events,Leases.coordination.k8s.io"},
			[]string{"EXCLUDE_RESOURCE_TYPES=events,leases,endpointslices: leaves nothing of WATCH_RESOURCE_TYPES=events,Leases.coordination.k8s.io"},
		},
		"a lease too short for its defaults": {
			[]string{"LEASE_DURATION_MS=10000"}, []string{"LEASE_RENEW_DEADLINE_MS=10000: too close to LEASE_DURATION_MS=10000"},
		},
		"a lease upside down": {
			[]string{"LEASE_DURATION_MS=5000", "LEASE_RENEW_DEADLINE_MS=10000", "LEASE_RENEW_INTERVAL_MS=15000"},
			[]string{"LEASE_RENEW_DEADLINE_MS=10000: too close to LEASE_DURATION_MS=5000", "LEASE_RENEW_INTERVAL_MS=15000: too close to LEASE_RENEW_DEADLINE_MS=10000"},
		},
		"all servers on one port": {
			[]string{"API_BIND_ADDRESS=0.0.0.0:80", "METRICS_BIND_ADDRESS=10.0.0.1:80", "HEALTH_PROBE_BIND_ADDRESS=10.0.0.1:80"},
			[]string{
				"METRICS_BIND_ADDRESS=10.0.0.1:80: the same port as API_BIND_ADDRESS=0.0.0.0:80",
				"HEALTH_PROBE_BIND_ADDRESS=10.0.0.1:80: the same port as API_BIND_ADDRESS=0.0.0.0:80",
			},
		},
		"a look inside where there is no server": {
			[]string{"DEBUG_ENDPOINTS=true", "METRICS_BIND_ADDRESS=0"}, []string{"DEBUG_ENDPOINTS=true: there is no server for them: METRICS_BIND_ADDRESS=0"},
		},
		"a certificate without a key": {
			[]string{"METRICS_CERT_DIR=" + filepath.Dir(cert)}, []string{"METRICS_CERT_DIR=" + filepath.Dir(cert) + ": tls.key: the file does not exist"},
		},
		"nothing that depends on what is wrong already": {
			[]string{"DEBOUNCE_WINDOW_MS=x", "DEBOUNCE_MAX_WAIT_MS=0", "LEASE_DURATION_MS=x", "LEASE_RENEW_DEADLINE_MS=1", "RESOURCE_SYNC_CONFIG=x", "REST_ENDPOINT="},
			[]string{"RESOURCE_SYNC_CONFIG=x: neither true nor false", "DEBOUNCE_WINDOW_MS=x: not a number", "LEASE_DURATION_MS=x: not a number"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, e := range refused(t, tt.environ...) {
				got = append(got, e.Variable+"="+e.Value+": "+e.Problem)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("errors (-want +got):\n%s", diff)
			}
		})
	}

	for name, environ := range map[string][]string{
		"servers on one port of two addresses": {"API_BIND_ADDRESS=127.0.0.1:80", "HEALTH_PROBE_BIND_ADDRESS=127.0.0.2:80"},
		"servers on free ports":                {"API_BIND_ADDRESS=:0", "HEALTH_PROBE_BIND_ADDRESS=:0", "METRICS_BIND_ADDRESS=:0"},
		"metrics off, so nobody needs the key": {"METRICS_BIND_ADDRESS=0", "METRICS_CERT_DIR=/does/not/exist"},
		"metrics in the clear":                 {"METRICS_SECURE=false", "METRICS_CERT_DIR=/does/not/exist"},
		"dot-ai takes more than 5 MiB":         {"ENDPOINT_FORMAT=dot-ai", "AUTH_TOKEN_FILE=" + token, "BATCH_MAX_BYTES=6Mi"},
		"a short lease":                        {"LEASE_DURATION_MS=1500", "LEASE_RENEW_DEADLINE_MS=1000", "LEASE_RENEW_INTERVAL_MS=500"},
	} {
		t.Run(name, func(t *testing.T) { load(t, environ...) })
	}
}

// TestAllErrorsAtOnce compares the whole text that an operator reads.
func TestAllErrorsAtOnce(t *testing.T) {
	c, err := config.FromEnviron([]string{
		"POD_NAME=sync-0", "LOG_LEVEL=loud", "DEBOUNCE_WINDOW_MS=ten", "BATCH_MAX_SIZE=0", "REST_ENDPOINT=http://cw:3000/sync?key=k",
		"API_BIND_ADDRESS=8082", "WATCH_NAMESPACES=a", "EXCLUDE_NAMESPACES=a", "BATCH_MAX_SIZ=5", "BATCH_MAX_BYTES=5242881",
	})
	const want = `REST_ENDPOINT=http://cw:3000/sync?xxxxx: has a query; want a URL such as http://cluster-whisperer:3000/api/v1/instances/sync
DEBOUNCE_WINDOW_MS=ten: not a number; want whole milliseconds such as 10000, at most 3600000
BATCH_MAX_SIZE=0: less than 1; want a whole number from 1 to 1000000
API_BIND_ADDRESS=8082: not an address with a port; want an address such as :8082
LOG_LEVEL=loud: unknown level; want debug, info, warn, error, or a verbosity from 0 (info) and 1 (debug) to 10
BATCH_MAX_BYTES=5242881: more than cluster-whisperer takes; want at most 5242880
EXCLUDE_NAMESPACES=a: has a, which is in WATCH_NAMESPACES too; want each namespace in one of the two lists`
	if err == nil {
		t.Fatal("FromEnviron() takes it, want errors")
	}
	if diff := cmp.Diff(want, err.Error()); diff != "" {
		t.Errorf("errors (-want +got):\n%s", diff)
	}
	if len(c.Warnings) != 1 || c.Endpoint != nil || c.RingName != "" {
		t.Errorf("beside an error the configuration is %+v, want warnings alone", c)
	}
}

func TestErrorsNeverShowCredentials(t *testing.T) {
	for _, entry := range []string{
		"REST_ENDPOINT=http://user:hunter2@cw/sync", "REST_ENDPOINT=http://user:hunter2@cw:port/", "REST_ENDPOINT=http://user:hun/ter2@cw/",
		"REST_ENDPOINT=http://user:a@hunter2@cw/", "REST_ENDPOINT=user:hunter2@cw", "REST_ENDPOINT=http://hunter2@cw", "REST_ENDPOINT=http://cw/?token=hunter2",
		"REST_ENDPOINT=http://cw/%zz?token=hunter2", "REST_ENDPOINT=http://u:hun?ter2@cw/", "REST_ENDPOINT=http://u:hun#ter2@cw/", "INSTANCES_ENDPOINT=://u:hunter2@",
		"CAPABILITIES_ENDPOINT=http://user:hunter2@cw/scan", "AUTH_TOKEN_FILE=hunter2", "AUTH_TOKEN_FILE=Bearer hunter2", "API_BIND_ADDRESS=http://u:hunter2@h",
		"AUTH_TOKEN_FILE=" + write(t, "token", "hunter2 hunter2"), "WATCH_NAMESPACES=http://u:hunter2@h",
	} {
		_, err := config.FromEnviron([]string{entry})
		if err == nil {
			t.Errorf("FromEnviron takes %s", entry)
			continue
		}
		for _, secret := range []string{"hun", "ter2"} {
			if strings.Contains(err.Error(), secret) {
				t.Errorf("the error for %s shows the credential: %v", entry, err)
			}
		}
	}
}

func TestErrorsFitOneLineOfALog(t *testing.T) {
	for name, value := range map[string]string{
		"line break": "a\nERROR forged", "terminal control": "a\x1b[31m", "no UTF-8": "\xff\xfe", "very long": strings.Repeat("x", 100_000),
		"very long, wide": "x" + strings.Repeat("é", 50_000),
	} {
		t.Run(name, func(t *testing.T) {
			for _, variable := range []string{"RING_NAME", "WATCH_NAMESPACES", "METRICS_BIND_ADDRESS", "REST_ENDPOINT", "LOG_LEVEL"} {
				_, err := config.FromEnviron([]string{variable + "=" + value})
				if err == nil {
					t.Fatalf("FromEnviron takes %s=%.100q", variable, value)
				}
				if text := err.Error(); strings.ContainsAny(text, "\n\x1b\xff\uFFFD") || len(text) > 1000 {
					t.Errorf("error %.1500q does not fit one line of a log", text)
				}
			}
		})
	}
}

func TestMisspelledVariablesAreWarnings(t *testing.T) {
	tests := map[string]string{ // the variable that is meant; empty for no warning
		"DEBOUNCE_WINDOW_MSS": "DEBOUNCE_WINDOW_MS", "DEBONCE_WINDOW_MS": "DEBOUNCE_WINDOW_MS", "DEBOUNCE_WINDOWS_MS": "DEBOUNCE_WINDOW_MS",
		"RESYNC_INTERVAL_MS": "RESYNC_INTERVAL_MIN", "BATCH_MAXSIZE": "BATCH_MAX_SIZE", "LOG_LEVL": "LOG_LEVEL", "AUTH_TOKEN": "AUTH_TOKEN_FILE",
		"EXCLUDE_NAMESPACE": "EXCLUDE_NAMESPACES", "REST_ENDPOINTS": "REST_ENDPOINT", "STATEDIR": "STATE_DIR", "LOGLEVEL": "LOG_LEVEL", "DEBOUNCE_WINDOW": "DEBOUNCE_WINDOW_MS",
		"POD_IP": "", "NODE_NAME": "", "POD_NAMES": "POD_NAME", "PDO_NAME": "POD_NAME", "HOSTNAME": "", "PATH": "", "HOME": "", "LOG": "", "API": "", "KUBERNETES_SERVICE_HOST": "",
		"GOMEMLIMIT": "", "K8S_VECTORDB_SYNC_PORT": "", "debounce_window_ms": "", "LANG": "", "TERM": "", "": "", "_": "", "POD_": "",
	}
	for name, meant := range tests {
		t.Run(name, func(t *testing.T) {
			var want []string
			if meant != "" {
				want = []string{name + " is not a variable of this program, is " + meant + " meant?"}
			}
			if diff := cmp.Diff(want, load(t, name+"=s3cret").Warnings); diff != "" {
				t.Errorf("warnings (-want +got):\n%s", diff)
			}
		})
	}
}

// FuzzFromEnviron sets any variable to any value. FromEnviron either refuses the configuration with errors of one
// line each that name a variable, or the configuration is sound and reads back from its own map.
func FuzzFromEnviron(f *testing.F) {
	f.Add("DEBOUNCE_WINDOW_MS", "ten", "BATCH_MAX_SIZE", "0")
	f.Add("REST_ENDPOINT", "http://u:p@h/?q#f", "INSTANCES_ENDPOINT", "http://h")
	f.Add("WATCH_RESOURCE_TYPES", "*.example.com,pods.v1", "EXCLUDE_RESOURCE_TYPES", "*")
	f.Add("LEASE_DURATION_MS", "1000", "LEASE_RENEW_DEADLINE_MS", "99999999999999999999")
	f.Add("API_BIND_ADDRESS", "[::1]:80", "METRICS_BIND_ADDRESS", ":80")
	f.Add("BATCH_MAX_BYTES", "4096KiB", "DIRTY_MAX_BYTES", "-1Gi")
	f.Add("LOG_LEVEL", "7", "ANNOTATION_INCLUDE", "[a-z]*,*/description")
	f.Add("ENDPOINT_FORMAT", "dot-ai", "RESOURCE_SYNC_CONFIG", "t")
	f.Add("DEBOUNCE_WINDOW_MSS", "1", "AUTH_TOKEN_FILE", "/dev/null")
	f.Fuzz(func(t *testing.T, name1, value1, name2, value2 string) {
		environ := []string{"POD_NAME=sync-0", name1 + "=" + value1, name2 + "=" + value2}
		c, err := config.FromEnviron(environ)
		if err != nil {
			for line := range strings.SplitSeq(err.Error(), "\n") {
				if !strings.Contains(line, "=") || !strings.Contains(line, "; want ") {
					t.Errorf("line %q of the error for %q does not say what is wrong with what", line, environ)
				}
			}
			return
		}
		if c.Endpoint == nil && !c.ResourceSyncConfig || c.DebounceMaxWait < c.DebounceWindow || c.BatchMaxSize < 1 || c.BatchMaxBytes < 4096 ||
			c.MaxInFlight < 1 || c.LeaseRenewInterval >= c.LeaseRenewDeadline || c.LeaseRenewDeadline >= c.LeaseDuration || c.PodName == "" {
			t.Errorf("%q gives %s", environ, c)
		}
		var again []string
		for name, value := range c.Map() {
			again = append(again, name+"="+value)
		}
		d, err := config.FromEnviron(again)
		if err != nil {
			t.Fatalf("%q gives %s, which is refused: %v", environ, c, err)
		}
		if diff := cmp.Diff(c.Map(), d.Map()); diff != "" {
			t.Errorf("%q does not read back (-want +got):\n%s", environ, diff)
		}
	})
}
