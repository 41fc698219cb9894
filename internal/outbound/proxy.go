package outbound

import (
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
)

// Proxy says which proxy a request goes through: none inside the cluster, else the one of HTTPS_PROXY, HTTP_PROXY
// and NO_PROXY. These variables are often set for a whole cluster, for requests to the outside. Such a proxy knows
// neither the API server's address nor the names of Services.
func Proxy(r *http.Request) (*url.URL, error) {
	if Inside(r.URL.Hostname()) {
		return nil, nil // The request goes direct.
	}
	return http.ProxyFromEnvironment(r)
}

// Inside tells whether a host is in the cluster, or this machine. It knows the API server as pods do, loopback
// addresses, and a Service by its name alone, or by a name that ends with .svc, .svc.<domain> or .cluster.local.
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
