package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ResourceSyncConfig declares a receiver, dot-ai by default. The controller
// brings the receiver to the state of this cluster and keeps it there: it
// sends the metadata of every resource when it changes, and everything anew at
// an interval. Each object is a receiver of its own. A change of one restarts
// that one alone, and deleting it stops the sending; the receiver keeps its
// documents.
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=resourcesyncconfigs,singular=resourcesyncconfig,scope=Namespaced
// +kubebuilder:printcolumn:name="Ready",type="string",JSONPath=".status.conditions[?(@.type=='Ready')].status",description="Whether the receiver is being kept in step"
// +kubebuilder:printcolumn:name="Active",type="boolean",JSONPath=".status.active",description="Whether the cluster is watched for this receiver"
// +kubebuilder:printcolumn:name="Watched",type="integer",JSONPath=".status.watchedResourceTypes",description="Resource types being watched"
// +kubebuilder:printcolumn:name="Synced",type="integer",JSONPath=".status.totalResourcesSynced",description="Resources that the receiver has acknowledged"
// +kubebuilder:printcolumn:name="Last Sync",type="date",JSONPath=".status.lastSyncTime",description="When the receiver last acknowledged something"
// +kubebuilder:printcolumn:name="Errors",type="integer",JSONPath=".status.syncErrors",description="Requests that failed"
// +kubebuilder:printcolumn:name="Age",type="date",JSONPath=".metadata.creationTimestamp"
// +kubebuilder:printcolumn:name="Reason",type="string",priority=1,JSONPath=".status.conditions[?(@.type=='Ready')].reason",description="Why it is ready, or is not"
// +kubebuilder:printcolumn:name="Endpoint",type="string",priority=1,JSONPath=".spec.mcpEndpoint",description="The receiver"
type ResourceSyncConfig struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// The desired state: the receiver, its credential, and how to send to it.
	// +required
	Spec ResourceSyncConfigSpec `json:"spec"`

	// The observed state, which the controller writes at most every ten seconds.
	// +optional
	Status ResourceSyncConfigStatus `json:"status,omitempty"`
}

