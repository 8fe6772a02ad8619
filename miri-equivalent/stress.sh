#!/usr/bin/env bash
# The suite with an exact collection in every turn, then with a collection at every
# allocation, in the check build without any tool.
. "$(dirname "$(readlink -f "$0")")/suite.sh"

suite_build check check
XYL_CHECK_COLLECT=turn suite_run stress-turn check
# Every third allocation: all of them take three times as long (XYL_CHECK_ALLOC_EVERY=1).
export XYL_CHECK_ALLOC_EVERY=${XYL_CHECK_ALLOC_EVERY:-3}
XYL_CHECK_COLLECT=alloc suite_run stress-alloc check -E '^broken\.'
suite_verdict
