#!/usr/bin/env bash
# Builds the kubectl plugin for a release: an archive for each platform, and the krew manifest that names their checksums.
#
#   hack/krew/package.sh VERSION [FOLDER]      default: dist/krew
#
# PLATFORMS are those to build for, BASE_URL is where the archives will be found, BINARIES a folder where the plugin is
# built already, as OS-ARCH/kubectl-vectordb_sync. Archives of one commit are the same on every machine.
# kubectl krew install --manifest=FOLDER/vectordb-sync.yaml --archive=FOLDER/ARCHIVE tries one out.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

version=${1:?the version is missing, want one such as v1.0.0}
out=${2:-dist/krew}
platforms=${PLATFORMS:-linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64 windows/arm64}
home=https://github.com/k8s-vectordb-sync/k8s-vectordb-sync
base=${BASE_URL:-$home/releases/download/$version}
[[ $version =~ ^v[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?$ ]] || { echo "$version is no version, want one such as v1.0.0" >&2; exit 2; }

mkdir -p "$out"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
manifest=$scratch/vectordb-sync.yaml
go build -o "$scratch/release" ./hack/release

cat >"$manifest" <<EOF
apiVersion: krew.googlecontainertools.github.com/v1alpha2
kind: Plugin
metadata:
  name: vectordb-sync
spec:
  version: $version
  homepage: $home
  shortDescription: Look at k8s-vectordb-sync, and start resyncs
  description: |
    Asks what is in the cluster, in plain words, and lets an assistant ask. Asks every replica of k8s-vectordb-sync, the controller that keeps a vector database in step with a cluster, for its
    status and shows the answers side by side: who shares the work, how far the receivers are behind, who sends an
    object, and in plain words what is wrong. Starts resyncs and follows them.
  caveats: |
    The replicas are reached by port-forward: list on pods, and create and get on pods/portforward are needed.
  platforms:
EOF

for platform in $platforms; do
  os=${platform%/*} arch=${platform#*/}
  binary=kubectl-vectordb_sync
  [ "$os" != windows ] || binary+=.exe
  archive=kubectl-vectordb_sync_${os}_$arch.tar.gz
  built=${BINARIES:-$scratch}/$os-$arch/$binary
  [ -n "${BINARIES:-}" ] ||
    GOOS=$os GOARCH=$arch CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags "-s -w -X main.version=$version" -o "$built" ./cmd/kubectl-vectordb_sync
  "$scratch/release" pack -epoch "${SOURCE_DATE_EPOCH:-0}" -out "$out/$archive" LICENSE "$built"
  cat >>"$manifest" <<EOF
    - selector: {matchLabels: {os: $os, arch: $arch}}
      uri: $base/$archive
      sha256: $(sha256sum "$out/$archive" | cut -d' ' -f1)
      bin: $binary
EOF
done
mv "$manifest" "$out/vectordb-sync.yaml"
echo "packaged: $out"
