package plugin_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/plugin"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/receiver"
)

// startReceiver starts a reference receiver with a small shop, and returns its URL.
func startReceiver(t *testing.T) string {
	t.Helper()
	s, err := receiver.New(receiver.Options{IndexOnSearch: true})
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(s.Handler())
	t.Cleanup(func() {
		web.Close()
		_ = s.Close()
	})
	var items []string
	for _, o := range [][4]string{
		{"data", "apps/v1", "StatefulSet", "postgres"}, {"shop", "apps/v1", "Deployment", "payment-api"},
		{"shop", "v1", "Service", "payment-api"}, {"_cluster", "v1", "Namespace", "shop"},
	} {
		items = append(items, fmt.Sprintf(`{"id":"%[1]s/%[2]s/%[3]s/%[4]s","namespace":"%[1]s","apiVersion":"%[2]s","kind":"%[3]s","name":"%[4]s",
			"apiGroup":"","createdAt":"2026-01-01T00:00:00Z","annotations":{"description":"The %[3]s of %[4]s"}}`, o[0], o[1], o[2], o[3]))
	}
	resp, err := http.Post(web.URL+"/api/v1/instances/sync", "application/json", strings.NewReader(`{"upserts":[`+strings.Join(items, ",")+`]}`))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusOK {
		t.Fatalf("%s", body)
	}
	return web.URL
}

// addReceiver adds the Service and the pod of the chart, which lead to the receiver.
func (k *kube) addReceiver(namespace, name, url string) {
	labels := map[string]string{
		"app.kubernetes.io/name": "k8s-vectordb-sync-receiver", "app.kubernetes.io/component": "receiver", "app.kubernetes.io/instance": "a",
	}
	k.services = append(k.services, corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: labels},
		Spec: corev1.ServiceSpec{
			Selector: map[string]string{"app.kubernetes.io/component": "receiver"},
			Ports:    []corev1.ServicePort{{Name: "http", Port: 80, TargetPort: intstr.FromString("http")}},
		},
	})
	k.pods = append(k.pods, corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name + "-0", Labels: labels},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "receiver", Ports: []corev1.ContainerPort{
			{Name: "other", ContainerPort: 1}, {Name: "http", ContainerPort: 13000},
		}}}},
		Status: corev1.PodStatus{Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}},
	})
	if k.backends == nil {
		k.backends = map[string]string{}
	}
	k.backends[name+"-0"] = strings.TrimPrefix(url, "http://")
}

func TestSearch_ReceiverInTheCluster_IsFoundByItsServiceAndAsked(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		namespace string
		forbidden []string
	}{
		"current namespace": {"work", nil},
		"another":           {"tools", nil},
		"usual, all denied": {"k8s-vectordb-sync-system", []string{"", "work"}},
	} {
		k := &kube{t: t, forbidden: c.forbidden}
		k.addReceiver(c.namespace, "sync-receiver", startReceiver(t))
		foreign := corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: c.namespace, Name: "thanos-receiver", Labels: map[string]string{
			"app.kubernetes.io/component": "receiver", "app.kubernetes.io/name": "thanos", "app.kubernetes.io/instance": "a",
		}}, Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Name: "http", Port: 1}}}}
		k.services = append(k.services, foreign)
		got := k.run("search", "which databases are we running?")
		if got.code != 0 || !strings.Contains(got.out, "data        StatefulSet   postgres") {
			t.Errorf("%s: %+v", name, got)
		}
		if len(k.ports) == 0 || k.ports[0] != "13000" {
			t.Errorf("%s: ports %v, want the one that the Service leads to", name, k.ports)
		}
	}
}

func TestSearch_Outputs_AreThoseOfKubectl(t *testing.T) {
	t.Parallel()
	url := startReceiver(t)
	for _, c := range []struct {
		args []string
		want string
		code int
	}{
		{[]string{"payments", "-n", "shop", "--kind", "deploy", "-o", "name"}, "deployment.apps/payment-api\n", 0},
		{[]string{"payments", "--kind", "services", "-o", "name"}, "service/payment-api\n", 0},
		{[]string{"list", "all", "namespaces", "-n", "_cluster", "-o", "name"}, "namespace/shop\n", 0},
		{[]string{"payments", "-n", "shop", "-o", "jsonpath={.hits[0].kind} {.ranking}"}, "Deployment words", 0},
		{[]string{"postgres", "-o", "jsonpath={range .hits[*]}{.name}{\"\\n\"}{end}"}, "postgres\n", 0},
		{[]string{"postgres", "-o", "go-template={{range .hits}}{{.namespace}}{{end}}"}, "data", 0},
		{[]string{"postgres", "-o", "custom-columns=KIND:.kind,WHERE:{.namespace},TEAM:.labels.team"}, "KIND          WHERE   TEAM\nStatefulSet   data    <none>\n", 0},
		{[]string{"postgres", "-o", "wide"}, "Ranked by words.\n", 0},
		{[]string{"postgres", "-o", "yaml"}, "  name: postgres\n", 0},
		{[]string{"payments", "--limit", "1", "-o", "json"}, `"name": "payment-api"`, 0},
		{[]string{"zebra"}, "Nothing was found for \"zebra\".\n", 1},
		{[]string{"zebra", "-o", "name"}, "", 1},
	} {
		got := run(t, append(append([]string{"search"}, c.args...), "--receiver-url", url)...)
		if got.code != c.code || !strings.HasSuffix(got.out, c.want) && !strings.Contains(got.out, c.want) || c.want == "" && got.out != "" {
			t.Errorf("%q: %+v, want %q", c.args, got, c.want)
		}
	}
}

