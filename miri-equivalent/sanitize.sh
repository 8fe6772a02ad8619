#!/usr/bin/env bash
# The suite under ASan, LSan and UBSan, with gcc's and with clang's.
. "$(dirname "$(readlink -f "$0")")/suite.sh"
suite_need clang

for preset in asan asan-clang; do
	suite_build $preset $preset
	suite_run $preset $preset
done
suite_verdict
