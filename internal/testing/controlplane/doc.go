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
// Tests share control planes where TestMain says so ([Shared]). At the end of a test etcd gets back the keys and
// values that it had when the API server was new. The next test has it as soon as the API server shows no more
// than those. Revisions and the API server's memory go on. What a test may ask for since the beginning
// ([ControlPlane.Follow], [ControlPlane.AuditEvents]) begins with the test. Admission remembers some objects
// for half a minute: a test whose LimitRange or ResourceQuota matters wants a control plane of its own
// ([Options.Fresh]).
//
// The methods of a [ControlPlane] block until what they say has happened. They are safe for concurrent use; those that
// stop and start the API server wait for one another.
package controlplane
