// Package chart tests what installs the controller: the Helm chart and the kustomize manifests.
//
// Its tests render both with the real helm and kubectl and look at the objects that come out: names that users rely on,
// the environment against [config.Settings], permissions, security contexts, and that the two ways of installing do the
// same. A real API server then takes every variant, and decides whether the permissions suffice.
//
// They run by hack/chart-test.sh, which provides helm and the control plane. With -update, files that are made from the
// chart are written instead of compared: config/rbac/rbac.yaml, config/prometheus/alerts.yaml and the chart's README.
package chart
