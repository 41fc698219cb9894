#!/usr/bin/env bash
# The first process of a node, in its own network, mount, process and host name namespaces: whatever a node mounts or
# starts is in here, and is gone when this process is. Started by node.sh.
#
#   node-init.sh DATA BINARIES PARTS
#
# The node's folders have the same names on every node: /run/node is DATA, /run/bin the binaries of Kubernetes, /run/parts
# what parts.sh makes. The folders of the machine that a container runtime or a kubelet writes to at fixed places are
# covered by empty ones.
set -euo pipefail
data=$1 binaries=$2 parts=$3

# All in one new folder first: any of the three may lie below one of those that are about to be covered.
mount -n -t tmpfs tmpfs "$data/run"
for pair in "node:$data" "bin:$binaries" "parts:$parts"; do
  mkdir "$data/run/${pair%%:*}"
  mount -n --bind "${pair#*:}" "$data/run/${pair%%:*}"
done
mount -n --move "$data/run" /run
mount -n -t tmpfs tmpfs /var/lib
mount -n -t tmpfs tmpfs /var/log
# A kubelet sets sysctls that are the whole machine's. In here they are files of the node's own.
mkdir /run/sysctl
for file in vm/overcommit_memory vm/panic_on_oom kernel/panic kernel/panic_on_oops kernel/keys/root_maxkeys kernel/keys/root_maxbytes; do
  cat "/proc/sys/$file" >"/run/sysctl/${file##*/}"
  mount -n --bind "/run/sysctl/${file##*/}" "/proc/sys/$file"
done
mount -n --make-rshared /
hostname "$(cat /run/node/hostname)"

export PATH=/run/bin:$PATH
containerd --config /run/node/containerd.toml >>/run/node/log/containerd.log 2>&1 &
until ctr -a /run/containerd/containerd.sock version >/dev/null 2>&1; do sleep 0.1; done
for image in /run/node/images/*.tar; do
  ctr -a /run/containerd/containerd.sock -n k8s.io images import "$image" >/dev/null
done
kubelet --config=/run/node/kubelet.yaml --kubeconfig=/run/node/kubelet.kubeconfig --root-dir=/run/node/kubelet \
  --hostname-override="$(cat /run/node/hostname)" --node-ip="$(cat /run/node/address)" >>/run/node/log/kubelet.log 2>&1 &
kube-proxy --config=/run/node/kube-proxy.yaml >>/run/node/log/kube-proxy.log 2>&1 &

# It stays, and reaps the shims that end. A daemon that dies is not started again: the node goes down, for all to see.
wait -n
echo "a daemon of the node has ended" >&2
exit 1
