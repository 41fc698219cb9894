#!/usr/bin/env bash
# Runs the same benchmarks at a base and in the working tree, and lets benchstat compare them.
#
#   BASE   the commit to compare with; default: the last tag, or the parent of HEAD where there is none
#   BENCH  which benchmarks, as go test -bench takes it (.)
#   PKG    which packages (./internal/...)
#   COUNT  how many runs of each (6): benchstat wants some to tell a difference from noise
#
# The base is checked out into a worktree outside the tree, which goes with the script. Results stay in dist/bench.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

base=${BASE:-$(git describe --tags --abbrev=0 2>/dev/null || git rev-parse HEAD^)}
commit=$(git rev-parse --verify --quiet "$base^{commit}") || { echo "BASE is $base, want a commit or a tag" >&2; exit 2; }
benchstat=$(hack/tools/install.sh benchstat)/benchstat
out=$PWD/dist/bench
mkdir -p "$out"

tree=$(mktemp -d)
trap 'git worktree remove --force "$tree" 2>/dev/null || rm -rf "$tree"' EXIT
git worktree add --quiet --detach "$tree" "$commit"

# measure NAME DIRECTORY runs the benchmarks of one tree. A package that the base lacks is left out there.
measure() {
  echo "== $1" >&2
  (
    cd "$2"
    mapfile -t packages < <(go list ${PKG:-./internal/...} 2>/dev/null)
    [ ${#packages[@]} -gt 0 ] || { echo "no package matches ${PKG:-./internal/...} at $1" >&2; exit 1; }
    go test -run '^$' -bench "${BENCH:-.}" -benchmem -count "${COUNT:-6}" "${packages[@]}"
  ) | grep -v -e '^ok ' -e 'no test files' -e '^PASS$' >"$out/$1.txt"
}

measure base "$tree"
measure head "$PWD"
"$benchstat" "base=$out/base.txt" "head=$out/head.txt" | tee "$out/compare.txt"
