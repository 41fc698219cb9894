package config

import (
	"errors"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap/zapcore"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/outbound"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

// The formats that a receiver may speak.
const (
	ClusterWhisperer = "cluster-whisperer"
	DotAI            = "dot-ai"
)

// Off is the bind address that switches a server off.
const Off = "0"

// Config is the whole configuration of a process. Fields are as [FromEnviron] validated them; the reference of every
// variable is docs/configuration.md. It holds no secret.
type Config struct {
	Receiver
	Timing
	Scope
	Replica
	Servers

	// LogLevel is the least level that is logged; -1 and below are logr's V(1) and above.
	LogLevel zapcore.Level
	// LogFormat is json or console.
	LogFormat string

	// Warnings are sentences for the log about settings that look like a mistake but need not be one.
	Warnings []string

	// Map shows these lists, from which the filters were built.
	watchTypes, excludeTypes             []string
	annotationInclude, annotationExclude []string
	labelInclude, labelExclude           []string
}

// Receiver is the receiver that the environment names, and tells whether objects name more of them.
type Receiver struct {
	// Endpoint is where the receiver of the environment takes changes, without user, query and fragment. It is nil
	// when there is no such receiver: then ResourceSyncConfig is true, and the objects of that kind name receivers.
	Endpoint *url.URL
	// EndpointFormat is [ClusterWhisperer] or [DotAI].
	EndpointFormat string
	// AuthTokenFile holds the bearer token; empty for a receiver that needs none. The file may change at any time.
	AuthTokenFile string
	// Files are the certificates and headers of connections to the receiver. They may change at any time.
	Files outbound.Files
	// CapabilitiesEndpoint takes the names of CRDs added and removed; nil for none.
	CapabilitiesEndpoint *url.URL
	// MaxInFlight bounds the requests in flight of the whole fleet to the receiver.
	MaxInFlight int
	// RequestTimeout bounds one request.
	RequestTimeout time.Duration
	// SettleTime is how long the receiver may go on with a request whose client has left.
	SettleTime time.Duration
	// ResourceSyncConfig tells whether the objects of that kind are read, each one more receiver.
	ResourceSyncConfig bool
}

// Timing says how long changes wait, and how many go at once.
type Timing struct {
	// DebounceWindow is how long an object has to be quiet before it is sent; 0 sends it with the next batch.
	DebounceWindow time.Duration
	// DebounceMaxWait is how long a restless object waits at most; never less than DebounceWindow.
	DebounceMaxWait time.Duration
	// BatchFlushInterval is how long a batch waits to become full.
	BatchFlushInterval time.Duration
	// BatchMaxSize bounds the upserts of one request.
	BatchMaxSize int
	// BatchMaxBytes bounds the body of one request.
	BatchMaxBytes int
	// DirtyMaxBytes bounds the packed metadata held of objects that wait to be sent.
	DirtyMaxBytes int64
	// ShutdownTimeout bounds the flush when the process is told to end; 0 leaves without one.
	ShutdownTimeout time.Duration
	// ResyncInterval is the time between full resyncs; 0 leaves only those that a caller requests.
	ResyncInterval time.Duration
	// VerifyInterval is how often each type is compared with a list; 0 leaves only verifications that a caller
	// requests.
	VerifyInterval time.Duration
}

// Scope says which part of the cluster is sent.
type Scope struct {
	// Types decides which resource types are watched.
	Types resource.Filter
	// WatchNamespaces are the only namespaces whose objects are sent; empty for all.
	WatchNamespaces []string
	// ExcludeNamespaces are namespaces whose objects are not sent. No namespace is in both lists.
	ExcludeNamespaces []string
	// Selection decides which objects of those types and namespaces are sent, and which labels and annotations
	// of them.
	Selection resource.Selection
}

// Replica is the place of this process among the others, and the state that it keeps.
type Replica struct {
	// PodName names this replica; a DNS subdomain, never empty.
	PodName string
	// PodUID tells one pod of that name from the next; empty when it is not set.
	PodUID string
	// PodNamespace is where Leases and checkpoints are kept.
	PodNamespace string
	// StatefulSetName is the StatefulSet to which Leases and ConfigMaps belong; empty for none.
	StatefulSetName string
	// RingName is common to the replicas that share the work; a DNS label.
	RingName string
	// LeaseDuration is how long others wait before they take a silent member for dead. It is longer than
	// LeaseRenewDeadline, which is longer than LeaseRenewInterval, each by a fifth of LeaseDuration at least.
	LeaseDuration time.Duration
	// LeaseRenewDeadline is how long after its last renewal a member may send.
	LeaseRenewDeadline time.Duration
	// LeaseRenewInterval is the time between renewals.
	LeaseRenewInterval time.Duration
	// StateDir keeps the inventory between starts; empty for none. It may not exist yet.
	StateDir string
}

// Servers are the addresses on which the process listens.
type Servers struct {
	// APIBindAddress is where the API listens.
	APIBindAddress string
	// APIAuth tells whether callers of the API are authenticated and authorized by Kubernetes.
	APIAuth bool
	// MetricsBindAddress is where metrics are served, or [Off].
	MetricsBindAddress string
	// MetricsSecure tells whether metrics are served over HTTPS, to those whom Kubernetes authorizes.
	MetricsSecure bool
	// MetricsCertDir holds tls.crt and tls.key; empty for a self-signed certificate.
	MetricsCertDir string
	// DebugEndpoints tells whether authorized callers of the metrics server may look inside and take profiles, too.
	DebugEndpoints bool
	// HealthProbeBindAddress is where /healthz and /readyz are served.
	HealthProbeBindAddress string
}

// Error says what is wrong with the value of one variable.
type Error struct {
	// Variable is the name of the variable.
	Variable string
	// Value is the variable's value, cut and redacted so that it may be logged.
	Value string
	// Problem is what is wrong with the value.
	Problem string
	// Want is what would be right.
	Want string
}

// Error joins the fields into one line.
func (e *Error) Error() string {
	return e.Variable + "=" + e.Value + ": " + e.Problem + "; want " + e.Want
}

// FromEnviron reads the configuration from an environment as [os.Environ] returns it. Of a variable that occurs
// twice the first counts, as for [os.Getenv]. Blanks around a value are cut. An empty variable counts as not set,
// with two exceptions: a list is then empty, and REST_ENDPOINT names no receiver.
//
// The error joins one [*Error] for each mistake, in the order of [Settings]; mistakes of several variables together
// come last. With an error, only Warnings of the Config is set.
func FromEnviron(environ []string) (Config, error) {
	l := &loader{env: parseEnviron(environ), failed: map[string]bool{}}
	l.load()
	l.resolve()
	l.check()
	l.config.Warnings = misspelled(l.env)
	if len(l.errs) > 0 {
		return Config{Warnings: l.config.Warnings}, errors.Join(l.errs...)
	}
	return l.config, nil
}

// ForPlan is FromEnviron for a process that only tells what it would send. It checks only the settings that decide
// which objects are sent, and when. Files, Leases and addresses of servers may be those of another machine, and the
// environment need not name a receiver.
func ForPlan(environ []string) (Config, error) {
	l := &loader{env: parseEnviron(environ), failed: map[string]bool{}}
	l.env["POD_NAME"] = "plan" // the name of this machine need not be one that a pod may have
	l.load()
	l.resolve()
	l.checkDebounce()
	l.checkNamespaces()
	l.config.Warnings = misspelled(l.env)
	if len(l.errs) > 0 {
		return Config{Warnings: l.config.Warnings}, errors.Join(l.errs...)
	}
	return l.config, nil
}

// Map returns the value in force of every variable, by name, in the form that the variable takes. It holds no
// secret.
func (c Config) Map() map[string]string {
	m := make(map[string]string, len(settings))
	for _, s := range settings {
		if s.parser != nil {
			m[s.Name] = s.parser(&c).String()
		}
	}
	return m
}

// String returns [Config.Map] as a line of NAME=value in the order of the names.
func (c Config) String() string {
	m := c.Map()
	var b strings.Builder
	for i, name := range slices.Sorted(maps.Keys(m)) {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(name + "=" + m[name])
	}
	return b.String()
}

func parseEnviron(environ []string) map[string]string {
	env := make(map[string]string, len(environ))
	for _, entry := range environ {
		name, value, found := strings.Cut(entry, "=")
		if _, twice := env[name]; found && !twice {
			env[name] = strings.TrimSpace(value)
		}
	}
	return env
}
