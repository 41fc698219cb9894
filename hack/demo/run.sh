#!/usr/bin/env bash
# Builds what the demo needs, saying so, and runs it. Ctrl-C ends it at any moment, which is no error.
#
#   VERSION   what the programs are to call themselves; dev when it is not set
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

# In a terminal all of this gets a process group of its own, so that Ctrl-C reaches it and not make, which would end with 130.
if [ -t 0 ] && [ -z "${DEMO_OWN_GROUP:-}" ]; then
  set -m
  DEMO_OWN_GROUP=yes hack/demo/run.sh
  exit
fi

began=$SECONDS
say() { printf '[%3d s] %s\n' $((SECONDS - began)) "$*"; }
trap 'echo; say "Ended while it was being built. What is built stays for the next time."; exit 0' INT

say "Building the programs: some seconds when they were built before, a minute or two the first time."
mkdir -p bin
CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=${VERSION:-dev}" -o bin/ ./cmd/...
say "Building the demo."
CGO_ENABLED=0 go build -trimpath -o bin/demo ./hack/demo
say "Looking for a control plane. The first time it is downloaded, or built from Go modules, which takes 7 to 12 minutes on two cores."
KUBEBUILDER_ASSETS=$(hack/controlplane/ensure.sh)
export KUBEBUILDER_ASSETS
say "All is there."
exec bin/demo
