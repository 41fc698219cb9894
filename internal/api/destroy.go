package api

import (
	"net"
	"net/http"
)

// mayDestroy tells whether a caller may start an operation that deletes, and answers the request if not. The API is
// open inside the cluster: any pod may read, and may have objects sent again. Deleting takes more: a token that the
// API server accepts and allows, or a connection from this very machine. kubectl port-forward makes such a
// connection, and its user needs a right for that.
func (s *Server) mayDestroy(w http.ResponseWriter, r *http.Request) bool {
	if s.authorize != nil || fromHere(r) { // The caller was authorized already.
		return true
	}
	if s.destroy == nil || r.Header.Get("Authorization") == "" {
		s.writeError(w, http.StatusForbidden, "force deletes, which not everybody in the cluster may: ask through kubectl port-forward "+
			"(kubectl vectordb-sync resync --force does), or with a bearer token that Kubernetes allows to post to this path")
		return false
	}
	allowed, code, err := s.destroy(r)
	if !allowed {
		s.refuse(w, r, code, err)
	}
	return allowed
}

// fromHere tells whether a request comes over the loopback interface, and no proxy has handed it on. A proxy beside
// the process, as service meshes have them, connects from here on behalf of any caller.
func fromHere(r *http.Request) bool {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return false
	}
	for _, name := range []string{"Forwarded", "X-Forwarded-For", "Via", "X-Envoy-External-Address", "X-Request-Id"} {
		if r.Header.Get(name) != "" {
			return false
		}
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
