#!/usr/bin/env bash
# The suite under memcheck.
. "$(dirname "$(readlink -f "$0")")/suite.sh"
suite_need valgrind

# fair-sched: else one collection takes seconds beside a spinning thread.
# freelist-vol: as much as the quarantine holds, or a late use is reported without the
# stacks of birth and death.
export XYL_LAUNCHER="valgrind --quiet --fair-sched=yes --error-exitcode=9 --num-callers=20
	--leak-check=full --show-leak-kinds=definite --errors-for-leak-kinds=definite
	--freelist-vol=40000000 --suppressions=$here/memcheck.supp"
export GC_MARKERS=1

suite_build memcheck valgrind -DCMAKE_CROSSCOMPILING_EMULATOR="$here/launch"
suite_run memcheck memcheck -E '^broken\.check'
suite_verdict
