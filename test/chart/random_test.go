package chart_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/restmapper"
	"sigs.k8s.io/yaml"
)

// examples are values for parts that the schema leaves open, by path or by definition: texts that fit a pattern, and
// objects whose schema is Kubernetes'. A list of nil stands for a part that is not drawn.
var examples = map[string][]any{
	"#/definitions/url":           {"http://cluster-whisperer:3000/api/v1/instances/sync", "https://receiver.example.com/sync", ""},
	"#/definitions/address":       {":7001", "0.0.0.0:7002", "127.0.0.1:7003", ""},
	"#/definitions/optionalPath":  {"/var/a", "/b/c", ""},
	"#/definitions/optionalLabel": {"blue", "r2-d2", ""},
	"#/definitions/optionalName":  {"their-name", "a.b", ""},
	"#/definitions/optionalWord":  {"sync", "search.eu", ""},
	"#/definitions/name":          {"one", "t.w.o"}, "#/definitions/namespace": {"team", "monitoring"},
	"#/definitions/namespaceList":    {"team,monitoring", []any{"team"}, "", nil},
	"#/definitions/optionalDuration": {"30s", "1h30m", ""},
	"#/definitions/optionalBytes":    {"64Mi", 1048576, "1Gi", ""},
	"#/definitions/labels":           {map[string]any{"team": "search"}, map[string]any{"example.com/a": "B_1.c"}, map[string]any{}},
	"#/definitions/annotations":      {map[string]any{"example.com/note": "two words"}, map[string]any{}},
	"#/definitions/alertLabels":      {map[string]any{"team": "search"}, map[string]any{}},
	"#/definitions/words":            {"a,b/*", []any{"description", "*/c"}, "", nil},
	"#/definitions/typePatterns":     {"pods, *.apps", []any{"deployments.apps", "widgets"}, "", nil},
	"#/definitions/peer":             {map[string]any{"podSelector": map[string]any{}}, map[string]any{"ipBlock": map[string]any{"cidr": "192.0.2.0/24"}}},
	"#/definitions/namedObjects":     {[]any{}},
	"#/definitions/image":            {map[string]any{"repository": "registry.example.com/a/b", "tag": "v1"}, map[string]any{"digest": "sha256:" + strings.Repeat("0", 64)}},
	"#/definitions/resources":        {map[string]any{"requests": map[string]any{"cpu": "10m"}, "limits": map[string]any{"memory": "1Gi"}}, map[string]any{"limits": nil}},
	"#/definitions/rules":            {[]any{map[string]any{"apiGroups": []any{"example.com"}, "resources": []any{"*"}, "verbs": []any{"list", "watch"}}}, []any{}},
	"global":                         {map[string]any{"imageRegistry": "mirror.example.com", "imagePullSecrets": []any{"a"}}, map[string]any{"else": 1}, nil},
	"config.leaseDurationMs":         {30000, 60000, nil},
	"config.leaseRenewDeadlineMs":    {9000, 10000, nil},
	"config.leaseRenewIntervalMs":    {1000, 5000, nil},
	"config.shutdownTimeoutMs":       {0, 10000, 60000},
	"config.authTokenSecretRef.key":  {"token", "api-key"},
	"receiver.embedder.model":        {"nomic-embed-text", ""}, "receiver.embedder.keySecretRef.key": {"token", "key"},
	"config.endpointSecretRef.ca": {"ca.crt", ""}, "config.endpointSecretRef.clientCert": {"tls.crt", ""},
	"config.endpointSecretRef.clientKey": {"tls.key", ""}, "config.endpointSecretRef.headers": {"headers", ""},
	"config.watchLabelSelector": {"team=shop,tier!=test", ""}, "config.optOutAnnotation": {"example.com/private", ""},
	"config.extraLabels":                             {"cluster=prod-eu", map[string]any{"cluster": "prod-eu"}, map[string]any{}, ""},
	"terminationGracePeriodSeconds":                  {nil, 120},
	"metrics.serviceMonitor.authorization.secretKey": {"token", "bearer"},
	"metrics.certManager.issuerRef":                  {map[string]any{}, map[string]any{"kind": "ClusterIssuer", "name": "company"}},
	"metrics.serviceMonitor.metricRelabelings":       {[]any{}, []any{map[string]any{"action": "drop", "sourceLabels": []any{"__name__"}, "regex": "go_.*"}}},
	"metrics.serviceMonitor.relabelings":             {[]any{}},
	"metrics.prometheusRule.additionalRules":         {[]any{}, []any{map[string]any{"alert": "Mine", "expr": "vector(1)"}}},
	"metrics.prometheusRule.rules":                   {map[string]any{}, map[string]any{"K8sVectorDBSyncLagGrowing": map[string]any{"enabled": false}}, map[string]any{"K8sVectorDBSyncReceiverDown": map[string]any{"threshold": 30.5}}},
	"networkPolicy.extraEgress":                      {[]any{}, []any{map[string]any{"ports": []any{map[string]any{"port": 3128, "protocol": "TCP"}}}}},
	"receiver.egress":                                {[]any{}, []any{map[string]any{}}},
	"receiver.extraArgs":                             {[]any{}, []any{"--max-records=0"}},
	"autoscaling.minReplicas":                        {1, 3},
	"autoscaling.maxReplicas":                        {3, 9},
	"autoscaling.behavior":                           {map[string]any{}, map[string]any{"scaleUp": map[string]any{"stabilizationWindowSeconds": 60}}},
	"topologySpreadConstraints":                      {nil, []any{}, []any{map[string]any{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}}},
	"tolerations":                                    {[]any{}, []any{map[string]any{"operator": "Exists"}}},
	"affinity":                                       {map[string]any{}, map[string]any{"nodeAffinity": map[string]any{}}},
	"podSecurityContext":                             {map[string]any{"runAsUser": 1000}, map[string]any{"fsGroup": 1000}},
	"securityContext":                                {map[string]any{"runAsUser": 1000}},
	"dnsConfig":                                      {map[string]any{}, map[string]any{"nameservers": []any{"192.0.2.53"}, "options": []any{map[string]any{"name": "ndots", "value": "2"}}}},
	"hostAliases":                                    {[]any{}, []any{map[string]any{"ip": "192.0.2.1", "hostnames": []any{"a.b"}}}},
	"extraEnv":                                       {[]any{}, []any{map[string]any{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}}},
	"extraEnvFrom":                                   {[]any{}, []any{map[string]any{"secretRef": map[string]any{"name": "a"}}}},
	"extraObjects":                                   {[]any{}, []any{"{apiVersion: v1, kind: ConfigMap, metadata: {name: '{{ .Release.Name }}-x', namespace: '{{ .Release.Namespace }}'}}"}},
	// A cluster with one address family takes these.
	"service.ipFamilyPolicy": {"", "SingleStack", "PreferDualStack"},
	"service.ipFamilies":     {[]any{}, []any{"IPv4"}},
	"persistence.size":       {"1Gi", "500M", "1.5Ti"}, "receiver.persistence.size": {"2Gi"},
	"podDisruptionBudget.maxUnavailable": {0, 2, "25%", "100%"},
	"nodeSelector":                       {map[string]any{"kubernetes.io/arch": "arm64"}, map[string]any{}},
}

