# Sourced by cluster.sh: nodes. Each has a network namespace, a cgroup and a first process of its own, with containerd,
# kubelet and kube-proxy below it; see node-init.sh. Node N is called $name-nodeN.
# shellcheck shell=bash

# cgroup_roots prints where this machine has its cgroup hierarchies: one, or one for each controller.
cgroup_roots() { awk '$3 == "cgroup" || $3 == "cgroup2" { print $2 }' /proc/self/mounts; }

# freezer N prints the cgroup by which node N is frozen, in the first version or the second.
freezer() {
  local root
  for root in $(cgroup_roots); do
    [ ! -e "$root/$name-node$1/freezer.state" ] || { echo "$root/$name-node$1" && return; }
  done
  for root in $(cgroup_roots); do
    [ ! -e "$root/$name-node$1/cgroup.freeze" ] || { echo "$root/$name-node$1" && return; }
  done
  die "node $1 has no cgroup that can be frozen"
}

node_cgroups() {
  local root
  for root in $(cgroup_roots); do
    make_cgroup "$root/$name-node$1"
    if [ -e "$root/cpuset.cpus" ] && [ ! -e "$root/cgroup.controllers" ]; then
      cat "$root/cpuset.cpus" >"$root/$name-node$1/cpuset.cpus"
      cat "$root/cpuset.mems" >"$root/$name-node$1/cpuset.mems"
    fi
  done
  # The daemons have a cgroup below: with processes in its own, a cgroup of the second version has no controllers below.
  mkdir "$(freezer "$1")/daemons"
}

node_network() {
  local n=$1 other netns=$name-node$1
  make_netns "$netns"
  ip -n "$name" link add "to$n" type veth peer name eth0 netns "$netns"
  ip -n "$name" link set "to$n" master nodes0
  ip -n "$name" link set "to$n" up
  ip -n "$netns" addr add "10.201.0.$((10 + n))/24" dev eth0
  ip -n "$netns" link set eth0 up
  # Nobody answers there, but the address of a Service needs some route before kube-proxy can turn it into a pod's.
  ip -n "$netns" route add default via 10.201.0.254 dev eth0
  for other in $(seq "$nodes"); do
    [ "$other" = "$n" ] || ip -n "$netns" route add "10.244.$other.0/24" via "10.201.0.$((10 + other))"
  done
  ip -n "$name" route add "10.244.$n.0/24" via "10.201.0.$((10 + n))"
  nsenter --net="/run/netns/$netns" -- sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward
    [ ! -e /proc/sys/net/bridge/bridge-nf-call-iptables ] || echo 1 >/proc/sys/net/bridge/bridge-nf-call-iptables'
}

