#!/bin/sh
# SPDX-License-Identifier: MIT
#
# run.sh BUILD_DIR [NAME...] - run the benchmarks (all, or those named) and print one
# table.  An aim in nanoseconds holds for a machine where calloc+free of 128 bytes takes
# 23-29 ns; elsewhere it is scaled by that.  A missed aim is only said, never an error.
set -eu

build=${1:?usage: run.sh BUILD_DIR [NAME...]}
shift
test $# -gt 0 || set -- floor yield spawn call root abort park read4k pause echo

TMPDIR=$(mktemp -d)
export TMPDIR
trap 'rm -rf "$TMPDIR"' EXIT
trap 'exit 130' INT TERM

# question|what is aimed at|at most or at least|how much
aims() {
	cat <<-'EOT'
	spawn to joined|ns|<=|45
	yield, 100 tasks|ns|<=|8
	async call, 80 B frame|ns|<=|35
	root added and dropped|ns|<=|10
	abort+join, asleep|ns|<=|150
	abort+join, in recv|ns|<=|1200
	task parked, resident|B|<=|224
	task asleep, resident|B|<=|256
	4 KiB cached read, depth 1|ratio|>=|1.00
	4 KiB cached read, depth 32|ratio|>=|1.00
	echo, 64 connections|ratio|>=|0.95
	echo, 64 connections, CPU|ratio|<=|1.06
	echo, 512 connections|ratio|>=|0.95
	echo, 512 connections, CPU|ratio|<=|1.06
	EOT
}

# Tab-separated lines of the programs to rows; the first argument scales the aims.
rows() {
	aims >"$TMPDIR/aims"
	awk -F '\t' -v scale="$1" -v aims="$TMPDIR/aims" '
	BEGIN {
		while ((getline line < aims) > 0) {
			split(line, aim, "|")
			what[aim[1]] = aim[2]
			how[aim[1]] = aim[3]
			much[aim[1]] = aim[4] * (aim[2] == "ns" ? scale : 1)
		}
	}
	function verdict(question, figure, ratio,   value, met) {
		if (!(question in what))
			return ""
		value = what[question] == "ratio" ? ratio + 0 : figure + 0
		met = how[question] == "<=" ? value <= much[question] : value >= much[question]
		return sprintf("%s %.4g%s%s", how[question], much[question],
			what[question] == "ratio" ? "" : " " what[question],
			met ? "" : how[question] == "<=" ? "  above aim" : "  below aim")
	}
	{
		beside = $4 == "" ? "" : $5 "  " $4
		printf "%-43s %15s   %-30s %6s   %s\n", $1, $2, beside, $6, verdict($1, $2, $6)
		fflush()
	}'
}

scale_of() {
	awk -F '\t' '$1 == "floor: calloc+free 128 B" {
		ns = $2 + 0
		print (ns < 23 ? ns / 23 : ns > 29 ? ns / 29 : 1)
	}'
}

failed=
scale=$("$build/bench/floor" 2000000 | scale_of)
printf '%-43s %15s   %-30s %6s   %s\n' question Xylem beside ratio aim
for name; do
	timeout 150 "$build/bench/$name" >"$TMPDIR/out" 2>"$TMPDIR/err" &
	wait $! || failed="$failed $name"
	rows "$scale" <"$TMPDIR/out"
	cat "$TMPDIR/err" >&2
done
printf 'aims in ns are scaled by %.2f to this machine; %s\n' "$scale" \
	"ratios, each measured in turn in one run, travel better than figures"
test -z "$failed" || { echo "failed:$failed" >&2; exit 1; }