// contradictions are the sentences by which the chart refuses valid values that are wrong together.
var contradictions = regexp.MustCompile(`two names of one setting|exclude one another|set one of them|are at one port|too close to|less than config.debounceWindowMs|` +
	`turns them off|more than autoscaling.maxReplicas|something to go by|name them in config.watchNamespaces|cannot go with rbac.namespaced|takes in Secrets|` +
	`needs a token|name some in dnsConfig|write it as a whole number|give it more than that`)

// draw draws values from the schema.
type draw struct {
	t       *testing.T
	rand    *rand.Rand
	schema  map[string]any
	missing map[string]bool // paths for which there is no example
}

// of returns a value of a schema at a path.
func (d *draw) of(path string, s map[string]any) any {
	if list, ok := examples[path]; ok {
		return list[d.rand.IntN(len(list))]
	}
	if ref, ok := s["$ref"].(string); ok {
		if list, ok := examples[ref]; ok {
			return list[d.rand.IntN(len(list))]
		}
		name := strings.TrimPrefix(ref, "#/definitions/")
		return d.of(path, d.schema["definitions"].(map[string]any)[name].(map[string]any))
	}
	if list, ok := s["enum"].([]any); ok {
		return list[d.rand.IntN(len(list))]
	}
	if list, ok := s["anyOf"].([]any); ok && s["type"] == nil {
		return d.of(path, list[d.rand.IntN(len(list))].(map[string]any))
	}
	if list, ok := s["anyOf"].([]any); ok { // of an array: which items, and how many
		for k, v := range list[d.rand.IntN(len(list))].(map[string]any) {
			s = with(s, k, v)
		}
	}
	kinds, ok := s["type"].([]any)
	if !ok {
		kinds = []any{s["type"]}
	}
	switch kinds[d.rand.IntN(len(kinds))] {
	case "null":
		return nil
	case "boolean":
		return d.rand.IntN(2) == 0
	case "integer", "number":
		return d.number(s)
	case "array":
		return d.array(path, s)
	case "object":
		return d.object(path, s)
	}
	d.missing[path] = true
	return nil
}

