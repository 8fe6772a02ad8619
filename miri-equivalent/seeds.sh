#!/usr/bin/env bash
# seeds.sh [N [FIRST]]: N seeds of the hostile ring and the seeded scheduler, from FIRST on
# (else from the time).  tests/hostile.c and hostile_sync.c run for each of them, the whole
# suite for two and every fiftieth.
. "$(dirname "$(readlink -f "$0")")/suite.sh"

EACH=50	# seeds to one run of the suite
count=${1:-20}
first=${2:-$(date +%s)}

fail() {	# SEED TEST...
	echo "seed $1: ${*:2} failed; ./dev check seed $1 reproduces it"
	exit 1
}

workload() {	# PROGRAM SEED COUNT: it stops at the first that fails
	local log=build/seeds-$1.log

	XYL_SEED=$2 XYL_HOSTILE_SEEDS=$3 "build/check/tests/$1" >"$log" 2>&1 && return
	cat "$log"
	fail "$(sed -n 's/^ *seed \([0-9]*\): .*/\1/p' "$log" | tail -n 1)" "$1"
}

# Not those that break the real ring, or count its system calls.
suite() {	# SEED
	local log=build/seeds-suite.log

	# shellcheck disable=SC2086
	XYL_SEED=$1 XYL_HOSTILE=$1 XYL_HOSTILE_SEEDS=1 ctest --test-dir build/check -LE project \
		-E '^(broken\.|syscall|limits|poison|hunt)' -j "$jobs" --output-on-failure ${SUITE_ARGS:-} >"$log" 2>&1 && return
	cat "$log"
	# shellcheck disable=SC2046
	fail "$1" $(sed -n 's/^\t *[0-9]* - \([^ ]*\) .*/\1/p' "$log")
}

suite_build check check
began=$SECONDS
step=$(((count + 1) / 2))
[ $step -lt $EACH ] || step=$EACH
for ((done = 0; done < count; done += step)); do
	seed=$((first + done))
	n=$((count - done < step ? count - done : step))
	workload hostile "$seed" "$n"
	workload hostile_sync "$seed" "$n"
	suite "$seed"
done
echo "seeds: quiet: $count from $first on, $((SECONDS - began)) s"