# node_files writes what the daemons of a node read. Their paths are those of node-init.sh.
node_files() {
  local n=$1 data=$state/node$1 node=$name-node$1 ip=10.201.0.$((10 + $1))
  mkdir -p "$data"/{run,log,cni,images}
  echo "$node" >"$data/hostname"
  echo "$ip" >"$data/address"
  echo "nameserver 127.0.0.1" >"$data/resolv.conf"
  cp -l "$images"/system/*.tar "$data/images/" 2>/dev/null || cp "$images"/system/*.tar "$data/images/"
  certificate "$node" "/O=system:nodes/CN=system:node:$node" "DNS:$node,IP:$ip"
  user "$node" "$data/kubelet.kubeconfig" "/O=system:nodes/CN=system:node:$node"
  cp "$state/kube-proxy.kubeconfig" "$pki/ca.crt" "$data/"
  cp "$pki/$node.crt" "$data/kubelet.crt"
  cp "$pki/$node.key" "$data/kubelet.key"
  cat >"$data/cni/10-$name.conflist" <<J
{"cniVersion": "1.0.0", "name": "$name", "plugins": [
  {"type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": false, "hairpinMode": true,
   "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.244.$n.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}], "dataDir": "/run/node/ipam"}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
J
  # restrict_oom_score_adj: a root without CAP_SYS_RESOURCE, as in a container, cannot give what Kubernetes asks for.
  cat >"$data/containerd.toml" <<T
version = 2
root = "/run/node/containerd"
state = "/run/containerd/state"
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.devmapper"]
[grpc]
  address = "/run/containerd/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "$registry/pause:1"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/run/parts/cni"
    conf_dir = "/run/node/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
T
  cat >"$data/kubelet.yaml" <<Y
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
failCgroupV1: false
cgroupDriver: cgroupfs
cgroupRoot: /$node
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
address: $ip
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: /run/node/ca.crt}}
authorization: {mode: Webhook}
tlsCertFile: /run/node/kubelet.crt
tlsPrivateKeyFile: /run/node/kubelet.key
clusterDNS: [${services%.*.*}.0.10]
clusterDomain: cluster.local
resolvConf: /run/node/resolv.conf
failSwapOn: false
# Secrets and ConfigMaps reach their pods within seconds, not within a minute.
syncFrequency: 10s
nodeStatusUpdateFrequency: 5s
oomScoreAdj: 0
imageGCHighThresholdPercent: 100
evictionHard: {memory.available: 100Mi, nodefs.available: "1%", imagefs.available: "1%", nodefs.inodesFree: "1%"}
podLogsDir: /run/node/podlogs
Y
  cat >"$data/kube-proxy.yaml" <<Y
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
clusterCIDR: $pods
hostnameOverride: $node
clientConnection: {kubeconfig: /run/node/kube-proxy.kubeconfig}
conntrack: {maxPerCore: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
oomScoreAdj: 0
healthzBindAddress: 127.0.0.1:10256
metricsBindAddress: 127.0.0.1:10249
Y
}

node_start() {
  local n=$1 netns=$name-node$1
  # The shell that becomes the daemon moves itself into the cgroup that is frozen with the node.
  start "node$n" sh -c 'echo $$ >"$1/daemons/cgroup.procs" && shift && exec "$@"' sh "$(freezer "$n")" \
    nsenter --net="/run/netns/$netns" -- unshare --mount --pid --uts --mount-proc --fork --kill-child \
    "$here/node-init.sh" "$state/node$n" "$binaries" "$parts"
}

node_ready() {
  [ "$(admin get node "$1" -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status}')" = True ]
}

# node_settled N tells whether a node is ready, or never will be.
node_settled() { node_ready "$name-node$1" || not pid_of "node$1"; }

# first_process N prints the pid, seen from the machine, of a node's first process.
first_process() {
  local pid
  pid=$(pid_of "node$1") || die "node $1 does not run"
  pgrep --parent "$pid"
}

in_node() {
  local n=$1
  shift
  nsenter --target "$(first_process "$n")" --mount --pid --net -- "$@"
}

# number NODE prints the number of a node.
number() {
  local n=${1#"$name-node"}
  [ -d "$state/node$n" ] || die "there is no node $1"
  echo "$n"
}

node_freeze() {
  local cgroup
  cgroup=$(freezer "$1")
  if [ -e "$cgroup/freezer.state" ]; then
    echo FROZEN >"$cgroup/freezer.state"
    await 20 "freezing node $1" grep -qx FROZEN "$cgroup/freezer.state"
  else
    echo 1 >"$cgroup/cgroup.freeze"
    await 20 "freezing node $1" grep -qx 'frozen 1' "$cgroup/cgroup.events"
  fi
}

node_thaw() {
  local cgroup
  cgroup=$(freezer "$1")
  if [ -e "$cgroup/freezer.state" ]; then echo THAWED >"$cgroup/freezer.state"; else echo 0 >"$cgroup/cgroup.freeze"; fi
}

# node_down kills a node's first process, and with it the kernel kills all the others. What is frozen cannot die.
node_down() {
  [ ! -e "$state/run/node$1.pid" ] || {
    (node_thaw "$1") 2>/dev/null || true
    stop "node$1" KILL
  }
}

# node_load N ARCHIVE... imports images.
node_load() {
  local n=$1 archive
  shift
  for archive in "$@"; do
    in_node "$n" ctr -a /run/containerd/containerd.sock -n k8s.io images import - <"$archive" >/dev/null
  done
}
