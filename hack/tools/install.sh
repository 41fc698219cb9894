#!/usr/bin/env bash
# Builds the pinned tools into a cache outside the tree and prints the directory that holds them.
#
#   hack/tools/install.sh [TOOL...]      default: all of them
#
# Each tool is built only if it is missing. The directory is named after the hash of both go.sum, so that two checkouts that
# pin different versions do not fight over it. Progress goes to standard error, the directory alone to standard output.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

declare -A packages=(
  [actionlint]=github.com/rhysd/actionlint/cmd/actionlint
  [benchstat]=golang.org/x/perf/cmd/benchstat
  [controller-gen]=sigs.k8s.io/controller-tools/cmd/controller-gen
  [cyclonedx-gomod]=github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod
  [golangci-lint]=github.com/golangci/golangci-lint/v2/cmd/golangci-lint
  [gotestsum]=gotest.tools/gotestsum
  [helm]=helm.sh/helm/v4/cmd/helm
  [kustomize]=sigs.k8s.io/kustomize/kustomize/v5
  [setup-envtest]=sigs.k8s.io/controller-runtime/tools/setup-envtest
)

if [ $# -eq 0 ]; then
  mapfile -t tools < <(printf '%s\n' "${!packages[@]}" | sort)
  set -- "${tools[@]}"
fi

# Those of a second module, for their dependencies do not build together with the others'.
apart="actionlint benchstat cyclonedx-gomod"

hash=$(cat go.sum apart/go.sum | git hash-object --stdin | cut -c1-12)
bin=${XDG_CACHE_HOME:-$HOME/.cache}/k8s-vectordb-sync/tools/$hash
mkdir -p "$bin"

for tool in "$@"; do
  package=${packages[$tool]:-}
  if [ -z "$package" ]; then
    echo "unknown tool $tool, want one of: ${!packages[*]}" >&2
    exit 2
  fi
  [ -x "$bin/$tool" ] && continue
  started=$SECONDS
  echo "building $tool from $package" >&2
  module=.
  [[ " $apart " == *" $tool "* ]] && module=apart
  # Without cgo on every machine: the setting is part of nearly every key of the build cache.
  CGO_ENABLED=0 GOWORK=off go -C "$module" build -ldflags='-s -w' -o "$bin/.$tool.$$" "$package" >&2
  mv -f "$bin/.$tool.$$" "$bin/$tool"
  echo "built $tool in $((SECONDS - started)) s" >&2
done
echo "$bin"
