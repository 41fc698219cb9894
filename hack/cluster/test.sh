#!/usr/bin/env bash
# Runs the stories of test/e2e/cluster on a real cluster: the one that is up, or one that is made for them and taken away
# again.
#
#   hack/cluster/test.sh
#
# RUN limits the stories by name, as go test -run does; TIMEOUT is how long all of them may take (60m). CLUSTER=kind runs
# them on kind. The report goes to dist/test.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
ctl=$PWD/hack/cluster/cluster.sh
work=$PWD/dist/cluster

if ! reason=$("$ctl" supported); then
  echo "the stories on a real cluster cannot run here: $reason" >&2
  exit 1
fi
if ! "$ctl" exec true 2>/dev/null; then
  trap '"$ctl" down' EXIT
  trap 'exit 130' INT TERM
fi
"$ctl" up

begun=$SECONDS
mkdir -p "$work" dist/test
helm=${HELM:-$(hack/tools/install.sh helm)/helm}
gotestsum=$(hack/tools/install.sh gotestsum)/gotestsum
images=$(hack/cluster/images.sh one two)
# Where pods cannot be reached from here, a Prometheus has nothing to scrape.
[ "${CLUSTER:-parts}" = kind ] || PROMETHEUS=$(hack/prometheus/ensure.sh)/prometheus
"$ctl" load "$images"/{k8s-vectordb-sync-one,k8s-vectordb-sync-two,receiver-one}.tar
CGO_ENABLED=0 go build -ldflags '-X main.version=one' -o "$work/" ./cmd/kubectl-vectordb_sync
go test -c -tags cluster -o "$work/stories.test" ./test/e2e/cluster
echo "== images and stories are ready after $((SECONDS - begun)) s" >&2

# The stories run where the cluster can be reached; what they are made with was needed out here.
begun=$SECONDS
status=0
export CLUSTER_CTL=$ctl PROMETHEUS=${PROMETHEUS:-} PATH=$work:$(dirname "$helm"):$PATH
cd test/e2e/cluster
"$gotestsum" --format testname --jsonfile ../../../dist/test/cluster.json --raw-command -- \
  go tool test2json -t -p github.com/k8s-vectordb-sync/k8s-vectordb-sync/test/e2e/cluster \
  "$ctl" exec "$work/stories.test" -test.v=test2json -test.timeout="${TIMEOUT:-60m}" ${RUN:+-test.run "$RUN"} || status=$?
echo "== stories took $((SECONDS - begun)) s" >&2
exit $status
