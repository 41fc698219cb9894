#!/usr/bin/env bash
# Measures what replicas cost, and writes the table of docs/benchmarks.md.
#
#   hack/benchscale/run.sh [PART...]      default: all of them, which takes hours
#
#   memory      20,000 to 1,000,000 objects at rest (SIZES)
#   cpu         what an event costs that changes nothing, at 300 and 3,000 a second, and one that is sent
#   churn       rollouts, and namespaces that go and come back
#   shares      one, two and four replicas
#   receiver    one that takes 300 ms, one that fails 30 % of all requests, one that is away (AWAY, 30m)
#   soak        200 changes a second (SOAK, 1h)
#
# RUNS is how often each is measured (3). Results are added to dist/bench/results.jsonl: remove it to begin anew.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
[ $# -gt 0 ] || set -- memory cpu churn shares receiver soak

KUBEBUILDER_ASSETS=$(hack/controlplane/ensure.sh | tail -n 1)
export KUBEBUILDER_ASSETS
mkdir -p bin dist/bench
CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o bin/ ./cmd/k8s-vectordb-sync
go build -o bin/benchscale ./hack/benchscale

bench() { bin/benchscale -runs "${RUNS:-3}" "$@"; }

for part in "$@"; do
  case $part in
    memory) bench -rates 0 -objects "${SIZES:-20000,100000,500000,1000000}" ;;
    cpu)
      bench -profile status -rates 300,1000,3000
      bench -profile labels -rates 100,300
      ;;
    churn)
      bench -profile rollout -rates 300
      bench -profile namespace -rates 300
      ;;
    shares) bench -profile labels -rates 200 -replicas 1,2,4 ;;
    receiver)
      bench -profile labels -rates 100 -latency 300ms
      bench -profile labels -rates 100 -failures 0.3
      bench -profile labels -rates 300 -for "${AWAY:-30m}" -away "${AWAY:-30m}"
      ;;
    soak) bench -profile rollout -rates 200 -for "${SOAK:-1h}" ;;
    *)
      sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}" >&2
      exit 2
      ;;
  esac
done

bin/benchscale -report docs/benchmarks.md
