# Sourced by the scripts beside it: build a preset, run its tests under a tool, and say
# in one line what came of it.  SUITE_JOBS tests run at once; SUITE_ARGS are ctest's.
set -u
cd "$(dirname "$(readlink -f "$0")")/.." || exit 2
here=$PWD/miri-equivalent
jobs=${SUITE_JOBS:-$(nproc)}
verdict=0

suite_build() {	# PRESET [CMAKE ARGS]
	local preset=$1 log=build/$1.log

	shift
	mkdir -p build
	if ! { cmake --preset "$preset" -DXYLEM_BUILD_BENCH=OFF -DXYLEM_TEST_TIMEOUT=900 "$@" &&
		cmake --build --preset "$preset"; } >"$log" 2>&1; then
		tail -n 40 "$log"
		echo "$preset: does not build, see $log"
		exit 2
	fi
}

suite_run() {	# NAME PRESET [CTEST ARGS]
	local name=$1 preset=$2 log=build/$1.log began=$SECONDS result=quiet

	shift 2
	# shellcheck disable=SC2086
	ctest --preset "$preset" -j "$jobs" --timeout 900 "$@" ${SUITE_ARGS:-} >"$log" 2>&1 ||
		result=REPORTED
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
