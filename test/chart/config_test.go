package chart_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	"sigs.k8s.io/yaml"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/config"
)

// notValues are the variables without a value under config, and the reasons.
var notValues = map[string]string{
	"POD_NAME":      "comes from the pod itself",
	"POD_UID":       "comes from the pod itself",
	"POD_NAMESPACE": "comes from the pod itself",
	"KUBECONFIG":    "is for controllers outside a cluster",

	"ENDPOINT_CA_FILE":          "is a key of endpointSecretRef",
	"ENDPOINT_CLIENT_CERT_FILE": "is a key of endpointSecretRef",
	"ENDPOINT_CLIENT_KEY_FILE":  "is a key of endpointSecretRef",
	"ENDPOINT_HEADERS_FILE":     "is a key of endpointSecretRef",
	"STATEFUL_SET_NAME":         "is the name of the chart's own StatefulSet",
	"RESOURCE_SYNC_CONFIG":      "is resourceSyncConfig.enabled, which brings the CustomResourceDefinition as well",
}

// variable returns the environment variable of a value under config: restEndpoint is REST_ENDPOINT.
func variable(value string) string {
	return strings.ToUpper(regexp.MustCompile(`[A-Z]`).ReplaceAllString(value, "_$0"))
}

// readConfig returns the values under config in values.yaml.
func readConfig(t *testing.T) map[string]any {
	t.Helper()
	raw, err := os.ReadFile(chartDir + "/values.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var all struct {
		Config map[string]any `json:"config"`
	}
	if err := yaml.Unmarshal(raw, &all); err != nil {
		t.Fatalf("reading values.yaml: %v", err)
	}
	return all.Config
}

func TestEverySettingIsAValue(t *testing.T) {
	t.Parallel()
	var got []string
	for value := range readConfig(t) {
		if value != "authTokenSecretRef" && value != "endpointSecretRef" { // the chart turns these into files
			got = append(got, variable(value))
		}
	}
	var want []string
	for _, s := range config.Settings() {
		if notValues[s.Name] == "" {
			want = append(want, s.Name)
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("values under config (-settings of the controller +chart):\n%s", diff)
	}
}

// A default in values.yaml equals the controller's, so that there is one truth.
func TestDefaultsAreTheControllers(t *testing.T) {
	t.Parallel()
	defaults := map[string]string{}
	for _, s := range config.Settings() {
		defaults[s.Name] = s.Default
		if s.DotAIDefault != "" {
			defaults[s.Name] = "one that depends on the format, which no default of the chart may stand for"
		}
	}
	// Only the chart knows these: the ring and the StatefulSet have the release's name, and the inventory has a
	// place.
	delete(defaults, "RING_NAME")
	delete(defaults, "STATEFUL_SET_NAME")
	delete(defaults, "STATE_DIR")
	for name, got := range environment(t, template(t)) {
		if want, ok := defaults[name]; ok && got != want {
			t.Errorf("%s=%s by default, want %s", name, got, want)
		}
	}
}

// The controller itself says whether it would start with the environment that the chart renders.
func TestControllerAcceptsTheEnvironmentOfEveryVariant(t *testing.T) {
	t.Parallel()
	for name, variant := range variants {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			env := environment(t, template(t, values(t, variant)...))
			provideFiles(t, env)
			for _, variable := range []string{"ENDPOINT_CA_FILE", "ENDPOINT_CLIENT_CERT_FILE", "ENDPOINT_CLIENT_KEY_FILE", "ENDPOINT_HEADERS_FILE"} {
				if strings.Contains(variant, "endpointSecretRef") && env[variable] == "" {
					t.Errorf("the chart does not set %s", variable)
				}
			}
			c, err := config.FromEnviron(environ(env))
			if err != nil {
				t.Fatalf("the controller refuses the environment: %v", err)
			}
			if len(c.Warnings) > 0 {
				t.Errorf("the controller warns: %v", c.Warnings)
			}
			for variable, got := range c.Map() {
				if want, set := env[variable]; set && !sameValue(want, got) {
					t.Errorf("%s=%q is understood as %q", variable, want, got)
				}
			}
		})
	}
}

