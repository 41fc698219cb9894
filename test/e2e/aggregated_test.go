//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/fleet"
)

// TestAnAggregatedAPIThatBeginsAnewLosesNothing restarts an API that keeps its objects in memory. Its versions begin
// at 1 again, and it takes a while until it has most of its objects back. One has changed meanwhile, and two are
// gone.
func TestAnAggregatedAPIThatBeginsAnewLosesNothing(t *testing.T) {
	besideWaiting(t, 110*time.Second)
	r := fleet.New(t, fleet.Options{})
	api := serveFromMemory(t, r)
	for i := range 20 {
		api.put(fmt.Sprint("thing-", i), "old")
	}
	p := r.Start(nil)
	p.WaitReady(time.Minute)
	things := func() (n int) {
		for id := range r.Documents() {
			if strings.Contains(string(id), "/Thing/") {
				n++
			}
		}
		return n
	}
	fleet.Eventually(t, converge, func() string {
		if n := things(); n != 20 {
			return fmt.Sprintf("%d things are at the receiver, want 20", n)
		}
		return ""
	})
	r.WaitEqual(converge)
	api.put("thing-3", "live") // its watch works, too
	r.WaitEqual(converge)

	mark := r.Mark()
	api.restart()
	fleet.Pause(30 * time.Second) // the answer is empty
	for _, rec := range r.Since(mark) {
		for _, id := range rec.Deletes {
			if strings.Contains(id, "/Thing/") {
				t.Errorf("%s was deleted on the word of an API that has just come back", id)
			}
		}
	}
	if n := things(); n != 20 {
		t.Errorf("%d things are at the receiver, want the 20 that were there", n)
	}
	for i := range 18 {
		label := "old"
		if i == 3 {
			label = "new"
		}
		api.put(fmt.Sprint("thing-", i), label)
	}
	took, _ := r.WaitEqual(3 * time.Minute)
	if n := things(); n != 18 {
		t.Errorf("%d things are at the receiver, want 18", n)
	}
	t.Logf("equal %v after the API had its objects back", took.Round(time.Second))
}

// memoryAPI serves things.mem.example.com from memory.
type memoryAPI struct {
	mu      sync.Mutex // guards the fields below
	version uint64
	things  map[string]*metav1.PartialObjectMetadata
	events  []memoryEvent
	changed chan struct{} // closed at the next change, and at a restart
	life    int
}

type memoryEvent struct {
	version uint64
	Type    string                        `json:"type"`
	Object  *metav1.PartialObjectMetadata `json:"object"`
}

// serveFromMemory starts the API, and has the API server pass requests on to it.
func serveFromMemory(t *testing.T, r *fleet.Rig) *memoryAPI {
	t.Helper()
	a := &memoryAPI{things: map[string]*metav1.PartialObjectMetadata{}, changed: make(chan struct{})}
	server := httptest.NewUnstartedServer(a)
	server.EnableHTTP2 = true
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(func() {
		server.CloseClientConnections() // or Close would wait for the watches
		server.Close()
	})
	address, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	r.Apply(fmt.Sprintf(`
{apiVersion: v1, kind: Service, metadata: {name: memory, namespace: default}, spec: {type: ExternalName, externalName: localhost}}
---
apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata: {name: v1.mem.example.com}
spec: {group: mem.example.com, version: v1, groupPriorityMinimum: 1000, versionPriority: 10, insecureSkipTLSVerify: true, service: {name: memory, namespace: default, port: %s}}
`, address.Port()))
	r.Kube("", "wait", "--for=condition=Available", "--timeout=60s", "apiservice/v1.mem.example.com")
	return a
}

// put makes a thing, or changes it.
func (a *memoryAPI) put(name, label string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.version++
	event := "MODIFIED"
	if a.things[name] == nil {
		event = "ADDED"
	}
	a.things[name] = &metav1.PartialObjectMetadata{
		TypeMeta: metav1.TypeMeta{APIVersion: "meta.k8s.io/v1", Kind: "PartialObjectMetadata"},
		ObjectMeta: metav1.ObjectMeta{
			Name: name, Namespace: "default", UID: types.UID("uid-of-" + name), Labels: map[string]string{"label": label},
			ResourceVersion: strconv.FormatUint(a.version, 10), CreationTimestamp: metav1.Unix(1700000000, 0),
		},
	}
	a.events = append(a.events, memoryEvent{a.version, event, a.things[name]})
	a.wake()
}

