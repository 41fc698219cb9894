// Package controlplane runs a real etcd and a real kube-apiserver on loopback, for tests and for the demo, and breaks
// them on purpose.
//
// It makes its own certificate authority, service account keys and client certificates. RBAC is on. Aggregated APIs and
// CustomResourceDefinitions work. There is no controller manager, no scheduler and no node: a Deployment gets
// no Pods, a namespace stays Terminating, an owner reference collects nothing, and the ClusterRoles that are
// put together from others (view, edit, admin) are empty. For the lack of a controller that makes default
// service accounts, the ServiceAccount admission plugin is off, so that Pods can be created.
//
//	         Start                   PauseAPIServer
//	(none) ─────────▶ running ◀───────────────────────▶ paused
//	                   │   ▲                              │
//	     StopAPIServer │   │ StartAPIServer               │ StopAPIServer(true)
//	                   ▼   │                              │
//	                  stopped ◀───────────────────────────┘        Stop leads from everywhere to (none)
//
// The binaries come from $KUBEBUILDER_ASSETS or from the cache that `make controlplane` fills; nothing is downloaded or
// built here. Both processes die with the process that started them, on Linux even if that is killed.
//
// The methods of a [ControlPlane] block until what they say has happened. They are safe for concurrent use; those that
// stop and start the API server wait for one another.
package controlplane
