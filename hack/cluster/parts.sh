#!/usr/bin/env bash
# Prints a directory that holds the parts of a cluster that are no part of Kubernetes, making them when they are missing:
# the CNI plugins in cni/, coredns and pause.
#
#   hack/cluster/parts.sh
#
# They are built from the modules that modules/go.mod pins, CoreDNS in 2 to 4 minutes on two cores with an empty build
# cache. Progress goes to standard error, the directory alone to standard output.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
hash=$(cat "$here/modules/go.sum" "$here/pause/main.go" | git hash-object --stdin | cut -c1-12)
dir=${XDG_CACHE_HOME:-$HOME/.cache}/k8s-vectordb-sync/cluster-parts/$hash
mkdir -p "$dir/cni"

say() { echo "cluster: $*" >&2; }

# build MODULE PACKAGE FILE builds one binary. The rename is what makes it appear: a reader never sees half of it.
build() {
  local module=$1 package=$2 file=$3 started=$SECONDS
  [ -x "$file" ] && return
  say "building $(basename "$file") from $package"
  # CGO_ENABLED is part of nearly every key of the build cache: always the same, or everything is compiled again.
  (cd "$module" && CGO_ENABLED=0 GOWORK=off go build -trimpath -ldflags '-s -w' -o "$file.$$" "$package") >&2
  mv -f "$file.$$" "$file"
  say "built $(basename "$file") in $((SECONDS - started)) s"
}

# One builder at a time; the next one then finds everything there.
exec 9>"$dir/.lock"
flock 9
plugins=github.com/containernetworking/plugins/plugins
for plugin in main/bridge main/loopback ipam/host-local meta/portmap; do
  build "$here/modules" "$plugins/$plugin" "$dir/cni/${plugin#*/}"
done
build "$here" ./pause "$dir/pause"
build "$here/modules" github.com/coredns/coredns "$dir/coredns"
echo "$dir"
