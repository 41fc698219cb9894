// Package chart tests the two ways to install the controller: the Helm chart and the kustomize manifests.
//
// Its tests render both with the real helm and kubectl and check the resulting objects: names that users rely on,
// the environment against [config.Settings], permissions, security contexts, and that the two ways of installing
// do the same. A real API server then takes every variant, and decides whether the permissions suffice.
//
// hack/chart-test.sh runs them, and provides helm and the control plane. With -update, the tests write files that
// are generated from the chart instead of comparing them: config/rbac/rbac.yaml, config/prometheus/alerts.yaml
// and the chart's README.
package chart