// ResourceSyncConfigSpec is the desired state.
// +kubebuilder:validation:XValidation:rule="!has(self.caBundle) || self.mcpEndpoint.startsWith('https://')",message="caBundle is of use with an https endpoint only: begin mcpEndpoint with https:// or leave caBundle out"
type ResourceSyncConfigSpec struct {
	// Full URL that the controller sends changes to, such as
	// http://dot-ai.dot-ai.svc.cluster.local:3456/api/v1/resources/sync. It has
	// neither user, query nor fragment.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:XValidation:rule="isURL(self) && url(self).getScheme() in ['http', 'https'] && url(self).getHostname() != ''",message="must be a full URL with scheme and host, such as http://dot-ai.dot-ai.svc.cluster.local:3456/api/v1/resources/sync"
	// +kubebuilder:validation:XValidation:rule="!self.matches('^[^/]*//[^/?#]*@')",message="must not hold a user or password: put the credential into the Secret that mcpAuthSecretRef names"
	// +kubebuilder:validation:XValidation:rule="!self.contains('?') && !self.contains('#')",message="must not have a query or a fragment: end it with the path, such as /api/v1/resources/sync"
	McpEndpoint string `json:"mcpEndpoint"`

	// The Secret with the token that is sent as "Authorization: Bearer <token>".
	// It is in the namespace of this object. The controller uses a rotated token
	// from the next request on, and waits for a Secret that is missing.
	// +required
	McpAuthSecretRef SecretReference `json:"mcpAuthSecretRef"`

	// Seconds that a resource must be quiet before its change is sent.
	// Deletions do not wait.
	// +optional
	// +kubebuilder:default=10
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=300
	DebounceWindowSeconds int32 `json:"debounceWindowSeconds,omitempty"`

	// Minutes between full resyncs. A resync sends everything once more, to
	// repair whatever the receiver has lost.
	// +optional
	// +kubebuilder:default=60
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1440
	ResyncIntervalMinutes int32 `json:"resyncIntervalMinutes,omitempty"`

	// The contract of the receiver: dot-ai or cluster-whisperer.
	// +optional
	// +kubebuilder:default=dot-ai
	// +kubebuilder:validation:Enum=dot-ai;cluster-whisperer
	Format string `json:"format,omitempty"`

	// Resource types to send, of those that the controller watches at all. Each
	// is a plural such as deployments, a plural with its group such as
	// deployments.apps, one with version and group such as deployments.v1.apps,
	// or a glob such as *.example.com. By default, all are sent.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=253
	// +kubebuilder:validation:items:Pattern=`^[A-Za-z0-9*-]+(\.[A-Za-z0-9*-]+)*$`
	WatchResourceTypes []string `json:"watchResourceTypes,omitempty"`

	// Resource types not to send, written like watchResourceTypes, over which
	// they win. The default is events, leases and endpointslices.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=253
	// +kubebuilder:validation:items:Pattern=`^[A-Za-z0-9*-]+(\.[A-Za-z0-9*-]+)*$`
	ExcludeResourceTypes []string `json:"excludeResourceTypes,omitempty"`

	// The only namespaces whose resources are sent, of those that the controller
	// watches at all. By default, all are. Cluster-scoped resources are sent in
	// any case; a Namespace itself goes by its own name.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=63
	// +kubebuilder:validation:items:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	WatchNamespaces []string `json:"watchNamespaces,omitempty"`

	// Namespaces that are not sent, neither their resources nor the Namespaces
	// themselves.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=63
	// +kubebuilder:validation:items:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	ExcludeNamespaces []string `json:"excludeNamespaces,omitempty"`

	// Annotations to send, of those that the controller keeps at all: keys, or
	// globs in which * stands for anything but a slash. The default is
	// description and */description; an empty list sends none.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=317
	AnnotationInclude []string `json:"annotationInclude,omitempty"`

	// Annotations not to send, even if annotationInclude names them.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=317
	AnnotationExclude []string `json:"annotationExclude,omitempty"`

	// The only labels to send, of those that the controller keeps at all: keys, or
	// globs in which * stands for anything but a slash and ? for one character.
	// By default, all are sent.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=317
	LabelInclude []string `json:"labelInclude,omitempty"`

	// Labels not to send, even if labelInclude names them. A change of such a
	// label sends nothing.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=317
	LabelExclude []string `json:"labelExclude,omitempty"`

	// Label selector of the only resources to send, of every type, such as
	// team=shop,tier!=test. It sees the labels that the controller keeps, its
	// EXTRA_LABELS among them. When a resource no longer matches, its document
	// is deleted at the receiver. By default, all are sent.
	// +optional
	// +kubebuilder:validation:MaxLength=4096
	WatchLabelSelector string `json:"watchLabelSelector,omitempty"`

	// A word by which a resource can opt out of this receiver. If the opt-out
	// annotation of a resource holds the word, perhaps among others separated by
	// commas, its document is deleted there. By default the annotation is
	// vectordb-sync.io/ignore. With the value true, a resource is sent to no
	// receiver at all.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$`
	// +kubebuilder:validation:XValidation:rule="!(self.lowerAscii() in ['true', 'false', 't', 'f', '1', '0'])",message="must not be a truth value: true stands for every receiver"
	OptOutValue string `json:"optOutValue,omitempty"`

	// Whether to leave out resources whose controller is itself of a type that is
	// sent, such as the ReplicaSets of a Deployment and the Pods of a Job. The
	// controller is the owner reference with controller: true.
	// +optional
	SkipControlled bool `json:"skipControlled,omitempty"`

	// Labels that every document of this receiver gets, besides EXTRA_LABELS of
	// the controller. They win over EXTRA_LABELS and over a resource's own label
	// of the same key.
	// +optional
	// +kubebuilder:validation:MaxProperties=64
	ExtraLabels map[string]string `json:"extraLabels,omitempty"`

	// The most resources in one request. The default suits the receiver: 20 for
	// dot-ai, 100 for cluster-whisperer.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	BatchMaxSize int32 `json:"batchMaxSize,omitempty"`

	// The most requests in flight, from all replicas of the controller together;
	// each replica has at least one. The default suits the receiver: 8 for
	// dot-ai, 2 for cluster-whisperer.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	MaxInFlight int32 `json:"maxInFlight,omitempty"`

	// Certificates, as PEM, of the authorities that may have issued the
	// receiver's certificate, besides those that the controller's image trusts.
	// It is useful only with an https endpoint.
	// +optional
	// +kubebuilder:validation:MaxLength=1048576
	CABundle []byte `json:"caBundle,omitempty"`
}

// SecretReference names one value in a Secret.
type SecretReference struct {
	// Name of the Secret, which is in the namespace of this object.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`

	// Key of the value in the Secret.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Key string `json:"key"`
}

// ResourceSyncConfigStatus is the observed state. Numbers are sums over all
// replicas of the controller.
type ResourceSyncConfigStatus struct {
	// Generation of this object that the status describes. While it differs from
	// metadata.generation, the controller has not seen a change of the spec yet.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// Whether the controller watches the cluster for this receiver. If not, the
	// condition Ready says why.
	// +optional
	Active bool `json:"active"`

	// Number of resource types being watched for this receiver.
	// +optional
	WatchedResourceTypes int32 `json:"watchedResourceTypes"`

	// Resources whose current state the receiver has acknowledged.
	// +optional
	TotalResourcesSynced int64 `json:"totalResourcesSynced"`

	// When the receiver last acknowledged something.
	// +optional
	LastSyncTime *metav1.Time `json:"lastSyncTime,omitempty"`

	// When the last full resync was complete.
	// +optional
	LastResyncTime *metav1.Time `json:"lastResyncTime,omitempty"`

	// Requests that failed since the controller was started. The controller
	// sends their resources again.
	// +optional
	SyncErrors int64 `json:"syncErrors"`

	// The last error, in words, of a request or of this object. It stays when
	// all is well again.
	// +optional
	LastError string `json:"lastError,omitempty"`

	// Conditions. Ready is True while the controller watches the cluster and the
	// receiver accepts what is sent. ReceiverDegraded, DiscoveryIncomplete,
	// DeletionsUnknown and RepairWaiting are False unless a problem needs a
	// person's attention. Each message says what to do.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// ResourceSyncConfigList is a list of ResourceSyncConfigs.
// +kubebuilder:object:root=true
type ResourceSyncConfigList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []ResourceSyncConfig `json:"items"`
}
