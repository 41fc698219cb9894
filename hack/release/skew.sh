#!/usr/bin/env bash
# Upgrades a fleet from another version to this tree, replica by replica under load, and goes back: docs/releases.md has
# what is promised.
#
#   hack/release/skew.sh [COMMIT]        default: the last tag
#
# SKEW_RESENT is how many percent of the objects may be sent for nothing (1); a changelog that says that an upgrade costs a
# resync allows 100.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
old=${1:-$(git describe --tags --abbrev=0 --match 'v*' 2>/dev/null || true)}
[ -n "$old" ] || { echo "there is no tag yet: name a commit" >&2; exit 2; }
commit=$(git rev-parse --verify "$old^{commit}")

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/source"
git archive "$commit" | tar -x -C "$work/source"
echo "building $old ($(git log -1 --format=%h "$commit"))" >&2
(cd "$work/source" && CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags "-s -w -X main.version=$old" -o "$work/old" ./cmd/k8s-vectordb-sync)

KUBEBUILDER_ASSETS=$(hack/controlplane/ensure.sh)
export KUBEBUILDER_ASSETS SKEW_BINARY=$work/old
go test -tags e2e -count=1 -timeout 10m -run '^TestSkew_' -v ./test/e2e
