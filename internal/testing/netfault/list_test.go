package netfault

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

func TestThinListIsWholeButForItsItems(t *testing.T) {
	list := corev1.ConfigMapList{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMapList"}, ListMeta: metav1.ListMeta{ResourceVersion: "7", Continue: "on"},
		Items: []corev1.ConfigMap{named("a"), named("b"), named("c")},
	}
	half, none := list, list
	half.Items, none.Items = []corev1.ConfigMap{named("a"), named("c")}, []corev1.ConfigMap{}
	for answer, want := range map[Answer]corev1.ConfigMapList{AnswerHalf: half, AnswerEmpty: none} {
		raw, err := list.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		envelope := runtime.Unknown{TypeMeta: runtime.TypeMeta{APIVersion: "v1", Kind: "ConfigMapList"}, Raw: raw}
		whole, err := envelope.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		thinned, err := thin(append([]byte(magic), whole...), true, answer)
		if err != nil {
			t.Fatal(err)
		}
		envelope, err = unwrap(thinned)
		if err != nil {
			t.Fatal(err)
		}
		got := corev1.ConfigMapList{TypeMeta: metav1.TypeMeta{APIVersion: envelope.APIVersion, Kind: envelope.Kind}, Items: []corev1.ConfigMap{}}
		if err := got.Unmarshal(envelope.Raw); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("protobuf, answer %d (-want +got):\n%s", answer, diff)
		}

		asJSON, err := json.Marshal(list)
		if err != nil {
			t.Fatal(err)
		}
		if thinned, err = thin(asJSON, false, answer); err != nil {
			t.Fatal(err)
		}
		got = corev1.ConfigMapList{}
		if err := json.Unmarshal(thinned, &got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("JSON, answer %d (-want +got):\n%s", answer, diff)
		}
	}
}

func named(name string) corev1.ConfigMap {
	return corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}}
}

func TestRequestsAreReadFromTheirURL(t *testing.T) {
	pods := schema.GroupVersionResource{Version: "v1", Resource: "pods"}
	for url, want := range map[string]Request{
		"/api/v1/pods?limit=500&continue=x": {Resource: pods, Limit: 500, Continue: true},
		"/api/v1/namespaces/a/pods/b":       {Resource: pods, Namespace: "a", Name: "b"},
		"/api/v1/namespaces/a":              {Resource: schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}, Name: "a"},
		"/apis/apps/v1/deployments?watch=true&sendInitialEvents=1&resourceVersion=7&fieldSelector=f&labelSelector=l": {
			Resource: schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}, Watch: true, Streamed: true,
			Version: "7", FieldSelector: "f", LabelSelector: "l",
		},
		"/apis":    {},
		"/api/v1":  {},
		"/healthz": {},
	} {
		r := httptest.NewRequest(http.MethodGet, url, nil)
		want.Method, want.Path = http.MethodGet, r.URL.Path
		if diff := cmp.Diff(want, parse(r)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", url, diff)
		}
	}
}
