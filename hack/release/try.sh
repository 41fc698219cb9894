#!/usr/bin/env bash
# Installs a release that was made here on a real cluster, and asks it: the images are loaded into the nodes, the packed
# chart is installed with the reference receiver, and the plugin out of its archive searches. No registry is needed.
#
#   hack/release/try.sh [VERSION]        default: v0.0.0-test
#
# It uses the cluster that is up (hack/cluster/cluster.sh), or makes one and takes it away; CLUSTER=kind takes kind.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
version=${1:-v0.0.0-test}
plain=${version#v}
release=$PWD/dist/release/$version
ctl=$PWD/hack/cluster/cluster.sh
arch=$(go env GOARCH)
[ -d "$release" ] || { echo "there is no $release: make release VERSION=$version" >&2; exit 2; }

work=$(mktemp -d)
made=
clean() {
  [ -n "$made" ] || "$ctl" exec helm uninstall kvs-release -n kvs-release --ignore-not-found --wait >/dev/null 2>&1 || true
  [ -n "$made" ] || "$ctl" exec kubectl delete namespace kvs-release --ignore-not-found >/dev/null 2>&1 || true
  [ -z "$made" ] || "$ctl" down
  rm -rf "$work"
}
trap clean EXIT
trap 'exit 130' INT TERM
if ! "$ctl" exec true 2>/dev/null; then
  made=yes
  "$ctl" up
fi
helm=$(hack/tools/install.sh helm)
tar -xzf "$release/kubectl-vectordb_sync_linux_$arch.tar.gz" -C "$work"
export PATH=$work:$helm:$PATH

begun=$SECONDS
"$ctl" load "$release/images/k8s-vectordb-sync-$plain-linux-$arch.tar" "$release/images/receiver-$plain-linux-$arch.tar"
echo "[$((SECONDS - begun)) s] loaded" >&2
"$ctl" exec helm install kvs-release "$release/k8s-vectordb-sync-$plain.tgz" -n kvs-release --create-namespace \
  --set receiver.enabled=true --wait --timeout 3m >/dev/null
echo "[$((SECONDS - begun)) s] installed" >&2
question="dns of the cluster"
for _ in $(seq 60); do
  if answer=$("$ctl" exec kubectl vectordb-sync search "$question" --controller-namespace kvs-release 2>&1); then break; fi
  answer="no answer: $answer"
  sleep 1
done
echo "[$((SECONDS - begun)) s] asked: $question" >&2
echo "$answer"
grep -q coredns <<<"$answer" || { echo "the answer lacks CoreDNS, which every cluster of ours has" >&2; exit 1; }
"$ctl" exec kubectl vectordb-sync version --controller-namespace kvs-release | tee "$work/version" >&2
[ "$(grep -c "$version" "$work/version")" -ge 2 ] || { echo "plugin and replicas do not say $version" >&2; exit 1; }
