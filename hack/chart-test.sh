#!/usr/bin/env bash
# Tests the Helm chart and the kustomize manifests: helm lint, the tests of test/chart, and every variant on a real API
# server. HELM and PROMTOOL name a helm and a promtool to use in place of those that hack/tools and hack/prometheus make.
#
#   hack/chart-test.sh [-update] [-short]
#
#   -update   write what is made from the chart: config/rbac, config/prometheus and the chart's README
#   -short    leave out the API server
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

update=
short=
for arg in "$@"; do
  case $arg in
    -update) update=yes ;;
    -short) short=-short ;;
    *)
      sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}" >&2
      exit 2
      ;;
  esac
done

if [ -z "${HELM:-}" ]; then
  HELM=$(hack/tools/install.sh helm)/helm
fi
export HELM
KUBEBUILDER_ASSETS=$(hack/controlplane/ensure.sh)
export KUBEBUILDER_ASSETS

if [ -z "${PROMTOOL:-}" ]; then
  PROMTOOL=$(hack/prometheus/ensure.sh)/promtool
fi
export PROMTOOL

"$HELM" lint --strict --kube-version=v1.28.0 charts/k8s-vectordb-sync
if [ -n "$update" ]; then
  go test -count=1 ./test/chart -run UpToDate -update
fi
go test -count=1 ${short:+"$short"} ./test/chart
