#!/usr/bin/env bash
# The suite under helgrind, with its atomics told to it: atomics.c says how.
. "$(dirname "$(readlink -f "$0")")/suite.sh"
suite_need valgrind
suite_need clang

export XYL_LAUNCHER="valgrind --tool=helgrind --quiet --fair-sched=yes --error-exitcode=9
	--num-callers=20 --history-level=approx --suppressions=$here/helgrind.supp"
export GC_MARKERS=1

# DWARF 4: valgrind 3.19 does not read clang's DWARF 5.
# Of -fsanitize=thread only what it does to atomics, and not its runtime.
atomics="-fsanitize=thread"
for part in memory-accesses func-entry-exit memintrinsics; do
	atomics+=" -mllvm -tsan-instrument-$part=0"
done

mkdir -p build
clang -c -O1 -gdwarf-4 -fPIC "$here/atomics.c" -o build/atomics.o || exit 2
suite_build helgrind valgrind -DCMAKE_C_COMPILER=clang -DCMAKE_C_FLAGS="$atomics" \
	-DCMAKE_C_FLAGS_DEBUG="-O1 -gdwarf-4" \
	-DCMAKE_EXE_LINKER_FLAGS="-fno-sanitize=thread $PWD/build/atomics.o" \
	-DCMAKE_SHARED_LINKER_FLAGS="-fno-sanitize=thread $PWD/build/atomics.o" \
	-DCMAKE_CROSSCOMPILING_EMULATOR="$here/launch"
suite_run helgrind helgrind
suite_verdict
