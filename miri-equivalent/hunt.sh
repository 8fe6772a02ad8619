#!/usr/bin/env bash
# hunt.sh [ABORTS]: the race hunt, a million aborts unless told otherwise, in the build
# that users get.
. "$(dirname "$(readlink -f "$0")")/suite.sh"

log=build/hunt.log began=$SECONDS result=quiet
mkdir -p build
if ! { cmake --preset release && cmake --build --preset release --target hunt; } >$log 2>&1; then
	tail -n 40 $log
	echo "hunt: does not build, see $log"
	exit 2
fi
build/release/miri-equivalent/hunt "${1:-1000000}" 2>&1 | tee $log
if [ "${PIPESTATUS[0]}" -ne 0 ]; then
	result=REPORTED
	verdict=1
fi
echo "hunt: $result: $(head -n 1 $log), $((SECONDS - began)) s, $log"
suite_verdict
