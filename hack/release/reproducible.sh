#!/usr/bin/env bash
# Makes a release twice, the second time from another folder with an empty home of git, and fails unless both are the same
# to the byte. Prints the folder of the first.
#
#   hack/release/reproducible.sh [VERSION]       default: v0.0.0-test
#
# PLATFORMS limits what is built: linux/amd64 unless it is set, for all six take three minutes of processor time, and far more with an empty build cache.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
version=${1:-v0.0.0-test}
export PLATFORMS=${PLATFORMS:-linux/amd64}
one=$PWD/dist/release/$version
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

hack/release/release.sh "$version"
# A clone of what is here, committed or not, under another path.
mkdir -p "$work/elsewhere/source"
git ls-files --cached --others --exclude-standard -z | xargs -0 cp --parents -t "$work/elsewhere/source"
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)} OUT=$work/two "$work/elsewhere/source/hack/release/release.sh" "$version"

diff -r "$one" "$work/two" || { echo "the second release differs from the first" >&2; exit 1; }
(cd "$one" && sha256sum --quiet --check checksums.txt)
echo "both releases are the same, $(find "$one" -type f | wc -l) files:" >&2
echo "$one"
