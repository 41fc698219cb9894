#!/usr/bin/env bash
# Makes a release in dist/release/VERSION: binaries, images, chart, manifests, the krew plugin, SBOMs, checksums and notes.
#
#   hack/release/release.sh VERSION       such as v1.0.0
#
# It needs Go, git and the pinned tools, and no Docker. The same commit and version make the same bytes, wherever and by
# whomever: nothing is dated but by the commit (SOURCE_DATE_EPOCH), and the authorities in the images are pinned.
#
# PLATFORMS limits what is built (linux, darwin and windows, each for amd64 and arm64), OUT is another folder, REGISTRY
# where the images will be. Images are made for those of linux.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

version=${1:-}
[[ $version =~ ^v[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?$ ]] || {
  sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}" >&2
  exit 2
}
plain=${version#v}
out=$(realpath -m "${OUT:-dist/release/$version}")
registry=${REGISTRY:-ghcr.io/k8s-vectordb-sync}
platforms=${PLATFORMS:-linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64 windows/arm64}
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}

# What could make one machine's binaries differ from another's.
export CGO_ENABLED=0 GOFLAGS=-buildvcs=false GOAMD64=v1 GOARM64=v8.0 GOEXPERIMENT='' GOTOOLCHAIN=local GOWORK=off LC_ALL=C TZ=UTC
umask 022

begun=$SECONDS
say() { echo "[$((SECONDS - begun)) s] $*" >&2; }

rm -rf "$out"
mkdir -p "$out"/{images,sbom}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tools=$(hack/tools/install.sh helm kustomize cyclonedx-gomod)
go build -o "$work/release" ./hack/release

for platform in $platforms; do
  os=${platform%/*} arch=${platform#*/} ending=
  [ "$os" != windows ] || ending=.exe
  say "building for $platform"
  bin=$work/$os-$arch
  mkdir -p "$bin"
  GOOS=$os GOARCH=$arch go build -trimpath -ldflags "-s -w -X main.version=$version" -o "$bin/" ./cmd/...
  for binary in "$bin"/*; do
    command=$(basename "$binary" "$ending")
    sbom=$out/sbom/${command}_${os}_$arch.cdx.json
    "$tools/cyclonedx-gomod" bin -json -std -noserial -notimestamp -version "$version" -output "$sbom" "$binary" 2>"$work/log" ||
      { cat "$work/log" >&2; exit 1; }
    "$work/release" check-sbom "$binary" "$sbom"
  done
  if [ "$os" = linux ]; then
    "$work/release" image -epoch "$SOURCE_DATE_EPOCH" -arch "$arch" -binary "$bin/k8s-vectordb-sync" \
      -reference "$registry/k8s-vectordb-sync:$plain" -out "$out/images/k8s-vectordb-sync-$plain-linux-$arch.tar"
    "$work/release" image -epoch "$SOURCE_DATE_EPOCH" -arch "$arch" -binary "$bin/receiver" -data \
      -reference "$registry/receiver:$plain" -out "$out/images/receiver-$plain-linux-$arch.tar" -- --listen=:3000 --data=/data
  fi
  "$work/release" pack -epoch "$SOURCE_DATE_EPOCH" -out "$out/k8s-vectordb-sync_${plain}_${os}_$arch.tar.gz" LICENSE "$bin"/*
done

say "packing the chart"
cp -r charts/k8s-vectordb-sync "$work/chart"
"$tools/helm" package "$work/chart" --version "$plain" --app-version "$plain" --destination "$out" >/dev/null
"$work/release" repack -epoch "$SOURCE_DATE_EPOCH" "$out/k8s-vectordb-sync-$plain.tgz"

say "writing install.yaml"
cp -r config "$work/config"
(cd "$work/config/basic" && "$tools/kustomize" edit set image "controller=$registry/k8s-vectordb-sync:$plain")
"$tools/kustomize" build "$work/config/basic" >"$out/install.yaml"

say "packing the plugin"
PLATFORMS=$platforms BINARIES=$work hack/krew/package.sh "$version" "$out" >/dev/null

"$work/release" notes "$version" CHANGELOG.md >"$out/notes.md"
(cd "$out" && find . -type f ! -name checksums.txt -printf '%P\n' | sort | xargs sha256sum >checksums.txt)
say "released: $out"
