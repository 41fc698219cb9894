#!/usr/bin/env bash
# Makes the images of this tree and prints the folder that holds their archives.
#
#   hack/cluster/images.sh TAG...
#
# For each TAG an image k8s-vectordb-sync, which says that this is its version, and for the first one the receiver. With a
# Docker daemon they are the Dockerfile's; without, image.sh makes the same layout around binaries that are built here.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
[ $# -gt 0 ] || {
  sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}" >&2
  exit 2
}
registry=k8s-vectordb-sync.test
out=${XDG_CACHE_HOME:-$HOME/.cache}/k8s-vectordb-sync/cluster-images/$(git hash-object --stdin <<<"$PWD" | cut -c1-12)
mkdir -p "$out"

if docker info >/dev/null 2>&1; then
  for tag in "$@"; do
    docker build --quiet --build-arg "VERSION=$tag" -t "$registry/k8s-vectordb-sync:$tag" . >&2
    docker save -o "$out/k8s-vectordb-sync-$tag.tar" "$registry/k8s-vectordb-sync:$tag"
  done
  docker build --quiet --target receiver -t "$registry/receiver:$1" . >&2
  docker save -o "$out/receiver-$1.tar" "$registry/receiver:$1"
else
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  for tag in "$@"; do
    CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=$tag" -o "$work/" ./cmd/k8s-vectordb-sync
    hack/cluster/image.sh "$out/k8s-vectordb-sync-$tag.tar" "$registry/k8s-vectordb-sync:$tag" "$work/k8s-vectordb-sync"
  done
  CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=$1" -o "$work/" ./cmd/receiver
  DATA=yes hack/cluster/image.sh "$out/receiver-$1.tar" "$registry/receiver:$1" "$work/receiver" --listen=:3000 --data=/data
fi
echo "$out"
