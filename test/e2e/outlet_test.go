//go:build e2e

package e2e

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/receiver"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/fleet"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/workload"
)

// definition is the CustomResourceDefinition of ResourceSyncConfigs.
var definition = filepath.Join("..", "..", "config", "crd", "dot-ai.devopstoolkit.live_resourcesyncconfigs.yaml")

const (
	dotAIPath = "/api/v1/resources/sync"
	cwPath    = "/api/v1/instances/sync"
)

// onlyDeclared is the environment of a replica whose receivers are all declared, with further variables.
func onlyDeclared(more ...string) map[string]string {
	env := map[string]string{"RESOURCE_SYNC_CONFIG": "true", "REST_ENDPOINT": "", "AUTH_TOKEN_FILE": ""}
	for i := 0; i+1 < len(more); i += 2 {
		env[more[i]] = more[i+1]
	}
	return env
}

// call is one request to an outlet.
type call struct {
	sender string
	token  string
	right  bool
}

// outlet is a receiver beside that of the rig, which checks the token of each request by itself.
type outlet struct {
	receiver *receiver.Server
	http     *httptest.Server
	path     string

	mu    sync.Mutex // guards the fields below
	token string     // the right token
	calls []call
	said  map[string]map[string]int // how often each upsert was sent, by ID and text
}

// newOutlet starts an outlet, which ends with the test.
func newOutlet(t *testing.T, path string, tls bool) *outlet {
	t.Helper()
	s, err := receiver.New(receiver.Options{DotAIToken: fleet.Token, IndexOnSearch: true})
	if err != nil {
		t.Fatal(err)
	}
	o := &outlet{receiver: s, path: path, token: fleet.Token, said: make(map[string]map[string]int), http: httptest.NewUnstartedServer(nil)}
	o.http.Config.Handler = http.HandlerFunc(o.serve)
	o.http.Config.ErrorLog = log.New(io.Discard, "", 0)
	if tls {
		o.http.StartTLS()
	} else {
		o.http.Start()
	}
	t.Cleanup(func() {
		_ = s.Close()
		o.http.CloseClientConnections()
		o.http.Close()
	})
	return o
}

func (o *outlet) serve(w http.ResponseWriter, r *http.Request) {
	token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	o.mu.Lock()
	right := token == o.token
	if body, err := io.ReadAll(r.Body); err == nil {
		o.listen(body)
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	o.calls = append(o.calls, call{r.Header.Get(receiver.SenderHeader), token, right})
	o.mu.Unlock()
	r.Header.Set("Authorization", "Bearer wrong") // in one form for all
	if right {
		r.Header.Set("Authorization", "Bearer "+fleet.Token)
	}
	o.receiver.Handler().ServeHTTP(w, r)
}

// listen records the text of each upsert of dot-ai's contract.
func (o *outlet) listen(body []byte) {
	var payload struct {
		Upserts []json.RawMessage `json:"upserts"`
	}
	_ = json.Unmarshal(body, &payload) // The receiver refuses a broken body.
	for _, text := range payload.Upserts {
		var d receiver.Document
		if json.Unmarshal(text, &d) != nil {
			continue
		}
		id := strings.Join([]string{d.Namespace, d.APIVersion, d.Kind, d.Name}, "/")
		if o.said[id] == nil {
			o.said[id] = make(map[string]int)
		}
		o.said[id][string(text)]++
	}
}

// texts returns, by ID, the texts of the upserts so far.
func (o *outlet) texts() map[string]map[string]int {
	o.mu.Lock()
	defer o.mu.Unlock()
	all := make(map[string]map[string]int)
	for id, texts := range o.said {
		all[id] = maps.Clone(texts)
	}
	return all
}

// url is the URL to which replicas send.
func (o *outlet) url() string { return o.http.URL + o.path }

// bundle is the certificate of a receiver that speaks TLS, as PEM.
func (o *outlet) bundle() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: o.http.Certificate().Raw})
}

// rotate makes another token the right one.
func (o *outlet) rotate(token string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.token = token
}

// seen returns the requests so far.
func (o *outlet) seen() []call {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]call(nil), o.calls...)
}

// documents returns the documents of the outlet.
func (o *outlet) documents() map[resource.ID]workload.Doc {
	store := receiver.Resources
	if o.path == cwPath {
		store = receiver.Instances
	}
	docs := make(map[resource.ID]workload.Doc)
	for _, d := range o.receiver.Documents(store) {
		id := resource.ID(strings.Join([]string{d.Namespace, d.APIVersion, d.Kind, d.Name}, "/"))
		docs[id] = workload.Doc{Labels: d.Labels, Annotations: d.Annotations, CreatedAt: d.CreatedAt}
	}
	return docs
}

// sees is the part of the cluster that a receiver should have; nil means all, as by default.
type sees struct {
	object     func(namespace, kind, name string) bool
	annotation func(key string) bool
}

// waitEqual waits until the outlet equals its part of the cluster.
func (o *outlet) waitEqual(t *testing.T, r *fleet.Rig, what sees, within time.Duration) {
	t.Helper()
	fleet.Eventually(t, within, func() string {
		want, err := workload.List(t.Context(), r.RESTConfig(), workload.Filter{Annotations: what.annotation})
		if err != nil {
			t.Fatal(err)
		}
		if what.object != nil {
			for id := range want {
				parts, err := resource.ParseID(string(id))
				if err != nil {
					t.Fatal(err)
				}
				if !what.object(parts.Namespace, parts.Kind, parts.Name) {
					delete(want, id)
				}
			}
		}
		if len(want) == 0 {
			return "there is nothing that it could have"
		}
		if diff := workload.Compare(want, o.documents()); !diff.Empty() {
			return diff.String()
		}
		return ""
	})
}
