# Sourced by cluster.sh: the cluster from parts, as a whole.
# shellcheck shell=bash

# What Debian calls the packages of the commands that are needed.
needed=(containerd:containerd ctr:containerd runc:runc nft:nftables iptables:iptables ip:iproute2 conntrack:conntrack
  openssl:openssl curl:curl pgrep:procps nsenter:util-linux unshare:util-linux flock:util-linux)

missing() {
  local pair
  for pair in "${needed[@]}"; do
    command -v "${pair%%:*}" >/dev/null || echo "${pair#*:}"
  done | sort -u
}

# cluster_supported prints why not, if not.
cluster_supported() {
  local packages
  [ "$(uname -s)" = Linux ] || { echo "nodes are Linux's namespaces and cgroups, and this is $(uname -s)"; return 1; }
  [ "$(id -u)" = 0 ] || { echo "it needs root, for network namespaces, mounts and cgroups"; return 1; }
  packages=$(missing)
  [ -z "$packages" ] || command -v apt-get >/dev/null || { echo "missing: ${packages//$'\n'/ }"; return 1; }
  unshare --net --mount --pid --uts --fork true 2>/dev/null || { echo "the kernel, or this container, gives root no namespaces"; return 1; }
  unshare --net sh -c 'ip link add a0 type veth peer name b0 && ip link add c0 type bridge' 2>/dev/null ||
    ! command -v ip >/dev/null || { echo "the kernel has no veth or no bridge"; return 1; }
  [ -n "$(cgroup_roots)" ] || { echo "no cgroups are mounted"; return 1; }
  local root probe
  root=$(cgroup_roots | head -n 1)
  probe=$root/$name-probe-$$
  mkdir "$probe" 2>/dev/null && rmdir "$probe" || { echo "no cgroup can be made in $root"; return 1; }
}

prepare() {
  local packages reason
  reason=$(cluster_supported) || die "there can be no cluster here: $reason"
  packages=$(missing)
  if [ -n "$packages" ]; then
    say "installing ${packages//$'\n'/ }"
    export DEBIAN_FRONTEND=noninteractive
    # shellcheck disable=SC2086
    apt-get update -qq && apt-get install -y -qq --no-install-recommends $packages >/dev/null
  fi
  binaries=$("$here/../controlplane/ensure.sh" etcd kube-apiserver kubectl kube-controller-manager kube-scheduler kubelet kube-proxy)
  parts=$("$here/parts.sh")
  mkdir -p "$images/system"
  local part
  for part in pause coredns; do
    [ "$images/system/$part.tar" -nt "$parts/$part" ] ||
      "$here/image.sh" "$images/system/$part.tar" "$registry/$part:1" "$parts/$part"
  done
  ln -sfn "$binaries" "$state/binaries"
  ln -sfn "$parts" "$state/parts"
}

# running tells whether the whole of a cluster is there.
running() {
  local process n=1
  [ -e "$state/complete" ] || return 1
  for process in etcd kube-apiserver kube-controller-manager kube-scheduler; do
    pid_of $process >/dev/null || return 1
  done
  while [ -d "$state/node$n" ]; do
    pid_of "node$n" >/dev/null || return 1
    n=$((n + 1))
  done
}

cluster_up() {
  local begun=$EPOCHREALTIME n
  if running; then
    say "$name is up: $(cluster_nodes | wc -l) nodes"
    return
  fi
  if [ -d "$state" ]; then
    say "$name is there in part: taking it away first"
    cluster_down
  fi
  mkdir -p "$state"
  prepare
  [ "$(since "$begun")" = 0.0 ] || say "parts are ready after $(since "$begun") s"
  begun=$EPOCHREALTIME
  trap '[ -e "$state/complete" ] || { cluster_logs >&2; cluster_down; }' EXIT
  control_up
  say "control plane is up after $(since "$begun") s"
  for n in $(seq "$nodes"); do
    node_cgroups "$n"
    node_network "$n"
    node_files "$n"
    node_start "$n"
  done
  for n in $(seq "$nodes"); do
    await 120 "node $n" node_settled "$n"
    node_ready "$name-node$n" || die "node $n has ended"
  done
  say "$nodes nodes are Ready after $(since "$begun") s"
  await 60 "name service" admin -n kube-system rollout status deployment/coredns --timeout=60s
  touch "$state/complete"
  trap - EXIT
  say "$name is up after $(since "$begun") s: hack/cluster/cluster.sh exec kubectl get nodes"
}

cluster_down() {
  local begun=$EPOCHREALTIME n left=
  if [ ! -d "$state" ]; then
    say "there is no cluster $name"
    return
  fi
  n=1
  while [ -d "$state/node$n" ]; do
    node_down "$n" || left=yes
    n=$((n + 1))
  done
  control_down || left=yes
  unmake || left=yes
  [ -z "$left" ] || die "$name could not be taken away whole; what is left is in $made"
  rm -rf "$state"
  say "$name is gone after $(since "$begun") s"
}

cluster_nodes() {
  local n=1
  while [ -d "$state/node$n" ]; do
    echo "$name-node$n"
    n=$((n + 1))
  done
}

# up_or_die ends with a clear word when there is no cluster, and finds its binaries.
up_or_die() {
  running || die "there is no cluster $name, or not the whole of it: make cluster-up"
  binaries=$(readlink "$state/binaries")
}

cluster_exec() {
  up_or_die
  KUBECONFIG=$kubeconfig PATH=$binaries:$PATH exec nsenter --net="/run/netns/$name" -- "$@"
}

cluster_load() {
  local n=1 jobs=() job
  up_or_die
  while [ -d "$state/node$n" ]; do
    node_load "$n" "$@" &
    jobs+=($!)
    n=$((n + 1))
  done
  for job in "${jobs[@]}"; do
    wait "$job"
  done
}

cluster_freeze() { node_freeze "$(number "$1")"; }
cluster_thaw() { node_thaw "$(number "$1")"; }
cluster_cut() { ip -n "$name" link set "to$(number "$1")" down; }
cluster_join() { ip -n "$name" link set "to$(number "$1")" up; }

cluster_restart_apiserver() {
  up_or_die
  stop kube-apiserver KILL
  start_apiserver
  await 180 "API server" apiserver_ready
}

cluster_logs() {
  local log
  for log in "$state"/log/*.log "$state"/node*/log/*.log; do
    [ -s "$log" ] && [ "${log##*/}" != audit.log ] || continue
    echo "==> $log"
    tail -n 5 "$log" | cut -c1-400
  done
}