// restart forgets all objects and ends all watches.
func (a *memoryAPI) restart() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.version, a.things, a.events = 1, map[string]*metav1.PartialObjectMetadata{}, nil
	a.life++
	a.wake()
}

// wake has watches look. The caller holds mu.
func (a *memoryAPI) wake() {
	close(a.changed)
	a.changed = make(chan struct{})
}

// ServeHTTP implements http.Handler.
func (a *memoryAPI) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	const group = "/apis/mem.example.com/v1"
	q := req.URL.Query()
	switch path := strings.TrimSuffix(req.URL.Path, "/"); {
	case path == group:
		answer(w, http.StatusOK, metav1.APIResourceList{
			TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "APIResourceList"}, GroupVersion: "mem.example.com/v1",
			APIResources: []metav1.APIResource{{Name: "things", SingularName: "thing", Kind: "Thing", Namespaced: true, Verbs: metav1.Verbs{"get", "list", "watch"}}},
		})
	case !strings.HasPrefix(path, group):
		refuse(w, http.StatusNotFound, metav1.StatusReasonNotFound)
	case q.Get("sendInitialEvents") == "true": // an API of the old kind knows no streamed lists
		refuse(w, http.StatusUnprocessableEntity, metav1.StatusReasonInvalid)
	case q.Get("watch") == "true":
		a.watch(w, req, q.Get("resourceVersion"))
	case strings.HasSuffix(path, "/things"):
		a.list(w, q.Get("fieldSelector"))
	default:
		a.get(w, path[strings.LastIndexByte(path, '/')+1:])
	}
}

func (a *memoryAPI) list(w http.ResponseWriter, selector string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	all := metav1.PartialObjectMetadataList{
		TypeMeta: metav1.TypeMeta{APIVersion: "meta.k8s.io/v1", Kind: "PartialObjectMetadataList"},
		ListMeta: metav1.ListMeta{ResourceVersion: strconv.FormatUint(a.version, 10)}, Items: []metav1.PartialObjectMetadata{},
	}
	name, one := strings.CutPrefix(selector, "metadata.name=")
	for _, o := range a.things {
		if !one || o.Name == name {
			all.Items = append(all.Items, *o)
		}
	}
	answer(w, http.StatusOK, all)
}

func (a *memoryAPI) get(w http.ResponseWriter, name string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if o := a.things[name]; o != nil {
		answer(w, http.StatusOK, o)
		return
	}
	refuse(w, http.StatusNotFound, metav1.StatusReasonNotFound)
}

// watch sends the changes after a version, which may lie in the future, until the request ends or the API restarts.
func (a *memoryAPI) watch(w http.ResponseWriter, req *http.Request, from string) {
	sent, err := strconv.ParseUint(from, 10, 64)
	if err != nil {
		refuse(w, http.StatusBadRequest, metav1.StatusReasonBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	a.mu.Lock()
	life := a.life
	a.mu.Unlock()
	for out := json.NewEncoder(w); ; {
		a.mu.Lock()
		if a.life != life {
			a.mu.Unlock()
			return
		}
		changed := a.changed
		var due []memoryEvent
		for _, e := range a.events {
			if e.version > sent {
				due = append(due, e)
			}
		}
		a.mu.Unlock()
		for _, e := range due {
			if out.Encode(e) != nil {
				return
			}
			sent = e.version
		}
		if http.NewResponseController(w).Flush() != nil {
			return
		}
		select {
		case <-changed:
		case <-req.Context().Done():
			return
		}
	}
}

func answer(w http.ResponseWriter, code int, what any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(what) // the client may have left
}

func refuse(w http.ResponseWriter, code int, reason metav1.StatusReason) {
	answer(w, code, metav1.Status{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Status: metav1.StatusFailure, Code: int32(code), Reason: reason, Message: string(reason),
	})
}
