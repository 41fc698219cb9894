package controller_test

import (
	"encoding/pem"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/api/v1alpha1"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/controller"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/watch"
)

const endpoint = "http://dot-ai.dot-ai.svc.cluster.local:3456/api/v1/resources/sync"

// config returns a valid object as an API server without defaults would have it.
func config(change func(*v1alpha1.ResourceSyncConfig)) *v1alpha1.ResourceSyncConfig {
	o := &v1alpha1.ResourceSyncConfig{
		ObjectMeta: metav1.ObjectMeta{Namespace: "dot-ai", Name: "default-sync", UID: "u1", Generation: 1, ResourceVersion: "1"},
		Spec: v1alpha1.ResourceSyncConfigSpec{
			McpEndpoint:      endpoint,
			McpAuthSecretRef: v1alpha1.SecretReference{Name: "mcp-credentials", Key: "api-key"},
		},
	}
	if change != nil {
		change(o)
	}
	return o
}

func TestObjectWithoutDefaultsGetsThem(t *testing.T) {
	t.Parallel()
	got, err := controller.TargetOf(config(nil))
	if err != nil {
		t.Fatal(err)
	}
	types, err := resource.NewFilter(nil, []string{"events", "leases", "endpointslices"})
	if err != nil {
		t.Fatal(err)
	}
	annotations, err := resource.NewAnnotationFilter([]string{"description", "*/description"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := controller.Target{
		Name: "dot-ai.default-sync", Namespace: "dot-ai", Object: "default-sync", UID: "u1", Generation: 1,
		Endpoint: got.Endpoint, Format: got.Format, Debounce: 10 * time.Second, ResyncInterval: time.Hour,
		MaxUpserts: 20, MaxInFlight: 8, Types: types, Selection: resource.Selection{Annotations: annotations, Types: types},
	}
	sameText := cmp.Comparer(func(a, b resource.Filter) bool { return a.String() == b.String() })
	sameKeys := cmp.Comparer(func(a, b resource.Selection) bool { return a.String() == b.String() })
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(controller.Target{}, "Endpoint", "Format", "Token"), sameText, sameKeys); diff != "" {
		t.Errorf("target (-want +got):\n%s", diff)
	}
	if got.Endpoint.String() != endpoint || got.Format.Name() != "dot-ai" {
		t.Errorf("endpoint %s of format %s", got.Endpoint, got.Format.Name())
	}
}

func TestEverythingThatIsGivenIsTaken(t *testing.T) {
	t.Parallel()
	o := config(func(o *v1alpha1.ResourceSyncConfig) {
		o.Spec = v1alpha1.ResourceSyncConfigSpec{
			McpEndpoint: "https://[::1]:8443/sync", McpAuthSecretRef: v1alpha1.SecretReference{Name: "s", Key: "k"},
			DebounceWindowSeconds: 300, ResyncIntervalMinutes: 1440, Format: "cluster-whisperer",
			WatchResourceTypes: []string{"deployments.apps"}, ExcludeResourceTypes: []string{},
			WatchNamespaces: []string{"shop"}, ExcludeNamespaces: []string{"kube-system"},
			AnnotationInclude: []string{}, BatchMaxSize: 1000, MaxInFlight: 1, CABundle: []byte(certificate),
			LabelInclude: []string{"app", "*/*"}, LabelExclude: []string{"*/rev"}, WatchLabelSelector: "team=shop", OptOutValue: "search",
			SkipControlled: true, ExtraLabels: map[string]string{"cluster": "prod-eu"},
		}
	})
	got, err := controller.TargetOf(o)
	if err != nil {
		t.Fatal(err)
	}
	if got.Format.Name() != "cluster-whisperer" || got.Debounce != 5*time.Minute || got.ResyncInterval != 24*time.Hour ||
		got.MaxUpserts != 1000 || got.MaxInFlight != 1 || string(got.CABundle) != certificate {
		t.Errorf("target %+v", got)
	}
	if s, want := got.Selection.String(), "labels include=app,*/* exclude=*/rev extra cluster=prod-eu selector team=shop optOutValue search skipControlled by"; !strings.Contains(s, want) {
		t.Errorf("selection is %q, want it to contain %q", s, want)
	}
	if diff := cmp.Diff(watch.NamespaceFilter{Include: []string{"shop"}, Exclude: []string{"kube-system"}}, got.Namespaces); diff != "" {
		t.Errorf("namespaces (-want +got):\n%s", diff)
	}
	if got.Types.Match(resource.Type{Version: "v1", Resource: "pods", Kind: "Pod"}) || got.Selection.Annotations.Match("description") {
		t.Error("an empty list of annotations, or one type, lets everything through")
	}
}

// wrongSpecs are specs that cannot be followed, each for another reason, with the message for it. An older
// definition, which validates next to nothing, lets them through.
var wrongSpecs = map[string]struct {
	change func(*v1alpha1.ResourceSyncConfigSpec)
	want   string
}{
	"no endpoint":        {func(s *v1alpha1.ResourceSyncConfigSpec) { s.McpEndpoint = "" }, "spec.mcpEndpoint is missing, want the receiver's full URL"},
	"no scheme":          {func(s *v1alpha1.ResourceSyncConfigSpec) { s.McpEndpoint = "dot-ai/api" }, `spec.mcpEndpoint "dot-ai/api" has no scheme http or https`},
	"host for scheme":    {func(s *v1alpha1.ResourceSyncConfigSpec) { s.McpEndpoint = "dot-ai:3456/api" }, "has no scheme http or https"},
	"other scheme":       {func(s *v1alpha1.ResourceSyncConfigSpec) { s.McpEndpoint = "ftp://dot-ai/" }, "has no scheme http or https"},
	"no host":            {func(s *v1alpha1.ResourceSyncConfigSpec) { s.McpEndpoint = "http:///api" }, "has no host"},
	"no URL":             {func(s *v1alpha1.ResourceSyncConfigSpec) { s.McpEndpoint = "http://a b" }, "is not a URL"},
	"port 0":             {func(s *v1alpha1.ResourceSyncConfigSpec) { s.McpEndpoint = "http://dot-ai:0/" }, "has a port that is none"},
	"port 70000":         {func(s *v1alpha1.ResourceSyncConfigSpec) { s.McpEndpoint = "http://dot-ai:70000/" }, "has a port that is none"},
	"user":               {func(s *v1alpha1.ResourceSyncConfigSpec) { s.McpEndpoint = "http://me:hush@dot-ai/" }, "has a user or password, which belong into the Secret"},
	"query":              {func(s *v1alpha1.ResourceSyncConfigSpec) { s.McpEndpoint = "http://dot-ai/?a=b" }, "has a query or a fragment"},
	"fragment":           {func(s *v1alpha1.ResourceSyncConfigSpec) { s.McpEndpoint = "http://dot-ai/#a" }, "has a query or a fragment"},
	"no secret":          {func(s *v1alpha1.ResourceSyncConfigSpec) { s.McpAuthSecretRef.Name = "" }, "spec.mcpAuthSecretRef names no Secret"},
	"no secret's name":   {func(s *v1alpha1.ResourceSyncConfigSpec) { s.McpAuthSecretRef.Name = "My Secret" }, `has the name "My Secret", which no Secret can have`},
	"no key":             {func(s *v1alpha1.ResourceSyncConfigSpec) { s.McpAuthSecretRef.Key = "" }, "names no key, want the one of Secret mcp-credentials"},
	"no secret's key":    {func(s *v1alpha1.ResourceSyncConfigSpec) { s.McpAuthSecretRef.Key = "a/b" }, `has the key "a/b", which no Secret can have`},
	"debounce below":     {func(s *v1alpha1.ResourceSyncConfigSpec) { s.DebounceWindowSeconds = -1 }, "spec.debounceWindowSeconds is -1, want 1 to 300 seconds"},
	"debounce above":     {func(s *v1alpha1.ResourceSyncConfigSpec) { s.DebounceWindowSeconds = 301 }, "spec.debounceWindowSeconds is 301"},
	"resync below":       {func(s *v1alpha1.ResourceSyncConfigSpec) { s.ResyncIntervalMinutes = -5 }, "spec.resyncIntervalMinutes is -5, want 1 to 1440 minutes"},
	"resync above":       {func(s *v1alpha1.ResourceSyncConfigSpec) { s.ResyncIntervalMinutes = 1441 }, "spec.resyncIntervalMinutes is 1441"},
	"format":             {func(s *v1alpha1.ResourceSyncConfigSpec) { s.Format = "qdrant" }, `spec.format is "qdrant", want dot-ai or cluster-whisperer`},
	"batch above":        {func(s *v1alpha1.ResourceSyncConfigSpec) { s.BatchMaxSize = 1001 }, "spec.batchMaxSize is 1001, want 1 to 1000 resources"},
	"in flight above":    {func(s *v1alpha1.ResourceSyncConfigSpec) { s.MaxInFlight = 101 }, "spec.maxInFlight is 101, want 1 to 100 requests"},
	"type":               {func(s *v1alpha1.ResourceSyncConfigSpec) { s.WatchResourceTypes = []string{"apps/v1"} }, `resource type "apps/v1" is malformed`},
	"nothing left":       {func(s *v1alpha1.ResourceSyncConfigSpec) { s.WatchResourceTypes = []string{"events"} }, "leave nothing of the included ones"},
	"namespace":          {func(s *v1alpha1.ResourceSyncConfigSpec) { s.WatchNamespaces = []string{"Shop"} }, `spec.watchNamespaces has "Shop", which is no namespace`},
	"excluded namespace": {func(s *v1alpha1.ResourceSyncConfigSpec) { s.ExcludeNamespaces = []string{""} }, "spec.excludeNamespaces has"},
	"namespace in and out": {func(s *v1alpha1.ResourceSyncConfigSpec) {
		s.WatchNamespaces, s.ExcludeNamespaces = []string{"a"}, []string{"a"}
	}, `both name "a"`},
	"annotation":              {func(s *v1alpha1.ResourceSyncConfigSpec) { s.AnnotationInclude = []string{"["} }, `annotation pattern "[" is malformed`},
	"label to keep":           {func(s *v1alpha1.ResourceSyncConfigSpec) { s.LabelInclude = []string{"app", "["} }, `label pattern "[" is malformed`},
	"label to leave out":      {func(s *v1alpha1.ResourceSyncConfigSpec) { s.LabelExclude = []string{""} }, `spec.labelInclude and spec.labelExclude label pattern "" is malformed`},
	"selector":                {func(s *v1alpha1.ResourceSyncConfigSpec) { s.WatchLabelSelector = "team in shop" }, `spec.watchLabelSelector is "team in shop", want a label selector`},
	"opt-out for everybody":   {func(s *v1alpha1.ResourceSyncConfigSpec) { s.OptOutValue = "true" }, `spec.optOutValue is "true", which stands for every receiver`},
	"opt-out in two words":    {func(s *v1alpha1.ResourceSyncConfigSpec) { s.OptOutValue = "a,b" }, `spec.optOutValue is "a,b", want one word`},
	"extra label's key":       {func(s *v1alpha1.ResourceSyncConfigSpec) { s.ExtraLabels = map[string]string{"a b": "c"} }, "spec.extraLabels has a b=c, which no label can be"},
	"extra label's value":     {func(s *v1alpha1.ResourceSyncConfigSpec) { s.ExtraLabels = map[string]string{"a": "b c"} }, "spec.extraLabels has a=b c, which no label can be"},
	"subresource":             {func(s *v1alpha1.ResourceSyncConfigSpec) { s.WatchResourceTypes = []string{"pods/status"} }, `resource type "pods/status" is malformed`},
	"bundle without https":    {func(s *v1alpha1.ResourceSyncConfigSpec) { s.CABundle = []byte(certificate) }, "is of use with an https endpoint only"},
	"bundle that is no PEM":   {func(s *v1alpha1.ResourceSyncConfigSpec) { tls(s).CABundle = []byte("LS0tLS1CRUdJTg==") }, "holds no certificate"},
	"bundle of a key":         {func(s *v1alpha1.ResourceSyncConfigSpec) { tls(s).CABundle = block("PRIVATE KEY") }, "holds a PRIVATE KEY"},
	"bundle that is no X.509": {func(s *v1alpha1.ResourceSyncConfigSpec) { tls(s).CABundle = block("CERTIFICATE") }, "holds a certificate that cannot be read"},
}

func tls(s *v1alpha1.ResourceSyncConfigSpec) *v1alpha1.ResourceSyncConfigSpec {
	s.McpEndpoint = "https://dot-ai/"
	return s
}

func block(kind string) []byte { return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: []byte("x")}) }

func TestEachWrongSpecSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	for name, test := range wrongSpecs {
		_, err := controller.TargetOf(config(func(o *v1alpha1.ResourceSyncConfig) { test.change(&o.Spec) }))
		if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: got %v, want %q", name, err, test.want)
		}
	}
	_, err := controller.TargetOf(config(func(o *v1alpha1.ResourceSyncConfig) { o.Namespace = "" }))
	if err == nil || !strings.Contains(err.Error(), "scope Cluster") {
		t.Errorf("object of a cluster-scoped definition: got %v", err)
	}
}

func TestTargetOf_SeveralFieldsAreWrong_NamesAll(t *testing.T) {
	t.Parallel()
	_, err := controller.TargetOf(&v1alpha1.ResourceSyncConfig{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "b"}, Spec: v1alpha1.ResourceSyncConfigSpec{
		Format: "x", LabelInclude: []string{"["}, AnnotationInclude: []string{"["}, WatchLabelSelector: "((", OptOutValue: "false", ExtraLabels: map[string]string{"": ""},
	}})
	for _, want := range []string{
		"spec.mcpEndpoint", "spec.mcpAuthSecretRef", "spec.format", "spec.labelInclude", "spec.annotationInclude", "spec.watchLabelSelector", "spec.optOutValue", "spec.extraLabels",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want it to name %s", err, want)
		}
	}
}
