# Sourced by the scripts beside it: build, run the tests under a tool, and say in one
# line what came of it.  SUITE_JOBS tests run at once; SUITE_ARGS go to ctest.
# shellcheck shell=bash disable=SC2034	# some names are for those who source it
set -u
cd "$(dirname "$(readlink -f "$0")")/.." || exit 2
here=$PWD/miri-equivalent
jobs=${SUITE_JOBS:-$(nproc)}
verdict=0

suite_build() {	# NAME PRESET [CMAKE ARGS]: a tree of its own under build/
	local name=$1 preset=$2 log=build/$1.log

	shift 2
	mkdir -p build
	if ! { cmake --preset "$preset" -B "build/$name" -DXYLEM_BUILD_BENCH=OFF \
			-DXYLEM_TEST_TIMEOUT=900 "$@" &&
		cmake --build "build/$name"; } >"$log" 2>&1; then
		tail -n 40 "$log"
		echo "$name: does not build, see $log"
		exit 2
	fi
}

suite_run() {	# NAME TREE [CTEST ARGS]
	local name=$1 tree=$2 log=build/$1.log began=$SECONDS result=quiet

	shift 2
	# The tests labelled "project" are of headers, packages and refusals.
	# shellcheck disable=SC2086
	ctest --test-dir "build/$tree" -LE project -j "$jobs" --output-on-failure "$@" \
		${SUITE_ARGS:-} >"$log" 2>&1 || result=REPORTED
	grep -q '^No tests were found' "$log" && result=EMPTY
	if [ $result != quiet ]; then
		cat "$log"
		verdict=1
	fi
	echo "$name: $result: $(grep 'tests passed' "$log"), $((SECONDS - began)) s, $log"
}

suite_verdict() {
	exit $verdict
}

suite_need() {	# COMMAND
	command -v "$1" >/dev/null && return
	echo "$1 is not installed: ./dev check installs what is missing"
	exit 2
}
