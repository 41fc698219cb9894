package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupVersion is the group and version of this API.
var GroupVersion = schema.GroupVersion{Group: "dot-ai.devopstoolkit.live", Version: "v1alpha1"}

// Kind and Resource are the two names of what this API declares.
const (
	Kind     = "ResourceSyncConfig"
	Resource = "resourcesyncconfigs"
)

// AddToScheme registers the types of this API.
func AddToScheme(s *runtime.Scheme) error {
	s.AddKnownTypes(GroupVersion, &ResourceSyncConfig{}, &ResourceSyncConfigList{})
	metav1.AddToGroupVersion(s, GroupVersion)
	return nil
}
