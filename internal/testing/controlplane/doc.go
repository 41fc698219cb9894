// Package controlplane runs a real etcd and a real kube-apiserver on loopback, for tests and for the demo, and
// breaks them on purpose.
//
// It makes its own certificate authority, service account keys and client certificates. RBAC is on. Aggregated APIs
// and CustomResourceDefinitions work. There is no controller manager, no scheduler and no node. So a Deployment gets
// no Pods, a namespace stays Terminating, and an owner reference collects nothing. The ClusterRoles that are
// aggregated from others (view, edit, admin) are empty. No controller makes default service accounts, so the
// ServiceAccount admission plugin is off, and Pods can be created.
//
//	         Start                   PauseAPIServer
//	(none) ─────────▶ running ◀───────────────────────▶ paused
//	                   │   ▲                              │
//	     StopAPIServer │   │ StartAPIServer               │ StopAPIServer(true)
//	                   ▼   │                              │
//	                  stopped ◀───────────────────────────┘        Stop leads from everywhere to (none)
//
// The binaries come from $KUBEBUILDER_ASSETS or from the cache that `make controlplane` fills. The package downloads
// and builds nothing. Both processes die with the process that started them, on Linux even if that is killed.
//
// Tests share control planes if their TestMain asks for it ([Shared]). At the end of a test etcd gets back the keys
// and values that it had when the API server was new. The next test has it as soon as the API server shows no more
// than those. Revisions and the API server's memory go on. Methods that report since the beginning
// ([ControlPlane.Follow], [ControlPlane.AuditEvents]) begin with the test. Admission remembers some objects for half
// a minute. So a test that depends on its own LimitRange or ResourceQuota wants a control plane of its own
// ([Options.Fresh]).
//
// The methods of a [ControlPlane] block until their effect has happened. They are safe for concurrent use; those
// that stop and start the API server wait for one another.
package controlplane
