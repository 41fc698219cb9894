package config

import (
	"slices"
	"strings"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

// Setting declares one variable.
type Setting struct {
	// Group is the heading that the variable is documented under.
	Group string
	// Name is the variable.
	Name string
	// Default is its value when unset, empty for none.
	Default string
	// DotAIDefault takes the place of Default with ENDPOINT_FORMAT=dot-ai, when it is not empty.
	DotAIDefault string
	// Want completes "want …": the values that are allowed, with an example.
	Want string
	// Doc says what the variable does, in Markdown without line breaks.
	Doc string

	// parser returns the parser of the variable's field; nil for a variable that has none of its own.
	parser func(*Config) parser
	// keepsEmpty tells that a variable which is set to nothing is not the same as one that is not set.
	keepsEmpty bool
}

// Settings returns every variable, in the order of the reference.
func Settings() []Setting { return slices.Clone(settings) }

const (
	minute = time.Minute
	hour   = time.Hour
	day    = 24 * time.Hour

	wantMillis = "whole milliseconds such as "
)

// settings is the table of all variables. ENDPOINT_FORMAT comes first: defaults depend on it. Defaults of the
// receivers (requests in flight, timeout, settle time, bytes) come from measurements of both: cluster-whisperer is at
// its best with two large requests at a time and gives up on its embedder after 60 s; dot-ai works off a request one
// object after the other, takes up to 90 s until its circuit breaker opens, and stands behind an ingress that
// takes 1 MiB.
var settings = slices.Concat(receiverSettings, pipelineSettings, scopeSettings, replicaSettings, serverSettings, processSettings)

var receiverSettings = group("Receiver", []Setting{{
	Name:    "ENDPOINT_FORMAT",
	Default: ClusterWhisperer,
	Want:    "cluster-whisperer or dot-ai",
	Doc:     "What the receiver at `REST_ENDPOINT` speaks. Some defaults depend on it.",
	parser:  words(func(c *Config) *string { return &c.EndpointFormat }, ClusterWhisperer, DotAI),
}, {
	Name:         "REST_ENDPOINT",
	Default:      "http://localhost:3000/api/v1/instances/sync",
	DotAIDefault: "http://localhost:3456/api/v1/resources/sync",
	Want:         "a URL such as http://cluster-whisperer:3000/api/v1/instances/sync",
	Doc: "The receiver's REST URL, without user, query and fragment. It has no default with `RESOURCE_SYNC_CONFIG=true`, and may then " +
		"be empty: ResourceSyncConfig objects alone name receivers.",
	parser:     func(c *Config) parser { return endpoint{&c.Endpoint} },
	keepsEmpty: true,
}, {
	Name: instancesEndpoint,
	Want: "the same URL as REST_ENDPOINT, or only one of the two",
	Doc:  "Another name of `REST_ENDPOINT`. When both are set, they must be equal.",
}, {
	Name: "AUTH_TOKEN_FILE",
	Want: "the absolute path of a file with the token in one line, such as /var/run/secrets/receiver/token",
	Doc: "File with the bearer token for the receiver. The controller reads it for each request, so you may rotate the token. dot-ai " +
		"requires a token; cluster-whisperer ignores it, but a proxy in front of it may not.",
	parser: checked(func(c *Config) *string { return &c.AuthTokenFile }, absolutePath),
}, {
	Name: "ENDPOINT_CA_FILE",
	Want: "the absolute path of a file with certificates as PEM, such as /etc/receiver/ca.crt",
	Doc: "File with certificates of authorities that may have issued the certificates of `REST_ENDPOINT` and `CAPABILITIES_ENDPOINT`, " +
		"besides those that the image trusts. The controller reads it for each connection.",
	parser: checked(func(c *Config) *string { return &c.Files.CA }, absolutePath),
}, {
	Name: certFile,
	Want: "the absolute path of a file with a certificate as PEM, such as /etc/receiver/tls.crt",
	Doc: "File with the client certificate for `REST_ENDPOINT` and `CAPABILITIES_ENDPOINT`. It needs `ENDPOINT_CLIENT_KEY_FILE`. The " +
		"controller reads it for each connection, so you may rotate it.",
	parser: checked(func(c *Config) *string { return &c.Files.Cert }, absolutePath),
}, {
	Name:   keyFile,
	Want:   "the absolute path of a file with a key as PEM, such as /etc/receiver/tls.key",
	Doc:    "File with the key of `ENDPOINT_CLIENT_CERT_FILE`.",
	parser: checked(func(c *Config) *string { return &c.Files.Key }, absolutePath),
}, {
	Name: headersFile,
	Want: "the absolute path of a file with one header a line, as Name: value, such as /etc/receiver/headers",
	Doc: "File with further headers for the receiver, one `Name: value` a line, as a gateway may require; `#` begins a comment. The " +
		"controller reads it for each request. Headers that describe the payload (`Content-Type`, `Host` and the like) cannot be set, " +
		"and `Authorization` only without `AUTH_TOKEN_FILE`. `CAPABILITIES_ENDPOINT` gets the headers if it has the same host.",
	parser: checked(func(c *Config) *string { return &c.Files.Headers }, absolutePath),
}, {
	Name: "CAPABILITIES_ENDPOINT",
	Want: "a URL such as http://cluster-whisperer:3000/api/v1/capabilities/scan",
	Doc: "URL at which newer versions of cluster-whisperer accept the names of added and removed CustomResourceDefinitions. When it is " +
		"not set, the controller sends no names. When it is set, the controller does not send definitions as objects, unless " +
		"`WATCH_RESOURCE_TYPES` names `customresourcedefinitions` itself. It sends a name again when the definition serves something " +
		"else: names, versions, schemas.",
	parser: func(c *Config) parser { return endpoint{&c.CapabilitiesEndpoint} },
}, {
	Name:         "MAX_IN_FLIGHT",
	Default:      "2",
	DotAIDefault: "8",
	Want:         "a whole number from 1 to 1000",
	Doc:          "How many requests all replicas together may have in flight to the receiver; each replica has at least one.",
	parser:       count(func(c *Config) *int { return &c.MaxInFlight }, 1, 1000),
}, {
	Name:         "REQUEST_TIMEOUT_MS",
	Default:      "90000",
	DotAIDefault: "120000",
	Want:         wantMillis + "90000, at most 3600000",
	Doc:          "How long a request may take, in milliseconds. It should be longer than the receiver waits for its embedder.",
	parser:       millis(func(c *Config) *time.Duration { return &c.RequestTimeout }, 1, hour),
}, {
	Name:         "SETTLE_TIME_MS",
	Default:      "60000",
	DotAIDefault: "90000",
	Want:         wantMillis + "60000, at most 3600000",
	Doc: "How long the receiver may go on with a request whose sender has gone, in milliseconds. After a request with an unknown " +
		"outcome, the controller repeats the last state of its objects after this time.",
	parser: millis(func(c *Config) *time.Duration { return &c.SettleTime }, 1, hour),
}, {
	Name:    "RESOURCE_SYNC_CONFIG",
	Default: "false",
	Want:    "true or false",
	Doc: "Whether the controller reads ResourceSyncConfig objects, each of which names one more receiver. Their " +
		"CustomResourceDefinition must be installed.",
	parser: toggle(func(c *Config) *bool { return &c.ResourceSyncConfig }),
}})

var pipelineSettings = group("Debouncing, batching and resync", []Setting{{
	Name:    "DEBOUNCE_WINDOW_MS",
	Default: "10000",
	Want:    wantMillis + "10000, at most 3600000",
	Doc: "How long to wait (in milliseconds) after a resource changes before syncing it. If the resource changes again during this window, " +
		"the timer resets. Deletes do not wait. 0 switches debouncing off.",
	parser: millis(func(c *Config) *time.Duration { return &c.DebounceWindow }, 0, hour),
}, {
	Name:    maxWait,
	Default: "60000",
	Want:    wantMillis + "60000, not less than DEBOUNCE_WINDOW_MS and at most 86400000",
	Doc: "The longest time (in milliseconds) that a resource which keeps changing waits. When it is not set, it is at least six " +
		"debounce windows.",
	parser: millis(func(c *Config) *time.Duration { return &c.DebounceMaxWait }, 0, day),
}, {
	Name:    "BATCH_FLUSH_INTERVAL_MS",
	Default: "5000",
	Want:    wantMillis + "5000, from 1 to 3600000",
	Doc:     "Maximum time in milliseconds before sending accumulated changes, even if the batch is not full.",
	parser:  millis(func(c *Config) *time.Duration { return &c.BatchFlushInterval }, 1, hour),
}, {
	Name:         "BATCH_MAX_SIZE",
	Default:      "50",
	DotAIDefault: "20",
	Want:         "a whole number from 1 to 1000000",
	Doc:          "Maximum number of upserts in a single payload. When this limit is reached, the batch is sent immediately.",
	parser:       count(func(c *Config) *int { return &c.BatchMaxSize }, 1, 1_000_000),
}, {
	Name:         "BATCH_MAX_BYTES",
	Default:      "1048576",
	DotAIDefault: "786432",
	Want:         "bytes such as 1048576 or 1Mi, from 4096 to 67108864, and at most 5242880 for cluster-whisperer",
	Doc: "Maximum size of a single payload. cluster-whisperer refuses more than 5 MiB; an nginx ingress in front of dot-ai refuses " +
		"more than 1 MiB by default.",
	parser: func(c *Config) parser {
		return size[int]{whole[int]{&c.BatchMaxBytes, 1, 4096, 64 << 20}}
	},
}, {
	Name:    "DIRTY_MAX_BYTES",
	Default: "33554432",
	Want:    "bytes such as 33554432 or 32Mi, from 1048576 to 1099511627776",
	Doc: "Maximum size of the metadata in memory of objects that wait to be sent. Beyond it the controller keeps only their names, and " +
		"reads the metadata again from the API server when their turn comes: nothing is lost.",
	parser: func(c *Config) parser {
		return size[int64]{whole[int64]{&c.DirtyMaxBytes, 1, 1 << 20, 1 << 40}}
	},
}, {
	Name:    "SHUTDOWN_TIMEOUT_MS",
	Default: "25000",
	Want:    wantMillis + "25000, at most 3600000",
	Doc: "How long (in milliseconds) a replica may take at SIGTERM to send what is ready. It must be less than the pod's " +
		"`terminationGracePeriodSeconds`. The other replicas, or the next start, send what remains.",
	parser: millis(func(c *Config) *time.Duration { return &c.ShutdownTimeout }, 0, hour),
}, {
	Name:    "RESYNC_INTERVAL_MIN",
	Default: "1440",
	Want:    "whole minutes such as 1440, at most 525600",
	Doc: "How often (in minutes) the controller performs a full resync of all resources. The default is 24 hours. With 0, it performs " +
		"a resync only on request.",
	parser: func(c *Config) parser { return whole[time.Duration]{&c.ResyncInterval, minute, 0, 525_600} },
}, {
	Name:    "VERIFY_INTERVAL_MIN",
	Default: "60",
	Want:    "whole minutes such as 60, at most 10080",
	Doc: "How often (in minutes) the replicas compare their index of each resource type with a complete list, which one of them reads " +
		"for all. They repair and count a difference. With 0, they compare only with each other, and with a list on request.",
	parser: func(c *Config) parser { return whole[time.Duration]{&c.VerifyInterval, minute, 0, 10_080} },
}})

var scopeSettings = group("What is sent", []Setting{{
	Name: "WATCH_RESOURCE_TYPES",
	Want: wantTypes,
	Doc: "Comma-separated list of resource types to watch. When empty, the controller watches all discoverable types. " +
		"See [resource types](#resource-types).",
	parser:     types(func(c *Config) *[]string { return &c.watchTypes }),
	keepsEmpty: true,
}, {
	Name:       "EXCLUDE_RESOURCE_TYPES",
	Default:    join(resource.DefaultExcludes()),
	Want:       wantTypes,
	Doc:        "Comma-separated list of resource types to skip. Excluded wins over watched. See [resource types](#resource-types).",
	parser:     types(func(c *Config) *[]string { return &c.excludeTypes }),
	keepsEmpty: true,
}, {
	Name: "WATCH_NAMESPACES",
	Want: "a comma-separated list of namespaces such as shop,payments",
	Doc: "Comma-separated list of the only namespaces whose objects are sent. When empty, all are. Cluster-scoped objects are sent all " +
		"the same, except Namespaces, which go by their own name. Where the controller may not list a type in the whole cluster, it " +
		"lists and watches the type in each of these namespaces ([without rights in the whole " +
		"cluster](install.md#without-rights-in-the-whole-cluster)).",
	parser:     entries(func(c *Config) *[]string { return &c.WatchNamespaces }, dnsLabel),
	keepsEmpty: true,
}, {
	Name:       excludeNamespaces,
	Want:       "a comma-separated list of namespaces such as kube-system, none of which is in WATCH_NAMESPACES",
	Doc:        "Comma-separated list of namespaces that are not sent, neither their objects nor the Namespaces themselves.",
	parser:     entries(func(c *Config) *[]string { return &c.ExcludeNamespaces }, dnsLabel),
	keepsEmpty: true,
}, {
	Name:    "ANNOTATION_INCLUDE",
	Default: join(resource.DefaultAnnotations()),
	Want:    wantAnnotations,
	Doc: "Comma-separated list of the annotations that are sent: keys, or globs in which `*` stands for anything but a slash. Values " +
		"are cut at 1 KiB. When empty, none are sent. `kubectl.kubernetes.io/last-applied-configuration` is never sent.",
	parser:     entries(func(c *Config) *[]string { return &c.annotationInclude }, annotation),
	keepsEmpty: true,
}, {
	Name:       "ANNOTATION_EXCLUDE",
	Want:       wantAnnotations,
	Doc:        "Comma-separated list of annotations, keys or globs, that are not sent although `ANNOTATION_INCLUDE` names them.",
	parser:     entries(func(c *Config) *[]string { return &c.annotationExclude }, annotation),
	keepsEmpty: true,
}, {
	Name: "LABEL_INCLUDE",
	Want: wantLabels,
	Doc: "Comma-separated list of the only labels that are sent: keys, or globs in which `*` stands for anything but a slash, and `?` " +
		"for one character. When empty, all are. See [what is sent](#what-a-setting-means-for-what-is-sent).",
	parser:     entries(func(c *Config) *[]string { return &c.labelInclude }, label),
	keepsEmpty: true,
}, {
	Name:    "LABEL_EXCLUDE",
	Default: join(resource.DefaultLabelExcludes()),
	Want:    wantLabels,
	Doc: "Comma-separated list of labels, keys or globs, that are not sent. A change of such a label sends nothing. The default names " +
		"labels that are clocks: `nvidia.com/gfd.timestamp`, `amd.com/gfd.timestamp` and the like change each minute. Repeat the " +
		"default when you add to it.",
	parser:     entries(func(c *Config) *[]string { return &c.labelExclude }, label),
	keepsEmpty: true,
}, {
	Name: "WATCH_LABEL_SELECTOR",
	Want: "a label selector such as team=shop,tier!=test or env in (prod,stage)",
	Doc: "Label selector of the only objects that are sent, of every type, written as for `kubectl get -l`. The API server applies it " +
		"to lists and watches. When an object no longer matches, the controller deletes its document at the receiver. When empty, all " +
		"are sent.",
	parser: func(c *Config) parser { return selector{&c.Selection.Selector} },
}, {
	Name:    "OPT_OUT_ANNOTATION",
	Default: resource.DefaultOptOut,
	Want:    "the key of an annotation such as vectordb-sync.io/ignore",
	Doc: "Annotation by which an object can opt out: with the value `true` the controller deletes its document at the receiver, and " +
		"without it sends the object again. When set to nothing, no object can opt out.",
	parser:     checked(func(c *Config) *string { return &c.Selection.OptOut }, qualifiedName),
	keepsEmpty: true,
}, {
	Name:    "SKIP_CONTROLLED",
	Default: "false",
	Want:    "true or false",
	Doc: "Whether to leave out objects whose controller is itself of a watched type. Such are the ReplicaSets of a Deployment, the " +
		"Pods of a ReplicaSet, a Job or a StatefulSet, the Jobs of a CronJob. The controller of an object is its owner reference with " +
		"`controller: true`. Its type is watched if `WATCH_RESOURCE_TYPES` and `EXCLUDE_RESOURCE_TYPES` let it through.",
	parser: toggle(func(c *Config) *bool { return &c.Selection.SkipControlled }),
}, {
	Name: "EXTRA_LABELS",
	Want: "a comma-separated list of labels such as cluster=prod-eu,team=platform",
	Doc: "Labels that every document gets, so that one receiver can tell several clusters apart. They win over an object's own label " +
		"of the same key, and `LABEL_EXCLUDE` does not apply to them.",
	parser: func(c *Config) parser { return labelMap{&c.Selection.Extra} },
}})

var replicaSettings = group("Replicas", []Setting{{
	Name:   "POD_NAME",
	Want:   "a DNS subdomain such as k8s-vectordb-sync-0",
	Doc:    "Name of this replica, unique among the replicas. When it is not set, the controller uses the host's name.",
	parser: checked(func(c *Config) *string { return &c.PodName }, dnsSubdomain),
}, {
	Name: "POD_UID",
	Want: "the pod's UID such as 7d1b7e4e-3c3f-4c52-9d0e-0a8c1c0f7a55",
	Doc: "UID of this replica's pod. With it, a restarted container continues at once; without it, a restarted container waits like a " +
		"new replica.",
	parser: checked(func(c *Config) *string { return &c.PodUID }, dnsSubdomain),
}, {
	Name:    "POD_NAMESPACE",
	Default: "default",
	Want:    "a namespace such as k8s-vectordb-sync-system",
	Doc:     "Namespace of the replicas, where their Leases and checkpoints are.",
	parser:  checked(func(c *Config) *string { return &c.PodNamespace }, dnsLabel),
}, {
	Name: "STATEFUL_SET_NAME",
	Want: "the name of a StatefulSet such as k8s-vectordb-sync",
	Doc: "StatefulSet of the replicas, which must be allowed to `get` it. It then owns their Leases and ConfigMaps, and Kubernetes " +
		"removes these when it is deleted. Without it, they stay.",
	parser: checked(func(c *Config) *string { return &c.StatefulSetName }, dnsSubdomain),
}, {
	Name:    "RING_NAME",
	Default: "k8s-vectordb-sync",
	Want:    "a DNS label such as k8s-vectordb-sync",
	Doc:     "Name common to the replicas that share the work. Two releases in one namespace need two names.",
	parser:  checked(func(c *Config) *string { return &c.RingName }, dnsLabel),
}, {
	Name:    leaseDuration,
	Default: "15000",
	Want:    wantMillis + "15000, from 1000 to 3600000",
	Doc:     "How long (in milliseconds) the other replicas wait before they take over from a replica that has fallen silent.",
	parser:  millis(func(c *Config) *time.Duration { return &c.LeaseDuration }, 1000, hour),
}, {
	Name:    renewDeadline,
	Default: "10000",
	Want:    wantMillis + "10000, less than LEASE_DURATION_MS by a fifth of that at least",
	Doc:     "How long (in milliseconds) after its last renewal a replica stops sending. Less than `LEASE_DURATION_MS` by a fifth of that at least.",
	parser:  millis(func(c *Config) *time.Duration { return &c.LeaseRenewDeadline }, 1, hour),
}, {
	Name:    renewInterval,
	Default: "5000",
	Want:    wantMillis + "5000, less than LEASE_RENEW_DEADLINE_MS by a fifth of LEASE_DURATION_MS at least",
	Doc:     "How often (in milliseconds) a replica renews its Lease. Less than `LEASE_RENEW_DEADLINE_MS` by a fifth of `LEASE_DURATION_MS` at least.",
	parser:  millis(func(c *Config) *time.Duration { return &c.LeaseRenewInterval }, 1, hour),
}, {
	Name: "STATE_DIR",
	Want: "the absolute path of a directory such as /var/lib/k8s-vectordb-sync",
	Doc: "Directory for the inventory of all objects, by which a replica finds deletions from a time when no replica ran. When it is " +
		"not set, the replica keeps no inventory.",
	parser: checked(func(c *Config) *string { return &c.StateDir }, absolutePath),
}})

var serverSettings = group("Servers", []Setting{{
	Name:    apiAddress,
	Default: ":8082",
	Want:    wantAddress + ":8082",
	Doc:     "Bind address for the API: resync trigger, status, ring.",
	parser:  checked(func(c *Config) *string { return &c.APIBindAddress }, bindAddress),
}, {
	Name:    "API_AUTH",
	Default: "false",
	Want:    "true or false",
	Doc:     "Whether callers of the API need a Kubernetes token, and the right to use the path.",
	parser:  toggle(func(c *Config) *bool { return &c.APIAuth }),
}, {
	Name:    metricsAddress,
	Default: ":8443",
	Want:    wantAddress + ":8443, or 0 for no metrics",
	Doc:     "Bind address for `/metrics`. 0 switches metrics off.",
	parser:  checked(func(c *Config) *string { return &c.MetricsBindAddress }, bindAddressOrOff),
}, {
	Name:    "METRICS_SECURE",
	Default: "true",
	Want:    "true or false",
	Doc:     "Whether the controller serves metrics over HTTPS and to authorized callers only.",
	parser:  toggle(func(c *Config) *bool { return &c.MetricsSecure }),
}, {
	Name:   "METRICS_CERT_DIR",
	Want:   "the absolute path of a directory with tls.crt and tls.key",
	Doc:    "Directory with `tls.crt` and `tls.key` for metrics. When it is not set, the certificate is self-signed.",
	parser: checked(func(c *Config) *string { return &c.MetricsCertDir }, absolutePath),
}, {
	Name:    debugEndpoints,
	Default: "false",
	Want:    "true or false, and true only with metrics",
	Doc: "Whether the controller serves `/debug/objects`, `/debug/types`, `/debug/checkpoints` and `/debug/pprof/` beside the metrics, " +
		"to callers with a Kubernetes token and the right to the path. This costs 1.5 MB of memory.",
	parser: toggle(func(c *Config) *bool { return &c.DebugEndpoints }),
}, {
	Name:    healthAddress,
	Default: ":8081",
	Want:    wantAddress + ":8081",
	Doc:     "Bind address for `/healthz` and `/readyz`.",
	parser:  checked(func(c *Config) *string { return &c.HealthProbeBindAddress }, bindAddress),
}})

var processSettings = group("Process", []Setting{{
	Name:    "LOG_LEVEL",
	Default: "info",
	Want:    "debug, info, warn, error, or a verbosity from 0 (info) and 1 (debug) to 10",
	Doc:     "Logging verbosity.",
	parser:  func(c *Config) parser { return level{&c.LogLevel} },
}, {
	Name:    "LOG_FORMAT",
	Default: "json",
	Want:    "json or console",
	Doc:     "Whether log lines are for machines or for people.",
	parser:  words(func(c *Config) *string { return &c.LogFormat }, "json", "console"),
}, {
	Name: "KUBECONFIG",
	Want: "the path of a file",
	Doc: "File that says how to reach the API server, for a controller that runs outside a cluster. The controller reads it as " +
		"`kubectl` does, and does not check it at the start. Inside a cluster it is not needed.",
}})

// Names and phrases that occur more than once.
const (
	restEndpoint      = "REST_ENDPOINT"
	instancesEndpoint = "INSTANCES_ENDPOINT"
	certFile          = "ENDPOINT_CLIENT_CERT_FILE"
	keyFile           = "ENDPOINT_CLIENT_KEY_FILE"
	headersFile       = "ENDPOINT_HEADERS_FILE"
	maxWait           = "DEBOUNCE_MAX_WAIT_MS"
	excludeNamespaces = "EXCLUDE_NAMESPACES"
	leaseDuration     = "LEASE_DURATION_MS"
	renewDeadline     = "LEASE_RENEW_DEADLINE_MS"
	renewInterval     = "LEASE_RENEW_INTERVAL_MS"
	apiAddress        = "API_BIND_ADDRESS"
	metricsAddress    = "METRICS_BIND_ADDRESS"
	healthAddress     = "HEALTH_PROBE_BIND_ADDRESS"
	debugEndpoints    = "DEBUG_ENDPOINTS"

	wantTypes       = "a comma-separated list of types such as deployments, deployments.apps, deployments.v1.apps or *.example.com"
	wantAnnotations = "a comma-separated list of keys such as description or globs such as */description"
	wantLabels      = "a comma-separated list of keys such as app or globs such as app.kubernetes.io/*"
	wantAddress     = "an address such as "
)

func group(heading string, settings []Setting) []Setting {
	for i := range settings {
		settings[i].Group = heading
	}
	return settings
}

func join(entries []string) string { return strings.Join(entries, ",") }
