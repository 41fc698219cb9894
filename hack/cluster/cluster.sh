#!/usr/bin/env bash
# A real cluster on this machine: etcd, kube-apiserver, kube-controller-manager, kube-scheduler, CoreDNS, and nodes with
# containerd, runc, kubelet and kube-proxy.
#
#   hack/cluster/cluster.sh up              make it, or find that it is there
#   hack/cluster/cluster.sh down            take it away, with all that it has put on this machine
#   hack/cluster/cluster.sh supported       tell whether this machine can have one, and if not, why
#   hack/cluster/cluster.sh exec COMMAND    run a command that reaches it, with KUBECONFIG set; kubectl is on its PATH
#   hack/cluster/cluster.sh load TAR...     import images into every node
#   hack/cluster/cluster.sh nodes           print the names of the nodes
#   hack/cluster/cluster.sh freeze NODE     stop every process of a node where it is; thaw NODE lets them go on
#   hack/cluster/cluster.sh cut NODE        take a node's network away; join NODE gives it back
#   hack/cluster/cluster.sh restart-apiserver   kill the API server and start it again
#   hack/cluster/cluster.sh logs            print the last lines of all logs
#
# CLUSTER_NODES is how many nodes there are (3), CLUSTER_NAME what it is called (kvs), APISERVER_ARGS what the API server
# is started with besides. CLUSTER=kind does the same with kind and Docker, for machines that have both.
#
# It needs root: for network namespaces, mounts, cgroups, and because a kubelet does. It is closed: it has network
# namespaces of its own, from which no way leads to this machine's network, and each node has mounts and processes of its
# own. Outside its state directory it makes network namespaces and cgroups, and writes down which; `down` removes what is
# written down, and nothing else.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/lib.sh"
nodes=${CLUSTER_NODES:-3}
registry=k8s-vectordb-sync.test
images=$cache/cluster-images

usage() {
  sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}" >&2
  exit 2
}

case ${CLUSTER:-parts} in
  parts) . "$here/control.sh" && . "$here/node.sh" && . "$here/parts-cluster.sh" ;;
  kind) . "$here/kind.sh" ;;
  *) die "CLUSTER is $CLUSTER, want kind or nothing" ;;
esac

command=${1:-}
[ $# -eq 0 ] || shift
case $command in
  up | down)
    # One at a time, and each sees what the other has left.
    mkdir -p "$cache/cluster"
    exec 9>"$cache/cluster/$name.lock"
    flock 9
    "cluster_$command"
    ;;
  supported | nodes | logs) "cluster_$command" ;;
  exec | load) [ $# -gt 0 ] || usage; "cluster_$command" "$@" ;;
  freeze | thaw | cut | join) [ $# -eq 1 ] || usage; "cluster_$command" "$1" ;;
  restart-apiserver) cluster_restart_apiserver ;;
  *) usage ;;
esac
