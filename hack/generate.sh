#!/usr/bin/env bash
# Writes every generated file anew: references under docs/, the OpenAPI document, golden files, deep copies and
# CustomResourceDefinitions of api/, and what is made from the chart.
#
#   hack/generate.sh            write them
#   hack/generate.sh --check    write them, and fail if that changed anything; also if go.mod or go.sum are not tidy
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# state is a fingerprint of all files that git does not ignore, as they are now.
state() {
  git ls-files --cached --others --exclude-standard -z | xargs -0 -r sha256sum 2>/dev/null | sort
}

check=
case ${1:-} in
  --check) check=yes ;;
  '') ;;
  *) echo "unknown argument $1, want --check or nothing" >&2; exit 2 ;;
esac

[ -z "$check" ] || before=$(state)

go generate ./...
if [ -d internal/metricsdoc/gen ]; then
  go run ./internal/metricsdoc/gen docs/metrics.md
fi
if [ -d api ]; then
  controller_gen=$(hack/tools/install.sh controller-gen)/controller-gen
  "$controller_gen" object:headerFile=/dev/null paths=./api/...
  "$controller_gen" crd paths=./api/... output:crd:dir=config/crd
  # The chart renders it only on demand, which Helm's own crds/ could not: see templates/crd.yaml.
  cp config/crd/*_*.yaml charts/k8s-vectordb-sync/files/
fi
# Packages with files of their own making have tests that write them with -update.
mapfile -t golden < <(grep -rl --include='*_test.go' 'flag.Bool("update"' internal cmd | xargs -r -n1 dirname | sort -u)
for package in "${golden[@]}"; do
  go test -count=1 "./$package" -update >/dev/null
done
if [ -d test/chart ]; then
  HELM=$(hack/tools/install.sh helm)/helm go test -count=1 ./test/chart -run UpToDate -update >/dev/null
fi

if [ -n "$check" ]; then
  bad=
  if ! changed=$(diff <(echo "$before") <(state)); then
    echo "generated files are stale: run make generate and commit" >&2
    echo "$changed" | awk '{ print "  " $3 }' | sort -u >&2
    bad=yes
  fi
  for module in . hack/benchscale/plot hack/cluster/modules hack/controlplane hack/prometheus hack/tools hack/tools/apart; do
    if ! (cd "$module" && go mod tidy -diff); then
      echo "go.mod or go.sum of $module is not tidy: run go mod tidy there" >&2
      bad=yes
    fi
  done
  [ -z "$bad" ]
fi
