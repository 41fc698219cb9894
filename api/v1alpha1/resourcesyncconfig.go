package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ResourceSyncConfig declares a receiver, dot-ai by default, which is then
// brought to the state of this cluster and kept there: the metadata of every
// resource is sent when it changes, and everything anew at an interval. Each
// object is a receiver of its own. A change of one restarts that one alone,
// and deleting it stops the sending; what the receiver holds stays there.
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

	// What is wanted: the receiver, its credential, and how it is to be served.
	// +required
	Spec ResourceSyncConfigSpec `json:"spec"`

	// What is: written by the controller, at most every ten seconds.
	// +optional
	Status ResourceSyncConfigStatus `json:"status,omitempty"`
}

// ResourceSyncConfigSpec is what is wanted.
// +kubebuilder:validation:XValidation:rule="!has(self.caBundle) || self.mcpEndpoint.startsWith('https://')",message="caBundle is of use with an https endpoint only: begin mcpEndpoint with https:// or leave caBundle out"
type ResourceSyncConfigSpec struct {
	// Full URL that changes are sent to, such as
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
	// It is in the namespace of this object. A token that is rotated there is
	// used from the next request on; one that is missing is waited for.
	// +required
	McpAuthSecretRef SecretReference `json:"mcpAuthSecretRef"`

	// Seconds that a resource has to be quiet before its change is sent.
	// Deletions do not wait.
	// +optional
	// +kubebuilder:default=10
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=300
	DebounceWindowSeconds int32 `json:"debounceWindowSeconds,omitempty"`

	// Minutes between full resyncs, each of which sends everything once more to
	// repair whatever the receiver has lost.
	// +optional
	// +kubebuilder:default=60
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1440
	ResyncIntervalMinutes int32 `json:"resyncIntervalMinutes,omitempty"`

	// What the receiver speaks: dot-ai or cluster-whisperer.
	// +optional
	// +kubebuilder:default=dot-ai
	// +kubebuilder:validation:Enum=dot-ai;cluster-whisperer
	Format string `json:"format,omitempty"`

	// Resource types to send, of those that the controller watches at all. Each
	// is a plural such as deployments, one with its group such as
	// deployments.apps, one with version and group such as deployments.v1.apps,
	// or a glob such as *.example.com. Left out, all are sent.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=253
	// +kubebuilder:validation:items:Pattern=`^[A-Za-z0-9*-]+(\.[A-Za-z0-9*-]+)*$`
	WatchResourceTypes []string `json:"watchResourceTypes,omitempty"`

	// Resource types not to send, written like watchResourceTypes and stronger
	// than they are. Left out, they are events, leases and endpointslices.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=253
	// +kubebuilder:validation:items:Pattern=`^[A-Za-z0-9*-]+(\.[A-Za-z0-9*-]+)*$`
	ExcludeResourceTypes []string `json:"excludeResourceTypes,omitempty"`

	// The only namespaces whose resources are sent, of those that the controller
	// watches at all. Left out, all are. Resources that are in no namespace are
	// sent in any case; a Namespace itself goes by its own name.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=63
	// +kubebuilder:validation:items:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	WatchNamespaces []string `json:"watchNamespaces,omitempty"`

	// Namespaces whose resources, and which themselves, are not sent.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=63
	// +kubebuilder:validation:items:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	ExcludeNamespaces []string `json:"excludeNamespaces,omitempty"`

	// Annotations to send, of those that the controller keeps at all: keys, or
	// globs in which * stands for anything but a slash. Left out, they are
	// description and */description; an empty list sends none.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=317
	AnnotationInclude []string `json:"annotationInclude,omitempty"`

	// Annotations not to send, although annotationInclude names them.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=317
	AnnotationExclude []string `json:"annotationExclude,omitempty"`

	// The only labels to send, of those that the controller keeps at all: keys, or
	// globs in which * stands for anything but a slash and ? for one character.
	// Left out, all are sent.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=317
	LabelInclude []string `json:"labelInclude,omitempty"`

	// Labels not to send, whose change is none, although labelInclude names them.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=317
	LabelExclude []string `json:"labelExclude,omitempty"`

	// Label selector of the only resources to send, of every type, such as
	// team=shop,tier!=test. It sees the labels that the controller keeps, its
	// EXTRA_LABELS among them. A resource that no longer matches is deleted at
	// the receiver. Left out, all are sent.
	// +optional
	// +kubebuilder:validation:MaxLength=4096
	WatchLabelSelector string `json:"watchLabelSelector,omitempty"`

	// A word by which a resource can ask not to be sent to this receiver. One whose
	// opt-out annotation holds it, perhaps among others separated by commas, is
	// deleted there. The annotation is vectordb-sync.io/ignore, unless the
	// controller is told otherwise. With the value true it is sent to no receiver at all.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$`
	// +kubebuilder:validation:XValidation:rule="!(self.lowerAscii() in ['true', 'false', 't', 'f', '1', '0'])",message="must not be a truth value: true stands for every receiver"
	OptOutValue string `json:"optOutValue,omitempty"`

	// Whether resources are left out whose controller is itself of a type that is
	// sent, such as the ReplicaSets of a Deployment and the Pods of a Job. The
	// controller is the owner reference with controller: true.
	// +optional
	SkipControlled bool `json:"skipControlled,omitempty"`

	// Labels that every document of this receiver gets, beside EXTRA_LABELS of
	// the controller. They win over those and over a resource's own label of the
	// same key.
	// +optional
	// +kubebuilder:validation:MaxProperties=64
	ExtraLabels map[string]string `json:"extraLabels,omitempty"`

	// Resources in one request at most. Left out, it is what suits the receiver:
	// 20 for dot-ai, 100 for cluster-whisperer.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	BatchMaxSize int32 `json:"batchMaxSize,omitempty"`

	// Requests under way at a time, from all replicas of the controller
	// together; each replica has at least one. Left out, it is what suits the
	// receiver: 8 for dot-ai, 2 for cluster-whisperer.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	MaxInFlight int32 `json:"maxInFlight,omitempty"`

	// Certificates, as PEM, of the authorities that may have issued the
	// receiver's certificate, beside those that the controller's image trusts.
	// It is of use with an https endpoint only.
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

// ResourceSyncConfigStatus is what is. Numbers are sums of all replicas of
// the controller.
type ResourceSyncConfigStatus struct {
	// Generation of this object that the status speaks of. While it differs from
	// metadata.generation, a change of the spec has not been seen yet.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// Whether the cluster is watched for this receiver. See the condition Ready
	// for why it is not.
	// +optional
	Active bool `json:"active"`

	// Number of resource types being watched for this receiver.
	// +optional
	WatchedResourceTypes int32 `json:"watchedResourceTypes"`

	// Resources that the receiver has in their current state, as it has
	// acknowledged.
	// +optional
	TotalResourcesSynced int64 `json:"totalResourcesSynced"`

	// When the receiver last acknowledged something.
	// +optional
	LastSyncTime *metav1.Time `json:"lastSyncTime,omitempty"`

	// When the last full resync was complete.
	// +optional
	LastResyncTime *metav1.Time `json:"lastResyncTime,omitempty"`

	// Requests that failed since the controller was started. What they held is
	// sent again.
	// +optional
	SyncErrors int64 `json:"syncErrors"`

	// What went wrong last, in words, be it with a request or with this object.
	// It stays when all is well again.
	// +optional
	LastError string `json:"lastError,omitempty"`

	// Conditions. Ready is True while the cluster is watched and the receiver
	// takes what is sent. ReceiverDegraded, DiscoveryIncomplete,
	// DeletionsUnknown and RepairWaiting are False unless something needs a
	// person's eye. Each message says what to do.
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
