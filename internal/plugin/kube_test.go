package plugin_test

import (
	"cmp"
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/gorilla/websocket"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/plugin/forwardtest"
)

// kube is the part of an API server that the plugin needs: pods, and port-forwards to them.
type kube struct {
	t        *testing.T
	pods     []corev1.Pod
	services []corev1.Service
	// backends are host:port of the API of each pod, by its name. A pod without one refuses connections.
	backends map[string]string
	// forbidden are the namespaces whose pods may not be listed; "" stands for all.
	forbidden []string
	// noWebSocket makes the server speak SPDY alone; deaf makes it never answer port-forwards.
	noWebSocket bool
	// exec has the kubeconfig name a program for the token, instead of the token. The server accepts token, if it is
	// set, in place of that program's.
	exec  bool
	token string
	deaf  chan struct{}

	mu       sync.Mutex // guards the fields below
	listed   []string
	upgrades []string // the protocol that each port-forward asked for
	ports    []string
}

// add adds a running pod of the chart, whose API is that of b.
func (k *kube) add(namespace, release, name string, b *backend) *corev1.Pod {
	p := corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{
			"app.kubernetes.io/name": "k8s-vectordb-sync", "app.kubernetes.io/instance": release,
		}},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "controller", Ports: []corev1.ContainerPort{
			{Name: "metrics", ContainerPort: 8443}, {Name: "api", ContainerPort: 18082},
		}}}},
		Status: corev1.PodStatus{Phase: corev1.PodRunning},
	}
	k.pods = append(k.pods, p)
	if b != nil {
		if k.backends == nil {
			k.backends = make(map[string]string)
		}
		k.backends[name] = strings.TrimPrefix(backendURL(k.t, b), "http://")
	}
	return &k.pods[len(k.pods)-1]
}

// flags starts the server, and returns the flags by which kubectl finds it. The context's namespace is work.
func (k *kube) flags() []string {
	k.t.Helper()
	server := httptest.NewTLSServer(k)
	k.t.Cleanup(server.Close)
	config := clientcmdapi.NewConfig()
	config.Clusters["c"] = &clientcmdapi.Cluster{Server: server.URL, InsecureSkipTLSVerify: true}
	config.AuthInfos["u"] = &clientcmdapi.AuthInfo{Token: "the-users-own"}
	if k.exec {
		config.AuthInfos["u"] = &clientcmdapi.AuthInfo{Exec: &clientcmdapi.ExecConfig{
			APIVersion: "client.authentication.k8s.io/v1", InteractiveMode: clientcmdapi.NeverExecInteractiveMode, Command: "sh",
			Args: []string{"-c", `echo '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"the-users-own"}}'`},
		}}
	}
	config.Contexts["x"] = &clientcmdapi.Context{Cluster: "c", AuthInfo: "u", Namespace: "work"}
	config.CurrentContext = "x"
	path := filepath.Join(k.t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*config, path); err != nil {
		k.t.Fatal(err)
	}
	return []string{"--kubeconfig", path, "--cache-dir", filepath.Join(filepath.Dir(path), "cache")}
}

// run runs a command against the server.
func (k *kube) run(args ...string) outcome {
	k.t.Helper()
	return run(k.t, append(args, k.flags()...)...)
}

// ServeHTTP implements [http.Handler].
func (k *kube) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	switch {
	case r.Header.Get("Authorization") != "Bearer "+cmp.Or(k.token, "the-users-own"):
		status(w, http.StatusUnauthorized, metav1.StatusReasonUnauthorized, "who are you?")
	case r.URL.Path == "/api/v1/services":
		k.listServices(w, r, "")
	case len(path) == 5 && path[4] == "services":
		k.listServices(w, r, path[3])
	case r.URL.Path == "/api/v1/pods":
		k.list(w, r, "")
	case len(path) == 5 && path[4] == "pods":
		k.list(w, r, path[3])
	case len(path) == 7 && path[6] == "portforward":
		k.forward(w, r, path[5])
	default:
		status(w, http.StatusNotFound, metav1.StatusReasonNotFound, "no "+r.URL.Path)
	}
}

func (k *kube) list(w http.ResponseWriter, r *http.Request, namespace string) {
	k.mu.Lock()
	k.listed = append(k.listed, namespace)
	k.mu.Unlock()
	if slices.Contains(k.forbidden, namespace) {
		status(w, http.StatusForbidden, metav1.StatusReasonForbidden, "pods is forbidden")
		return
	}
	selector, err := labels.Parse(r.URL.Query().Get("labelSelector"))
	if err != nil {
		status(w, http.StatusBadRequest, metav1.StatusReasonBadRequest, err.Error())
		return
	}
	list := corev1.PodList{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "PodList"}}
	for _, p := range k.pods {
		if (namespace == "" || p.Namespace == namespace) && selector.Matches(labels.Set(p.Labels)) {
			list.Items = append(list.Items, p)
		}
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(list)
}

func (k *kube) listServices(w http.ResponseWriter, r *http.Request, namespace string) {
	if slices.Contains(k.forbidden, namespace) {
		status(w, http.StatusForbidden, metav1.StatusReasonForbidden, "services is forbidden")
		return
	}
	selector, err := labels.Parse(r.URL.Query().Get("labelSelector"))
	if err != nil {
		status(w, http.StatusBadRequest, metav1.StatusReasonBadRequest, err.Error())
		return
	}
	list := corev1.ServiceList{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ServiceList"}}
	for _, s := range k.services {
		if (namespace == "" || s.Namespace == namespace) && selector.Matches(labels.Set(s.Labels)) {
			list.Items = append(list.Items, s)
		}
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(list)
}

func (k *kube) forward(w http.ResponseWriter, r *http.Request, pod string) {
	protocol := "SPDY"
	if websocket.IsWebSocketUpgrade(r) {
		protocol = "WebSocket"
	}
	k.mu.Lock()
	k.upgrades = append(k.upgrades, protocol)
	k.mu.Unlock()
	if k.deaf != nil {
		<-k.deaf
		return
	}
	if protocol == "WebSocket" && k.noWebSocket {
		status(w, http.StatusBadRequest, metav1.StatusReasonBadRequest, "Upgrade request required")
		return
	}
	forwardtest.Serve(w, r, func(ctx context.Context, port string) (net.Conn, error) {
		k.mu.Lock()
		k.ports = append(k.ports, port)
		k.mu.Unlock()
		if k.backends[pod] == "" {
			return nil, &net.OpError{Op: "dial", Net: "tcp4", Err: syscall.ECONNREFUSED}
		}
		var d net.Dialer
		return d.DialContext(ctx, "tcp", k.backends[pod])
	})
}

func status(w http.ResponseWriter, code int, reason metav1.StatusReason, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(metav1.Status{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Status: "Failure", Code: int32(code), Reason: reason, Message: message,
	})
}

// listener answers nothing but errors, sends the authorization of the first request, and returns its host:port.
func listener(t *testing.T, authorization chan<- string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case authorization <- r.Header.Get("Authorization"):
		default:
		}
		w.WriteHeader(http.StatusUnauthorized)
	}))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}
