#!/bin/sh
# SPDX-License-Identifier: MIT
#
# instructions.sh BUILD_DIR [NAME[=K]...] - user-space instructions per operation, counted by
# callgrind: each program runs with two numbers of iterations, and the difference is
# divided.  NAME=K is the K-th question of that program.  These numbers do not drift with the machine or its load; they say nothing of
# cache misses and system calls.
set -eu

build=${1:?usage: instructions.sh BUILD_DIR [NAME...]}
shift
test $# -gt 0 || set -- yield spawn spawn=2 spawn=3 call root abort abort=3 abort=5 \
	channel channel=2 channel=3 channel=4 select select=2 token \
	roundtrip roundtrip=2 roundtrip=4
few=100000
many=400000
command -v valgrind >/dev/null || { echo "instructions.sh: valgrind is missing" >&2; exit 77; }

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
trap 'exit 130' INT TERM

# The sum in the closing "Collected : N" line.
count() {
	case $1 in *=*) k=${1#*=} ;; *) k=1 ;; esac
	valgrind --tool=callgrind --callgrind-out-file="$tmp/out" \
		"$build/bench/${1%=*}" "$2" --once="$k" >/dev/null 2>"$tmp/log" ||
		{ cat "$tmp/log" >&2; return 1; }
	sed -n 's/.*Collected : *\([0-9]*\).*/\1/p' "$tmp/log"
}

printf '%-12s %s\n' question "instructions each"
for name; do
	a=$(count "$name" $few)
	b=$(count "$name" $many)
	printf '%-12s %s\n' "$name" \
		"$(awk "BEGIN { printf \"%.1f\", ($b - $a) / ($many - $few) }")"
done
