#!/usr/bin/env bash
# Prints a directory that holds prometheus and promtool, getting them when they are missing. Looked for, in this order:
#
#   1. $PROMETHEUS_ASSETS, if it is set and complete;
#   2. the PATH;
#   3. the cache, ${XDG_CACHE_HOME:-~/.cache}/k8s-vectordb-sync/prometheus/VERSION;
#   4. Debian's package, unpacked into the cache: not installed, so that no service is started and root is not needed;
#   5. the Go module of Prometheus, about six minutes on two cores. PROMETHEUS_FROM=source goes straight to this step.
#
# Progress goes to standard error, the directory alone to standard output.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

say() { echo "prometheus: $*" >&2; }

# complete DIR tells whether DIR holds both.
complete() { [ -x "$1/prometheus" ] && [ -x "$1/promtool" ]; }

# debian DIR puts what Debian's package has into DIR. It fails when that cannot be had, or does not run here.
debian() {
  command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || return 1
  local unpacked=$1/.debian.$$
  mkdir -p "$unpacked"
  if ! (cd "$unpacked" && timeout 120 apt-get download -qq prometheus) >/dev/null 2>&1; then
    # A fresh machine knows no packages yet.
    [ "$(id -u)" = 0 ] && timeout 120 apt-get update -qq >/dev/null 2>&1 || return 1
    (cd "$unpacked" && timeout 120 apt-get download -qq prometheus) >/dev/null 2>&1 || return 1
  fi
  dpkg-deb -x "$unpacked"/prometheus_*.deb "$unpacked/files" || return 1
  local binary
  for binary in prometheus promtool; do
    "$unpacked/files/usr/bin/$binary" --version >/dev/null 2>&1 || return 1
  done
  for binary in prometheus promtool; do
    mv -f "$unpacked/files/usr/bin/$binary" "$1/$binary" || return 1
  done
}

# build DIR BINARY builds one binary into DIR. The rename is what makes it appear: a reader never sees half of it.
build() {
  local started=$SECONDS
  (cd "$here" && CGO_ENABLED=0 GOWORK=off go build -ldflags '-s -w' -o "$1/.$2.$$" "github.com/prometheus/prometheus/cmd/$2") >&2
  mv -f "$1/.$2.$$" "$1/$2"
  say "built $2 in $((SECONDS - started)) s"
}

if [ -n "${PROMETHEUS_ASSETS:-}" ]; then
  if complete "$PROMETHEUS_ASSETS"; then
    echo "$PROMETHEUS_ASSETS"
    exit 0
  fi
  say "PROMETHEUS_ASSETS=$PROMETHEUS_ASSETS lacks prometheus or promtool; looking elsewhere"
fi
found=$(command -v prometheus || true)
if [ -n "$found" ] && complete "$(dirname "$found")"; then
  dirname "$found"
  exit 0
fi

version=$(awk '$1 == "github.com/prometheus/prometheus" && $2 ~ /^v/ { print $2 }' "$here/go.mod")
dir=${XDG_CACHE_HOME:-$HOME/.cache}/k8s-vectordb-sync/prometheus/$version
mkdir -p "$dir"
if ! complete "$dir"; then
  # One at a time; the next one then finds everything there. Without flock(1) two would do the work twice, and the renames
  # keep that harmless.
  if command -v flock >/dev/null; then
    exec 9>"$dir/.lock"
    flock -n 9 || { say "waiting for another one"; flock 9; }
  fi
  trap 'rm -rf "$dir"/.*."$$"' EXIT
  if ! complete "$dir" && [ "${PROMETHEUS_FROM:-}" != source ]; then
    say "unpacking Debian's package"
    debian "$dir" || say "it cannot be had"
  fi
  if ! complete "$dir"; then
    say "building from the Go module: about six minutes on two cores with an empty build cache"
    for binary in promtool prometheus; do
      [ -x "$dir/$binary" ] || build "$dir" "$binary"
    done
  fi
  say "ready: $dir"
fi
echo "$dir"