// provideFiles points the variables that name files of the pod to files that exist here. They have real contents,
// because the program refuses certificates that are none.
func provideFiles(t *testing.T, env map[string]string) {
	t.Helper()
	dir := t.TempDir()
	cert, key := certificate(t)
	for name, content := range map[string][]byte{
		"token": []byte("content"), "headers": []byte("X-Team: search\n"), "tls.crt": cert, "tls.key": key,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for variable, name := range map[string]string{
		"AUTH_TOKEN_FILE": "token", "METRICS_CERT_DIR": "", "ENDPOINT_HEADERS_FILE": "headers",
		"ENDPOINT_CA_FILE": "tls.crt", "ENDPOINT_CLIENT_CERT_FILE": "tls.crt", "ENDPOINT_CLIENT_KEY_FILE": "tls.key",
	} {
		if env[variable] != "" {
			env[variable] = filepath.Join(dir, name)
		}
	}
}

// certificate returns a self-signed certificate and its key, as PEM.
func certificate(t *testing.T) (cert, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
}

func environ(env map[string]string) []string {
	var list []string
	for name, value := range env {
		list = append(list, name+"="+value)
	}
	return append(list, "POD_NAME=k8s-vectordb-sync-0", "POD_UID=7d1b7e4e-3c3f-4c52-9d0e-0a8c1c0f7a55", "POD_NAMESPACE="+namespace)
}

// sameValue compares values, and ignores the blanks of lists and the units of bytes.
func sameValue(a, b string) bool {
	return strings.ReplaceAll(a, " ", "") == strings.ReplaceAll(b, " ", "") || a == "64Mi" && b == "67108864"
}

func TestIdentityComesFromThePod(t *testing.T) {
	t.Parallel()
	for name, m := range map[string]manifests{"chart": template(t), "kustomize": kustomize(t, "basic")} {
		got := map[string]string{}
		for _, e := range controller(t, m).Env {
			if e.ValueFrom != nil {
				got[e.Name] = e.ValueFrom.FieldRef.FieldPath
			}
		}
		want := map[string]string{"POD_NAME": "metadata.name", "POD_UID": "metadata.uid", "POD_NAMESPACE": "metadata.namespace"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: identity (-want +got):\n%s", name, diff)
		}
	}
}

func TestRingsOfTwoReleasesStayApart(t *testing.T) {
	t.Parallel()
	a, b := templateAs(t, "blue"), templateAs(t, "green")
	ring := func(m manifests, name string) string {
		for _, e := range decode[appsv1.StatefulSet](t, m, "StatefulSet/"+name).Spec.Template.Spec.Containers[0].Env {
			if e.Name == "RING_NAME" {
				return e.Value
			}
		}
		return ""
	}
	if x, y := ring(a, "blue-k8s-vectordb-sync"), ring(b, "green-k8s-vectordb-sync"); x == y || x == "" {
		t.Errorf("rings of two releases are called %q and %q", x, y)
	}
}

func TestListsMayBeListsOrText(t *testing.T) {
	t.Parallel()
	const want = "deployments,services,statefulsets,configmaps"
	for name, args := range map[string][]string{
		"--set with a list":              {"--set", "config.watchResourceTypes={deployments,services,statefulsets,configmaps}"},
		"--set with escaped commas":      {"--set", `config.watchResourceTypes=deployments\,services\,statefulsets\,configmaps`},
		"--set-json":                     {"--set-json", `config.watchResourceTypes=["deployments","services","statefulsets","configmaps"]`},
		"--set-literal":                  {"--set-literal", "config.watchResourceTypes=deployments,services,statefulsets,configmaps"},
		"a values file with text":        values(t, "config: {watchResourceTypes: 'deployments,services,statefulsets,configmaps'}"),
		"a values file with a real list": values(t, "config: {watchResourceTypes: [deployments, services, statefulsets, configmaps]}"),
	} {
		if got := environment(t, template(t, args...))["WATCH_RESOURCE_TYPES"]; got != want {
			t.Errorf("%s: WATCH_RESOURCE_TYPES=%s, want %s", name, got, want)
		}
	}
	// Excluding nothing is not the same as leaving the default.
	if got, set := environment(t, template(t, "--set", "config.excludeResourceTypes="))["EXCLUDE_RESOURCE_TYPES"]; got != "" || !set {
		t.Errorf("EXCLUDE_RESOURCE_TYPES=%q, set: %v; want it set to nothing", got, set)
	}
}

// Large numbers of a values file reach the templates as floating-point ones.
func TestNumbersAreNotWrittenWithExponents(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{
		"--set":         {"--set", "config.batchMaxBytes=67108864"},
		"--set-json":    {"--set-json", "config.batchMaxBytes=67108864"},
		"a values file": values(t, "config: {batchMaxBytes: 67108864}"),
	} {
		if got := environment(t, template(t, args...))["BATCH_MAX_BYTES"]; got != "67108864" {
			t.Errorf("%s: BATCH_MAX_BYTES=%s", name, got)
		}
	}
}

func TestMistakesAreRefusedAndNamed(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ set, want string }{
		"a misspelled setting":        {"config.restEndpont=http://receiver/sync", "additional properties 'restEndpont' not allowed"},
		"a misspelled value":          {"replicas=3", "additional properties 'replicas' not allowed"},
		"a misspelled nested value":   {"metrics.certManager.enable=true", "'enable' not allowed"},
		"a misspelled probe":          {"livenessProbe.periodSecond=3", "'periodSecond' not allowed"},
		"no URL":                      {"config.restEndpoint=cluster-whisperer:3000", "/config/restEndpoint"},
		"a word for a number":         {"config.debounceWindowMs=ten", "/config/debounceWindowMs"},
		"a negative number":           {"config.batchMaxSize=-1", "/config/batchMaxSize"},
		"too large a number":          {"config.batchFlushIntervalMs=3600001", "/config/batchFlushIntervalMs"},
		"an unknown level":            {"config.logLevel=loud", "/config/logLevel"},
		"an unknown format":           {"config.endpointFormat=chroma", "'cluster-whisperer', 'dot-ai'"},
		"a malformed type":            {"config.watchResourceTypes={apps/deployments}", "/config/watchResourceTypes"},
		"an address without a port":   {"config.apiBindAddress=localhost", "/config/apiBindAddress"},
		"a relative folder":           {"config.stateDir=state", "/config/stateDir"},
		"a negative number of pods":   {"replicaCount=-1", "/replicaCount"},
		"a secret without a key":      {"config.authTokenSecretRef.key=", "/config/authTokenSecretRef/key"},
		"an issuer without a name":    {"metrics.certManager.issuerRef.kind=Issuer", "missing property 'name'"},
		"a reader without namespace":  {"metrics.readers[0].name=prometheus", "missing property 'namespace'"},
		"nobody who may call":         {"networkPolicy.apiFrom=null,networkPolicy.metricsFrom={}", "/networkPolicy/metricsFrom"},
		"a digest that is none":       {"image.digest=latest", "/image/digest"},
		"two different endpoints":     {"config.restEndpoint=http://a/b,config.instancesEndpoint=http://c/d", "two names of one setting"},
		"two sources of a token":      {"config.authTokenFile=/t,config.authTokenSecretRef.name=s", "exclude one another"},
		"two metrics certificates":    {"metrics.certManager.enabled=true,metrics.existingCertSecret=s", "exclude one another"},
		"a monitor of no metrics":     {"metrics.serviceMonitor.enabled=true,config.metricsBindAddress=0", "turns them off"},
		"a Secret that is none":       {"resourceSyncConfig.secrets.names={My Secret}", "/resourceSyncConfig/secrets/names"},
		"a variable of the chart":     {"extraEnv[0].name=REST_ENDPOINT,extraEnv[0].value=x", "extraEnv names REST_ENDPOINT"},
		"an autoscaler going back":    {"autoscaling.enabled=true,autoscaling.minReplicas=9", "more than autoscaling.maxReplicas"},
		"a ring that is no label":     {"config.ringName=eu.west", "/config/ringName"},
		"a ring of a long name":       {"config.ringName=" + strings.Repeat("r", 64), "/config/ringName"},
		"too short a lease":           {"config.leaseDurationMs=11000", "config.leaseRenewDeadlineMs is 10000, too close to config.leaseDurationMs, 11000: want at least 2200"},
		"renewals too far apart":      {"config.leaseRenewIntervalMs=8000", "config.leaseRenewIntervalMs is 8000, too close to config.leaseRenewDeadlineMs"},
		"no time to be quiet":         {"config.debounceMaxWaitMs=9000", "less than config.debounceWindowMs, 10000"},
		"two servers at one port":     {"config.apiBindAddress=:8443", "config.apiBindAddress and config.metricsBindAddress are at one port, 8443"},
		"an autoscaler without a way": {"autoscaling.enabled=true,autoscaling.targetCPUUtilizationPercentage=null", "something to go by"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			set := test.set
			if !strings.Contains(set, "restEndpoint=") {
				set += ",config.restEndpoint=" + endpoint
			}
			if message := refused(t, "--set", set); !strings.Contains(message, test.want) {
				t.Errorf("message:\n%s\nwant %q in it", message, test.want)
			}
		})
	}
}
