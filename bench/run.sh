#!/bin/sh
# SPDX-License-Identifier: MIT
#
# run.sh BUILD_DIR [NAME...] - run the benchmarks (all, or those named) and print one
# table.  An aim in nanoseconds, milliseconds or millions a second holds for a machine where
# calloc+free of 128 bytes takes 23-29 ns, and GC_malloc of 64 bytes 26-31.  Elsewhere it is
# scaled by that: by what ran in turn with the question, if it was one of the two, or else
# by the calloc that ran first.
# A missed aim is only said, never an error.
set -eu

build=${1:?usage: run.sh BUILD_DIR [NAME...]}
shift
test $# -gt 0 || set -- floor yield spawn call stream root abort channel select mutex token sleeps \
	park idle read4k roundtrip pause receive echo

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
	abort+join, on a channel|ns|<=|90
	channel round trip, capacity 1|ns|<=|35
	channel 1 to 1, capacity 64|M/s|>=|110
	channel 4 to 4, capacity 1024|M/s|>=|110
	select, 4 channels ready|ns|<=|60
	token fired, 10 000 waiters, each|ns|<=|60
	token fired, waiters of 100 below|ns|<=|60
	token fired in a thread, p99|us|<=|1000
	100 000 sleeps of 1-50 ms, CPU|ms|<=|80
	task parked, resident|B|<=|224
	task asleep, resident|B|<=|256
	idle connection, live|B|<=|1024
	4 KiB cached read, depth 1|ratio|>=|1.00
	4 KiB cached read, depth 32|ratio|>=|1.00
	receive over Unix, CPU|ratio|<=|0.85
	receive over TCP, CPU|ratio|<=|1.00
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
			much[aim[1]] = aim[4]
		}
	}
	function within(ns, low, high) {
		return ns < low ? ns / low : ns > high ? ns / high : 1
	}
	function slowness(other, beside, unit) {
		if (unit == "M/s" && beside > 0)
			beside = 1000 / beside
		if (other ~ /^calloc/)
			return within(beside, 23, 29)
		if (other ~ /^GC_malloc/)
			return within(beside, 26, 31)
		return scale
	}
	function scaled(aim, unit, by) {
		return unit ~ /^[nm]s$/ ? aim * by : unit == "M/s" ? aim / by : aim
	}
	function verdict(question, figure, ratio, other, beside,   aim, unit) {
		if (!(question in what))
			return ""
		unit = what[question]
		aim = scaled(much[question], unit, slowness(other, beside, unit))
		if (unit == "ratio")
			return judged(how[question], ratio, aim, sprintf("%.2f", aim))
		return judged(how[question], figure, aim, sprintf("%.0f %s", aim, unit))
	}
	function judged(sign, value, aim, text) {
		if (sign == "<=" && value > aim)
			text = text "  above aim"
		if (sign == ">=" && value < aim)
			text = text "  below aim"
		return sign " " text
	}
	{
		beside = $4 == "" ? "" : $5 "  " $4
		printf "%-43s %15s   %-30s %6s   %s\n", $1, $2, beside, $6, verdict($1, $2 + 0, $6 + 0, $4, $5 + 0)
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
echo "aims in ns, ms and M/s are scaled to this machine; ratios, measured in turn in one run, travel better"
test -z "$failed" || { echo "failed:$failed" >&2; exit 1; }
