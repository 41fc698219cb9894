package outbound

import (
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
)

// Proxy says which proxy a request goes through: none inside the cluster, else what HTTPS_PROXY, HTTP_PROXY
// and NO_PROXY say. The variables are set for a whole cluster, more often than not, by somebody who has the
// world outside in mind: no proxy there knows the API server's address or the names of Services.
func Proxy(r *http.Request) (*url.URL, error) {
	if Inside(r.URL.Hostname()) {
		return nil, nil // It goes direct.
	}
	return http.ProxyFromEnvironment(r)
}

// Inside tells whether a host is of the cluster, or this machine: the API server as pods know it, a Service by its name
// alone, by one that ends with .svc or .svc.<domain>, or with .cluster.local, and loopback addresses.
func Inside(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if ip := net.ParseIP(host); ip != nil {
		return ip.IsLoopback() || host == strings.ToLower(os.Getenv("KUBERNETES_SERVICE_HOST"))
	}
	switch {
	case host == "":
		return false
	case !strings.Contains(host, "."), host == strings.ToLower(os.Getenv("KUBERNETES_SERVICE_HOST")):
		return true
	default:
		return strings.HasSuffix(host, ".svc") || strings.Contains(host, ".svc.") || strings.HasSuffix(host, ".cluster.local") ||
			strings.HasSuffix(host, ".localhost")
	}
}
