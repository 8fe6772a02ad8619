#!/usr/bin/env bash
# The suite under helgrind.
. "$(dirname "$(readlink -f "$0")")/suite.sh"
suite_need valgrind

export XYL_LAUNCHER="valgrind --tool=helgrind --quiet --fair-sched=yes --error-exitcode=9
	--num-callers=20 --history-level=approx --suppressions=$here/helgrind.supp"
export GC_MARKERS=1

suite_build valgrind -DCMAKE_CROSSCOMPILING_EMULATOR="$here/launch"
suite_run helgrind valgrind -E '^broken\.(check|memcheck)'
suite_verdict
