# Sourced by cluster.sh: etcd, kube-apiserver, kube-controller-manager, kube-scheduler and the name service, in the network
# namespace $name. A bridge in it is the nodes' network; nothing leads to the machine's own.
# shellcheck shell=bash

server_ip=10.201.0.1
server=https://$server_ip:6443
services=10.96.0.0/16
pods=10.244.0.0/16

in_control() { nsenter --net="/run/netns/$name" -- "$@"; }
admin() { in_control "$binaries/kubectl" --kubeconfig "$kubeconfig" "$@"; }

control_network() {
  make_netns "$name"
  ip -n "$name" link add nodes0 type bridge
  # A bridge without a port has no carrier, and its address then does not answer.
  ip -n "$name" link add idle0 type veth peer name idle1
  ip -n "$name" link set idle1 master nodes0
  ip -n "$name" link set idle0 up
  ip -n "$name" link set idle1 up
  ip -n "$name" link set nodes0 up
  ip -n "$name" addr add $server_ip/24 dev nodes0
  # The bridge is to pass what the nodes send to one another, whatever this machine's firewall does with bridges.
  in_control sh -c 'echo 0 >/proc/sys/net/bridge/bridge-nf-call-iptables' 2>/dev/null || true
}

control_certificates() {
  authority
  certificate apiserver /CN=kube-apiserver \
    "DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local,IP:127.0.0.1,IP:${services%.*.*}.0.1,IP:$server_ip"
  certificate kubelet-client /O=system:masters/CN=kube-apiserver-kubelet-client
  certificate front-proxy /CN=front-proxy
  user admin "$kubeconfig" /O=system:masters/CN=admin
  user controller-manager "$state/controller-manager.kubeconfig" /CN=system:kube-controller-manager
  user scheduler "$state/scheduler.kubeconfig" /CN=system:kube-scheduler
  user kube-proxy "$state/kube-proxy.kubeconfig" /CN=system:kube-proxy
}

start_etcd() {
  start etcd nsenter --net="/run/netns/$name" -- "$binaries/etcd" --name "$name" --data-dir "$state/etcd" --unsafe-no-fsync --log-level warn \
    --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 \
    --listen-peer-urls http://127.0.0.1:2380 --initial-advertise-peer-urls http://127.0.0.1:2380 --initial-cluster "$name=http://127.0.0.1:2380"
}

# start_apiserver also writes an audit log, log/audit.log: who asked for what, without bodies.
start_apiserver() {
  local more
  read -ra more <<<"${APISERVER_ARGS:-}"
  cat >"$state/audit.yaml" <<'Y'
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules: [{level: Metadata}]
Y
  start kube-apiserver nsenter --net="/run/netns/$name" -- "$binaries/kube-apiserver" \
    --etcd-servers=http://127.0.0.1:2379 --bind-address=$server_ip --secure-port="${server##*:}" --advertise-address=$server_ip \
    --tls-cert-file="$pki/apiserver.crt" --tls-private-key-file="$pki/apiserver.key" --client-ca-file="$pki/ca.crt" \
    --service-account-issuer=https://kubernetes.default.svc.cluster.local \
    --service-account-key-file="$pki/sa.pub" --service-account-signing-key-file="$pki/sa.key" \
    --authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction --allow-privileged=true \
    --service-cluster-ip-range=$services \
    --requestheader-client-ca-file="$pki/ca.crt" --requestheader-allowed-names=front-proxy \
    --requestheader-username-headers=X-Remote-User --requestheader-group-headers=X-Remote-Group \
    --requestheader-extra-headers-prefix=X-Remote-Extra- \
    --proxy-client-cert-file="$pki/front-proxy.crt" --proxy-client-key-file="$pki/front-proxy.key" \
    --kubelet-preferred-address-types=InternalIP,Hostname \
    --kubelet-client-certificate="$pki/kubelet-client.crt" --kubelet-client-key="$pki/kubelet-client.key" \
    --audit-log-path="$state/log/audit.log" --audit-policy-file="$state/audit.yaml" --audit-log-maxsize=200 --audit-log-maxbackup=3 \
    "${more[@]}"
}

apiserver_ready() { admin get --raw /readyz; }

# control_up starts the control plane. A node that does not report is NotReady after 20 seconds, half of what is usual.
control_up() {
  control_network
  control_certificates
  start_etcd
  start_apiserver
  await 180 "API server" apiserver_ready || {
    tail -n 5 "$state/log/kube-apiserver.log" >&2
    return 1
  }
  start kube-controller-manager nsenter --net="/run/netns/$name" -- "$binaries/kube-controller-manager" \
    --kubeconfig="$state/controller-manager.kubeconfig" --authentication-kubeconfig="$state/controller-manager.kubeconfig" \
    --authorization-kubeconfig="$state/controller-manager.kubeconfig" --bind-address=127.0.0.1 --leader-elect=false \
    --service-account-private-key-file="$pki/sa.key" --root-ca-file="$pki/ca.crt" --use-service-account-credentials=true \
    --cluster-signing-cert-file="$pki/ca.crt" --cluster-signing-key-file="$pki/ca.key" \
    --allocate-node-cidrs=false --cluster-cidr=$pods --node-monitor-period=2s --node-monitor-grace-period=20s
  start kube-scheduler nsenter --net="/run/netns/$name" -- "$binaries/kube-scheduler" \
    --kubeconfig="$state/scheduler.kubeconfig" --authentication-kubeconfig="$state/scheduler.kubeconfig" \
    --authorization-kubeconfig="$state/scheduler.kubeconfig" --bind-address=127.0.0.1 --leader-elect=false
  sed "s|COREDNS_IMAGE|$registry/coredns:1|" "$here/coredns.yaml" | admin apply -f - >/dev/null
}

control_down() {
  local process left=
  for process in kube-scheduler kube-controller-manager kube-apiserver etcd; do
    stop $process || left=yes
  done
  [ -z "$left" ]
}
