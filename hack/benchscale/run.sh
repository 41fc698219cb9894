#!/usr/bin/env bash
# Measures what replicas cost, and writes the tables and the plots of docs/benchmarks.md.
#
#   hack/benchscale/run.sh [PART...]      default: all of them, which takes hours
#
#   memory      20,000 to 1,000,000 objects at rest (SIZES)
#   cpu         what an event costs that changes nothing, and one that is sent, at 300 to 3,000 a second
#   churn       rollouts, and namespaces that go and come back
#   shares      one, two and four replicas
#   scaleout    one, two and four replicas that are bound by their requests in flight: what they send a second (7 minutes a run)
#   receiver    one that takes 300 ms, one that fails 30 % of all requests
#   away        one that is away (AWAY, 30m)
#   soak        200 changes a second (SOAK, 1h)
#   fleet       20 replicas: what they ask of the API server
#   report      measures nothing
#
# RUNS is how often each is measured (3). Results are kept in docs/benchmarks/scale.jsonl. What is measured again takes the
# place of what was measured of another commit.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
[ $# -gt 0 ] || set -- memory cpu churn shares scaleout receiver away soak fleet

assets() {
  [ -z "${assets_known:-}" ] || return 0
  KUBEBUILDER_ASSETS=$(hack/controlplane/ensure.sh | tail -n 1) # for the recording
  export KUBEBUILDER_ASSETS
  CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o bin/ ./cmd/k8s-vectordb-sync
  assets_known=yes
}

mkdir -p bin dist/bench docs/benchmarks
go build -o bin/benchscale ./hack/benchscale

bench() {
  assets
  bin/benchscale -runs "${RUNS:-3}" -for 60s "$@"
}

for part in "$@"; do
  case $part in
    memory) bench -rates 0 -objects "${SIZES:-20000,100000,500000,1000000}" ;;
    cpu)
      bench -profile status -rates 300,1000,3000
      bench -profile labels -rates 100,300,1000,3000
      ;;
    churn)
      bench -profile rollout -rates 300
      bench -profile namespace -rates 300
      ;;
    shares) bench -profile labels -rates 1000 -replicas 1,2,4 ;;
    scaleout) bench -profile labels -objects 3000 -rates 600 -replicas 1,2,4 -latency 1s -in-flight 2 ;;
    receiver)
      bench -profile labels -rates 100 -latency 300ms
      bench -profile labels -rates 100 -failures 0.3
      ;;
    away) RUNS=1 bench -objects 100000 -profile labels -rates 300 -for "${AWAY:-30m}" -away "${AWAY:-30m}" -sample 30s ;;
    soak) RUNS=1 bench -profile rollout -rates 200 -for "${SOAK:-1h}" -sample 30s ;;
    fleet) RUNS=1 bench -profile status -rates 1,50 -replicas 20 -for 120s ;;
    report) ;;
    *)
      sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}" >&2
      exit 2
      ;;
  esac
done

bin/benchscale -report docs/benchmarks.md
go -C hack/benchscale/plot run . "$PWD"
