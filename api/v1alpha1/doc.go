// Package v1alpha1 is the API by which receivers are declared as objects: ResourceSyncConfig of the group
// dot-ai.devopstoolkit.live.
//
// Group, version and kind are those of dot-ai-controller, and so are the fields that its users know; additional
// fields are optional. Each of the two controllers understands an object written for the other, and ignores
// fields that it does not know.
//
// `kubectl explain` shows the comments of the types, so they spell fields as YAML does and are wrapped at 76
// columns. The package holds types alone. Its deep copies and the CustomResourceDefinition are generated
// (hack/generate.sh).
//
// +kubebuilder:object:generate=true
// +groupName=dot-ai.devopstoolkit.live
package v1alpha1