func TestSearch_NoReceiver_SaysWhatToDo(t *testing.T) {
	t.Parallel()
	k := &kube{t: t}
	if got := k.run("search", "x"); got.code != 2 || !strings.Contains(got.errOut, "receiver.enabled=true") {
		t.Errorf("%+v", got)
	}
	k = &kube{t: t}
	k.addReceiver("one", "sync-receiver", startReceiver(t))
	k.addReceiver("two", "sync-receiver", startReceiver(t))
	if got := k.run("search", "x"); got.code != 2 || !strings.Contains(got.errOut, "2 receivers were found: one/sync-receiver, two/sync-receiver") {
		t.Errorf("%+v", got)
	}
	if got := k.run("search", "postgres", "--controller-namespace", "two"); got.code != 0 {
		t.Errorf("%+v", got)
	}
	for _, bad := range [][]string{{"-o", "jsonpath={.x"}, {"-o", "custom-columns=A"}, {"-o", "go-template={{"}, {"-o", "jsonpath="}} {
		if got := run(t, append([]string{"search", "x", "--receiver-url", "127.0.0.1:1"}, bad...)...); got.code != 2 || got.out != "" {
			t.Errorf("%q: %+v, want that it is refused", bad, got)
		}
	}
}

// TestMCP_OverPipes_FindsThePostgres lets the SDK's own client start the command as an assistant does.
func TestMCP_OverPipes_FindsThePostgres(t *testing.T) {
	t.Parallel()
	k := &kube{t: t}
	k.addReceiver("tools", "sync-receiver", startReceiver(t))
	toServer, fromClient := io.Pipe()
	toClient, fromServer := io.Pipe()
	ended := make(chan int, 1)
	args := append([]string{"kubectl-vectordb_sync", "mcp"}, k.flags()...)
	go func() {
		var errOut bytes.Buffer
		ended <- plugin.Main(t.Context(), args, "v1.2.3", genericiooptions.IOStreams{In: toServer, Out: fromServer, ErrOut: &errOut})
		_ = fromServer.Close()
	}()
	client := mcp.NewClient(&mcp.Implementation{Name: "assistant", Version: "1"}, nil)
	session, err := client.Connect(t.Context(), &mcp.IOTransport{Reader: toClient, Writer: fromClient}, nil)
	if err != nil {
		t.Fatal(err)
	}
	tools, err := session.ListTools(t.Context(), nil)
	if err != nil || len(tools.Tools) != 1 || tools.Tools[0].Name != "find_resources" {
		t.Fatalf("%+v, %v", tools, err)
	}
	result, err := session.CallTool(t.Context(), &mcp.CallToolParams{
		Name: "find_resources", Arguments: map[string]any{"query": "which databases are we running?"},
	})
	if err != nil || result.IsError {
		t.Fatalf("%+v, %v", result, err)
	}
	if text, _ := result.Content[0].(*mcp.TextContent); text == nil || !strings.HasPrefix(text.Text, "StatefulSet postgres (apps/v1, in namespace data)") {
		t.Errorf("%+v", result.Content)
	}
	_ = session.Close()
	_ = fromClient.Close()
	if code := <-ended; code != 0 {
		t.Errorf("exit code %d after the input ended", code)
	}
}

// TestExecPlugin_OfTheKubeconfig_IsAsked lists and forwards with a token that a program prints.
func TestExecPlugin_OfTheKubeconfig_IsAsked(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip("there is no shell to be the plugin")
	}
	k := &kube{t: t, exec: true}
	k.add("work", "a", "sync-0", well(0))
	if got := k.run("status"); got.code > 1 || !strings.Contains(got.out, "sync-0") || strings.Contains(got.out, "no answer") {
		t.Errorf("%+v", got)
	}
	k.token = "another" // the API server does not know what the plugin prints
	if got := k.run("status"); got.code != 2 || !strings.Contains(got.errOut, "looking for replicas") {
		t.Errorf("%+v", got)
	}
}
