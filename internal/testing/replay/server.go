package replay

import (
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

// maxStreams is how many streams kube-apiserver allows on a connection.
const maxStreams = 100

// Options are the options of a [Server]. The zero value serves the recording as it is.
type Options struct {
	// Objects is the number of objects to generate, as far as possible in the proportions of the recording.
	Objects int
}

// Server answers as an API server does. Make one with [Start].
type Server struct {
	documents   map[string]Document
	collections map[string]*collection // by the path of the type
	http        *httptest.Server
	version     atomic.Uint64
	stopping    chan struct{}
	traffic     counts
}

// Start serves a recording on a free port of 127.0.0.1.
func Start(r *Recording, opts Options) *Server {
	s := &Server{documents: r.Documents, collections: make(map[string]*collection), stopping: make(chan struct{})}
	recorded := 0
	for _, t := range r.Types {
		recorded += len(t.Objects)
		for i := range t.Objects {
			s.version.Store(max(s.version.Load(), resource.ParseVersion(t.Objects[i].ResourceVersion)))
		}
	}
	for _, t := range r.Types {
		n := len(t.Objects)
		if opts.Objects > 0 {
			n = max(n, n*opts.Objects/max(1, recorded))
		}
		s.collections[root(t.Type.Group, t.Type.Version)+"/"+t.Type.Resource] = newCollection(t, n, s.next)
	}
	s.http = httptest.NewUnstartedServer(http.HandlerFunc(s.serve))
	s.http.EnableHTTP2 = true
	s.http.Config.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: maxStreams}
	s.http.StartTLS()
	return s
}

// Stop ends all watches and the server.
func (s *Server) Stop() {
	close(s.stopping)
	s.http.CloseClientConnections()
	s.http.Close()
}

// next is the version of the next change, current that of the last.
func (s *Server) next() uint64    { return s.version.Add(1) }
func (s *Server) current() uint64 { return s.version.Load() }

// RESTConfig returns a new configuration of a client, without a limit of requests on the side of the client.
func (s *Server) RESTConfig() *rest.Config {
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.http.Certificate().Raw})
	tls := rest.TLSClientConfig{CAData: ca}
	return &rest.Config{Host: s.http.URL, TLSClientConfig: tls, BearerToken: "anybody", QPS: -1}
}

// WriteKubeconfig writes a kubeconfig file.
func (s *Server) WriteKubeconfig(path string) error {
	config := s.RESTConfig()
	k := clientcmdapi.NewConfig()
	k.Clusters["replay"] = &clientcmdapi.Cluster{Server: config.Host, CertificateAuthorityData: config.CAData}
	k.AuthInfos["replay"] = &clientcmdapi.AuthInfo{Token: config.BearerToken}
	k.Contexts["replay"] = &clientcmdapi.Context{Cluster: "replay", AuthInfo: "replay"}
	k.CurrentContext = "replay"
	body, err := clientcmd.Write(*k)
	if err != nil {
		return fmt.Errorf("writing a kubeconfig: %w", err)
	}
	return os.WriteFile(path, body, 0o600)
}

// target is the type and the object of a request.
type target struct {
	collection      *collection
	namespace, name string
	enc             encoding
}

func (t target) gvk() schema.GroupVersionKind {
	typ := t.collection.typ
	return schema.GroupVersionKind{Group: typ.Group, Version: typ.Version, Kind: typ.Kind}
}

func (t target) groupResource() schema.GroupResource {
	return t.collection.typ.GVR().GroupResource()
}

// find returns the target of a path; nil when there is no such type.
func (s *Server) find(path string) *target {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	n := 3 // apis/group/version
	if parts[0] == "api" {
		n = 2
	}
	if len(parts) <= n {
		return nil
	}
	base, rest := "/"+strings.Join(parts[:n], "/")+"/", parts[n:]
	var t target
	if rest[0] == "namespaces" && len(rest) > 2 {
		t.namespace, rest = rest[1], rest[2:]
	}
	if t.collection = s.collections[base+rest[0]]; t.collection == nil {
		return nil
	}
	if len(rest) > 1 {
		t.name = rest[1]
	}
	return &t
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet && s.document(w, r) {
		return
	}
	if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "reviews") {
		s.answered(w, s.review(w, r))
		return
	}
	t := s.find(r.URL.Path)
	if t != nil {
		w = s.traffic.counting(w, r, t)
	}
	if t == nil {
		s.answered(w, apierrors.NewNotFound(schema.GroupResource{}, r.URL.Path))
		return
	}
	t.enc = accepted(r.Header.Get("Accept"))
	watch := r.URL.Query().Get("watch")
	switch {
	case r.Method == http.MethodGet && (watch == "true" || watch == "1"):
		s.answered(w, s.watch(w, r, t))
	case r.Method == http.MethodGet && t.name != "":
		s.answered(w, s.get(w, t))
	case r.Method == http.MethodGet:
		s.answered(w, s.list(w, r, t))
	case r.Method == http.MethodPost, r.Method == http.MethodPut, r.Method == http.MethodDelete:
		s.answered(w, s.write(w, r, t))
	default: // clients patch only Events, and create those that are not found
		s.answered(w, apierrors.NewNotFound(t.groupResource(), t.name))
	}
}

// document answers with a recorded document.
func (s *Server) document(w http.ResponseWriter, r *http.Request) bool {
	path := r.URL.Path
	if strings.Contains(r.Header.Get("Accept"), "as=APIGroupDiscoveryList") {
		if _, ok := s.documents[path+"+"]; ok {
			path += "+"
		}
	}
	d, ok := s.documents[path]
	if ok {
		w.Header().Set("Content-Type", d.ContentType)
		_, _ = w.Write(d.Body)
	}
	return ok
}

// answered writes an error, if the answer has not begun.
func (s *Server) answered(w http.ResponseWriter, err error) {
	if err == nil {
		return
	}
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		status = apierrors.NewInternalError(err)
	}
	body := status.Status()
	body.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}
	s.respond(w, int(body.Code), &body, encoding{})
}