func with(s map[string]any, key string, value any) map[string]any {
	c := map[string]any{key: value}
	for k, v := range s {
		if k != key {
			c[k] = v
		}
	}
	return c
}

// number is near one of the bounds as often as anywhere else.
func (d *draw) number(s map[string]any) int64 {
	low, high := int64(0), int64(1000)
	if v, ok := s["minimum"].(float64); ok {
		low = int64(v)
	}
	if v, ok := s["maximum"].(float64); ok {
		high = int64(v)
	}
	return []int64{low, high, low + d.rand.Int64N(high-low+1), min(high, low+d.rand.Int64N(100))}[d.rand.IntN(4)]
}

func (d *draw) array(path string, s map[string]any) any {
	low := 0
	if v, ok := s["minItems"].(float64); ok {
		low = int(v)
	}
	high := low + 2
	if v, ok := s["maxItems"].(float64); ok {
		high = min(high, int(v))
	}
	items, _ := s["items"].(map[string]any)
	list := []any{}
	for range low + d.rand.IntN(high-low+1) {
		if v := d.of(path+"[]", items); !slices.ContainsFunc(list, func(o any) bool { return fmt.Sprint(o) == fmt.Sprint(v) }) {
			list = append(list, v)
		}
	}
	return list
}

func (d *draw) object(path string, s map[string]any) any {
	o := map[string]any{}
	properties, _ := s["properties"].(map[string]any)
	required, _ := s["required"].([]any)
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		if d.rand.IntN(3) > 0 && !slices.Contains(required, any(name)) {
			continue
		}
		o[name] = d.of(strings.TrimPrefix(path+"."+name, "."), properties[name].(map[string]any))
	}
	if len(properties) == 0 && path != "" {
		d.missing[path] = true
	}
	return o
}

// testTakesWhatTheSchemaAllows draws combinations of values at random. The chart renders each, or says which values
// contradict one another; the API server takes the result.
func (c *cluster) testTakesWhatTheSchemaAllows(t *testing.T) {
	const combinations, most = 100, 400
	var schema map[string]any
	if err := json.Unmarshal(read(t, chartDir+"/values.schema.json"), &schema); err != nil {
		t.Fatal(err)
	}
	c.newNamespace(t, namespace)
	apply := c.serverSideDryRun(t)
	taken := 0
	for seed := uint64(1); taken < combinations; seed++ {
		if seed > most {
			t.Fatalf("%d of %d combinations were not refused as contradictory: the draw is too wild", taken, most)
		}
		// Each run draws the same values.
		d := &draw{t: t, rand: rand.New(rand.NewPCG(seed, 14)), schema: schema, missing: map[string]bool{}}
		drawn := d.of("", schema)
		if len(d.missing) > 0 {
			t.Fatalf("there are no examples of %v", d.missing)
		}
		content, err := yaml.Marshal(drawn)
		if err != nil {
			t.Fatal(err)
		}
		args := append([]string{"template", release, chartDir, "--namespace", namespace, "--no-hooks", "--kube-version=v1.37.0"}, values(t, string(content))...)
		raw, err := run(t, nil, helm(t), args...)
		if err != nil {
			if !contradictions.MatchString(err.Error()) {
				t.Errorf("seed %d: %v\n%s", seed, err, content)
			}
			continue
		}
		taken++
		var refusals []error
		for _, o := range parse(t, raw) {
			if err := apply(o); err != nil {
				refusals = append(refusals, fmt.Errorf("%s: %w", key(o), err))
			}
		}
		if len(refusals) > 0 {
			t.Errorf("seed %d: %v\n%s", seed, errors.Join(refusals...), content)
		}
	}
}

// serverSideDryRun returns a function that has the API server take an object without keeping it.
func (c *cluster) serverSideDryRun(t *testing.T) func(*unstructured.Unstructured) error {
	t.Helper()
	client := dynamic.NewForConfigOrDie(c.RESTConfig())
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(c.admin.Discovery()))
	force := true
	return func(o *unstructured.Unstructured) error {
		kind := o.GroupVersionKind()
		mapping, err := mapper.RESTMapping(kind.GroupKind(), kind.Version)
		if err != nil {
			return err
		}
		body, err := o.MarshalJSON()
		if err != nil {
			return err
		}
		var resource dynamic.ResourceInterface = client.Resource(mapping.Resource)
		if o.GetNamespace() != "" {
			resource = client.Resource(mapping.Resource).Namespace(o.GetNamespace())
		}
		_, err = resource.Patch(t.Context(), o.GetName(), types.ApplyPatchType, body, metav1.PatchOptions{
			DryRun: []string{metav1.DryRunAll}, FieldManager: "helm", FieldValidation: "Strict", Force: &force,
		})
		return err
	}
}
