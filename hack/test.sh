#!/usr/bin/env bash
# Runs the tests, stage by stage, and ends with one line that adds up all of them.
#
#   hack/test.sh [STAGE...]      default: unit long integration e2e
#
#   unit          every test without a build tag, with the race detector and -short; needs nothing
#   long          the tests that -short cuts short, mostly simulations, at full length and without the race detector
#   integration   packages with tests tagged integration, with the race detector; a real API server on loopback
#   browser       packages with tests tagged browser: pages in headless Chromium, if there is one
#   e2e           test/e2e: several replicas as processes, a real API server, a receiver, and faults
#
# Reports go to dist/test. RUN limits the tests by name, as go test -run does.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
[ $# -gt 0 ] || set -- unit long integration e2e

# Processor time is scarcer than memory: garbage is collected more rarely, by the compiler too.
export GOGC=${GOGC:-400} GOMEMLIMIT=${GOMEMLIMIT:-3GiB}
# A program with the race detector waits for a second at its end, for goroutines that are about to report.
export GORACE="atexit_sleep_ms=100 ${GORACE:-}"

gotestsum=$(hack/tools/install.sh gotestsum)/gotestsum
mkdir -p dist/test
reports=()
failed=

# tagged TAG prints the packages that have tests with that build tag.
tagged() {
  grep -rl --include='*_test.go' "^//go:build $1\$" internal cmd test 2>/dev/null | xargs -r -n1 dirname | sort -u | sed 's|^|./|'
}

# tests TAG PACKAGE... prints a pattern of the tests in files with that build tag.
tests() {
  local tag=$1
  shift
  find "$@" -maxdepth 1 -name '*_test.go' -exec grep -l "^//go:build $tag\$" {} + | xargs grep -ohE '^func (Test[A-Z]\w*)' | sed 's/^func //' | grep -vx TestMain | sort -u | paste -sd '|' | sed 's/.*/^(&)$/'
}

# shortened PACKAGE... prints a pattern of the tests that -short cuts short.
shortened() {
  local names
  names=$(find "$@" -maxdepth 1 -name '*_test.go' -exec awk '
    /^func / { name = /^func Test[A-Z]/ ? $2 : ""; sub(/\(.*/, "", name) }
    /testing\.Short\(\)/ && name == "" { print FILENAME ": a test is cut short by something else than itself" >"/dev/stderr"; exit 1 }
    /testing\.Short\(\)/ { print name }' {} +) || return 1
  sort -u <<<"$names" | paste -sd '|' | sed 's/.*/^(&)$/'
}

# run STAGE ARGUMENT... runs go test, without the vetting that make lint does, and remembers that it failed instead of ending.
run() {
  local stage=$1 started=$SECONDS
  shift
  echo "== $stage"
  reports+=("dist/test/$stage.json")
  "$gotestsum" --format pkgname --format-hide-empty-pkg --jsonfile "dist/test/$stage.json" -- -vet=off ${RUN:+-run "$RUN"} "$@" || failed="$failed $stage"
  times >dist/test/times
  echo "== $stage took $((SECONDS - started)) s; processor time of all stages so far, user and system: $(tail -n 1 dist/test/times)"
}

assets() {
  KUBEBUILDER_ASSETS=$(hack/controlplane/ensure.sh)
  export KUBEBUILDER_ASSETS
}

for stage in "$@"; do
  case $stage in
    unit)
      run unit -race -short -shuffle=on -timeout 15m ./...
      ;;
    long)
      mapfile -t packages < <(grep -rl --include='*_test.go' 'testing\.Short()' internal cmd | xargs -r -n1 dirname | sort -u | sed 's|^|./|')
      # Only what is cut short: the rest has been run.
      names=$(shortened "${packages[@]}")
      [ ${#packages[@]} -eq 0 ] || RUN=${RUN:-$names} run long -timeout 30m "${packages[@]}"
      ;;
    integration)
      mapfile -t packages < <(tagged integration)
      assets
      # Only what is tagged: the rest has been run. Three packages at a time: each waits for its API server half of the time.
      names=$(tests integration "${packages[@]}")
      [ ${#packages[@]} -eq 0 ] || RUN=${RUN:-$names} run integration -race -tags integration -p 3 -timeout 30m "${packages[@]}"
      ;;
    browser)
      mapfile -t packages < <(tagged browser)
      [ ${#packages[@]} -eq 0 ] || run browser -tags browser -timeout 15m "${packages[@]}"
      ;;
    e2e)
      mapfile -t packages < <(tagged e2e)
      assets
      # What stories ask for themselves is had now: a build would count as their time.
      hack/prometheus/ensure.sh >/dev/null && hack/crds/ensure.sh >/dev/null && hack/tools/install.sh helm >/dev/null || exit 1
      # How many run at once is for the stories to say, or for E2E_PARALLEL.
      [ ${#packages[@]} -eq 0 ] || run e2e -tags e2e -p 1 -parallel 100 -timeout 60m "${packages[@]}"
      ;;
    *)
      sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}" >&2
      exit 2
      ;;
  esac
done

[ -z "$failed" ] || echo "failed:$failed"
[ ${#reports[@]} -gt 0 ] || { echo "there are no such tests" >&2; exit 1; }
go run ./hack/testsum "${reports[@]}" || exit 1
[ -z "$failed" ]
