#!/usr/bin/env bash
# Runs every fuzz target for a while, one after another: FUZZTIME each, 20 s by default.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
grep -rnoE --include='*_test.go' '^func Fuzz[A-Za-z0-9_]+' internal cmd | while IFS=: read -r file _ function; do
  target=${function#func }
  echo "== $(dirname "$file") $target"
  go test -run '^$' -fuzz "^$target\$" -fuzztime "${FUZZTIME:-20s}" "./$(dirname "$file")"
done
