#!/usr/bin/env bash
# monitor.sh MONITOR: a script reads its lines: the differences add up to what the program
# says at the end, and the rates are those of its load.
set -u
monitor=$1

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
"$monitor" --json 2 >"$tmp/lines" 2>"$tmp/said" || { echo "exit code $?"; exit 1; }
said=$(sed -n 's/^monitor: \([0-9]*\) jobs done$/\1/p' "$tmp/said")

# One source, a line each: the difference and over how many nanoseconds it was.
values() {	# NAME KEY
	sed -n "s/^{\"type\":\"[a-z]*\",\"name\":\"$1\".*\"over_ns\":\([0-9]*\).*\"delta\":{[^}]*\"$2\":\([0-9]*\).*/\2 \1/p" \
		"$tmp/lines"
}
total() {	# NAME KEY
	values "$1" "$2" | awk '{ sum += $1 } END { print sum + 0 }'
}

failed=0
expect() {	# WHAT GOT WANTED
	if [ "$2" != "$3" ]; then
		echo "FAILED: $1: got '$2', wanted '$3'"
		failed=1
	fi
}

expect 'jobs done' "$(total "done" value)" "$said"
sent=$(total jobs sent)
spawned=$(total runtime spawned)
expect 'jobs sent are done, but for those that were in the way' $((sent >= said && sent <= said + 80)) 1
expect 'a task for each' $((spawned >= said && spawned <= said + 20)) 1
expect 'more than a few lines' $(($(values "done" value | wc -l) >= 3)) 1
expect 'one last line of each' "$(grep -c '"last":true' "$tmp/lines")" 5
# No more than one a millisecond: 2000, and what came in the time that it took to end.
expect 'no more than the load' "$(values "done" value |
	awk '{ sum += $1; ns += $2 } END { print sum <= ns / 1000000 + 1 }')" 1
exit $failed
