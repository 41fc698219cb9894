#!/bin/sh
# Checks the model of claims in Leases with spin: the protocol must hold, each rule left out must fail, and handoff and
# takeover must be possible. Takes about five minutes and below 1.9 GB on one core. Needs spin and gcc (apt-get install spin gcc).
set -eu
model=$(cd "$(dirname "$0")" && pwd)/claims.pml
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
command -v spin >/dev/null || { echo "spin is not installed: apt-get install spin" >&2; exit 1; }

# check NAME holds|fails|found FLAGS...
check() {
	name=$1 want=$2
	shift 2
	rm -f pan*
	spin "$@" -a "$model" >spin.out 2>&1 || { cat spin.out >&2; exit 1; }
	gcc -w -O2 -DSAFETY -DCOLLAPSE -DMEMLIM=1900 -o pan pan.c
	./pan -m2500000 -w24 >pan.out 2>&1 || { cat pan.out >&2; exit 1; }
	if grep -q 'errors: 0' pan.out; then got=holds; else got=broken; fi
	if grep -q 'assertion violated (' pan.out; then got=fails; fi
	if grep -q 'assertion violated  *!' pan.out; then got=found; fi
	# A search that was cut short proves nothing.
	if [ $got = holds ] && grep -Eq 'max search depth too small|Search not completed|out of memory' pan.out; then got=unfinished; fi
	states=$(sed -n 's/ *\([0-9.e+]*\) states, stored.*/\1/p' pan.out | head -1)
	memory=$(sed -n 's/ *\([0-9.]*\)\ttotal actual memory usage.*/\1/p' pan.out | head -1)
	printf '%-46s %-10s %12s states %9s MB\n' "$name" "$got" "$states" "$memory"
	[ $got = "$want" ] || { echo "want: $want" >&2; cat pan.out >&2; exit 1; }
}

check "2 members, any number of writes" holds -DN=2 -DQL=2
check "3 members, time stands still, any number" holds -DN=3 -DQL=1 -DNO_TIME
check "3 members, time stands still, 4 writes" holds -DN=3 -DQL=2 -DNO_TIME -DBUDGET=4
check "without rule 2 (see your own claim first)" fails -DN=2 -DQL=2 -DNO_OBSERVE
check "without rule 3 (the others have yielded)" fails -DN=2 -DQL=2 -DNO_OTHERS
check "without rule 4 (the fence)" fails -DN=2 -DQL=2 -DNO_FENCE
check "without ending requests before yielding" fails -DN=2 -DQL=2 -DNO_DRAIN
check "marking dead without the condition" fails -DN=2 -DQL=2 -DNO_CONDITION
check "a handoff is possible" found -DN=2 -DQL=2 -DREACH=IDLE
check "a takeover after a death is possible" found -DN=2 -DQL=2 -DREACH=DEAD
check "parts: 2 members, any number of writes" holds -DN=2 -DQL=1 -DPARTS
check "parts: without the wait for yields" fails -DN=2 -DQL=2 -DPARTS -DNO_YIELDS
check "parts: without the drain before a yield" fails -DN=2 -DQL=2 -DPARTS -DNO_YIELD_DRAIN
check "parts: who takes can send" found -DN=2 -DQL=2 -DPARTS -DREACH=YIELD
