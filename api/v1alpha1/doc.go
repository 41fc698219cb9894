// Package v1alpha1 is the API by which receivers are declared as objects: ResourceSyncConfig of the group
// dot-ai.devopstoolkit.live.
//
// Group, version and kind are those of dot-ai-controller, and so are the fields that its users know; what is added is
// optional. An object written for either of the two controllers is understood by the other, which ignores
// what it does not know.
//
// The comments of the types are what `kubectl explain` shows, which is why they speak of fields as YAML
// spells them and are wrapped at 76 columns, as it does. The package holds types alone. Its deep copies and
// the CustomResourceDefinition are generated (hack/generate.sh).
//
// +kubebuilder:object:generate=true
// +groupName=dot-ai.devopstoolkit.live
package v1alpha1
