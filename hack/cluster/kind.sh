# Sourced by cluster.sh with CLUSTER=kind: the same commands on kind. It needs kind, kubectl and Docker, and no root where
# Docker needs none. Node N of ours is kind's Nth worker.
# shellcheck shell=bash

cluster_supported() {
  local command
  for command in kind docker kubectl; do
    command -v $command >/dev/null || { echo "there is no $command"; return 1; }
  done
  docker info >/dev/null 2>&1 || { echo "no Docker daemon answers"; return 1; }
}

kind_exists() { kind get clusters 2>/dev/null | grep -qx "$name"; }

cluster_up() {
  local reason n
  reason=$(cluster_supported) || die "there can be no kind cluster here: $reason"
  if kind_exists; then
    [ -e "$state/kind" ] || die "there is a kind cluster $name that was not made here: choose another CLUSTER_NAME"
    say "$name is up"
    return
  fi
  mkdir -p "$state"
  touch "$state/kind"
  {
    printf '%s\n' 'kind: Cluster' 'apiVersion: kind.x-k8s.io/v1alpha4' 'nodes:' '  - role: control-plane'
    for n in $(seq "$nodes"); do echo '  - role: worker'; done
  } | kind create cluster --name "$name" --kubeconfig "$kubeconfig" --wait 120s --config -
}

cluster_down() {
  [ -e "$state/kind" ] || { say "there is no kind cluster $name that was made here"; return; }
  kind delete cluster --name "$name" --kubeconfig "$kubeconfig"
  rm -rf "$state"
}

cluster_nodes() { kind get nodes --name "$name" | grep -v control-plane | sort -V; }
cluster_exec() { KUBECONFIG=$kubeconfig exec "$@"; }

cluster_load() {
  local archive
  for archive in "$@"; do kind load image-archive --name "$name" "$archive"; done
}

cluster_freeze() { docker pause "$1" >/dev/null; }
cluster_thaw() { docker unpause "$1" >/dev/null; }

# cluster_cut remembers the address: a node that comes back with another one is another node to kubelets.
cluster_cut() {
  docker inspect --format '{{.NetworkSettings.Networks.kind.IPAddress}}' "$1" >"$state/address-$1"
  docker network disconnect kind "$1"
}
cluster_join() { docker network connect --ip "$(cat "$state/address-$1")" kind "$1"; }

# The kubelet starts it again.
cluster_restart_apiserver() {
  docker exec "$name-control-plane" pkill -KILL kube-apiserver
  await 90 "API server" kubectl --kubeconfig "$kubeconfig" get --raw /readyz
}

cluster_logs() { kind export logs --name "$name" "$state/logs" && find "$state/logs" -name '*.log' -exec tail -n 5 {} +; }
