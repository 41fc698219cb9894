#!/usr/bin/env bash
# Prints a directory that holds the binaries of a Kubernetes control plane, making them when they are missing.
#
#   hack/controlplane/ensure.sh [BINARY...]      default: etcd kube-apiserver kubectl
#
# A BINARY is one of etcd, kube-apiserver, kube-controller-manager, kube-proxy, kube-scheduler, kubectl, kubelet.
# Looked for, in this order:
#
#   1. $KUBEBUILDER_ASSETS, if it is set and complete;
#   2. the cache, ${XDG_CACHE_HOME:-~/.cache}/k8s-vectordb-sync/controlplane/VERSION;
#   3. the prebuilt binaries that setup-envtest downloads, if their source answers within five seconds;
#   4. the Go modules of Kubernetes and etcd: 7 to 12 minutes on two cores with an empty build cache, under a minute
#      with a full one. CONTROLPLANE_FROM=source goes straight to this step.
#
# Progress goes to standard error, the directory alone to standard output.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
[ $# -gt 0 ] || set -- etcd kube-apiserver kubectl

say() { echo "controlplane: $*" >&2; }

# complete DIR BINARY... tells whether DIR holds all of them.
complete() {
  local dir=$1 binary
  shift
  for binary in "$@"; do
    [ -x "$dir/$binary" ] || return 1
  done
}

# pinned MODULE prints the version that go.mod requires.
pinned() {
  awk -v module="$1" '$1 == module && $2 ~ /^v/ { print $2 }' "$here/go.mod"
}

package() {
  case $1 in
    etcd) echo go.etcd.io/etcd/server/v3 ;;
    kube-apiserver | kube-controller-manager | kube-proxy | kube-scheduler | kubectl | kubelet)
      echo "k8s.io/kubernetes/cmd/$1" ;;
    *)
      say "unknown binary $1, want etcd, kube-apiserver, kube-controller-manager, kube-proxy, kube-scheduler," \
        "kubectl or kubelet"
      return 2 ;;
  esac
}

# prebuilt DIR puts downloaded binaries into DIR. It fails, fast, when they cannot be had: the question what there is
# has five seconds, the download itself has five minutes. setup-envtest has only etcd, kube-apiserver and kubectl.
prebuilt() {
  local tools downloaded
  tools=$("$here/../tools/install.sh" setup-envtest) || return 1
  local minor=${kubernetes#v}
  minor=${minor%.*}
  timeout 5 "$tools/setup-envtest" list "$minor.x" >/dev/null 2>&1 || return 1
  say "downloading prebuilt binaries for Kubernetes $minor"
  downloaded=$(timeout 300 "$tools/setup-envtest" use "$minor.x" --bin-dir "$1/prebuilt" -p path 2>/dev/null) || return 1
  local binary
  for binary in etcd kube-apiserver kubectl; do
    if [ ! -e "$1/$binary" ]; then
      ln -f "$downloaded/$binary" "$1/.$binary.$$" && mv -f "$1/.$binary.$$" "$1/$binary" || return 1
    fi
  done
}

# build DIR BINARY builds one binary into DIR. The rename is what makes it appear: a reader never sees half of it.
build() {
  local dir=$1 binary=$2 started=$SECONDS pkg version minor
  pkg=$(package "$binary") || return
  say "building $binary from $pkg"
  # Without these the server calls itself v0.0.0-master+$Format:%H$, which kubectl and Helm cannot parse.
  version=k8s.io/component-base/version
  minor=${kubernetes#v1.}
  # CGO_ENABLED is part of nearly every key of the build cache: always the same, or everything is compiled again.
  (cd "$here" && CGO_ENABLED=0 GOWORK=off go build -o "$dir/.$binary.$$" -ldflags "-s -w -X $version.gitVersion=$kubernetes \
-X $version.gitMajor=1 -X $version.gitMinor=${minor%%.*} -X $version.gitTreeState=clean" "$pkg") >&2
  mv -f "$dir/.$binary.$$" "$dir/$binary"
  say "built $binary in $((SECONDS - started)) s"
}

for binary in "$@"; do
  package "$binary" >/dev/null
done

if [ -n "${KUBEBUILDER_ASSETS:-}" ]; then
  if complete "$KUBEBUILDER_ASSETS" "$@"; then
    echo "$KUBEBUILDER_ASSETS"
    exit 0
  fi
  say "KUBEBUILDER_ASSETS=$KUBEBUILDER_ASSETS lacks one of: $*; looking elsewhere"
fi

kubernetes=$(pinned k8s.io/kubernetes)
etcd=$(pinned go.etcd.io/etcd/server/v3)
dir=${XDG_CACHE_HOME:-$HOME/.cache}/k8s-vectordb-sync/controlplane/$kubernetes-etcd-$etcd
mkdir -p "$dir"
if ! complete "$dir" "$@"; then
  # One builder at a time; the next one then finds everything there. Without flock(1), as on macOS, two would do the
  # work twice, and the renames keep that harmless.
  if command -v flock >/dev/null; then
    exec 9>"$dir/.lock"
    flock -n 9 || { say "waiting for another builder"; flock 9; }
  fi
  trap 'rm -f "$dir"/.*."$$"' EXIT
  started=$SECONDS
  if ! complete "$dir" "$@" && [ "${CONTROLPLANE_FROM:-}" != source ]; then
    prebuilt "$dir" || say "no prebuilt binaries to be had"
  fi
  if ! complete "$dir" "$@"; then
    say "building what is missing from Go modules: 7 to 12 minutes on two cores with an empty build cache"
  fi
  for binary in "$@"; do
    [ -x "$dir/$binary" ] || build "$dir" "$binary"
  done
  say "ready in $((SECONDS - started)) s: $dir"
fi
echo "$dir"
