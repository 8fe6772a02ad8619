#!/usr/bin/env bash
# chat.sh CHAT: three clients, one of them slow: each line is heard or counted as missed; who
# leaves leaves nothing behind; a SIGTERM is the end, and everyone is told.
set -u
chat=$1
lines=20000

. "$(dirname "$0")/server.sh"

come() {	# DESCRIPTOR NUMBER
	eval "exec $1<>/dev/tcp/127.0.0.1/$port"
	expect "client $2" "$(hear "$1")" "*** you are $2"
}

heard() {	# FILE: the lines in it, and those that it was told it had missed
	awk '/^\*\*\* you missed/ { n += $4; next } { n++ } END { print n + 0 }' "$1"
}

start "$chat"

come 11 1
before=$(ls "/proc/$server/fd" | wc -l)	# with one client
come 12 2
expect 'one is told of the next' "$(hear 11)" '*** 2 comes'
come 13 3
expect 'and the next' "$(hear 12)" '*** 3 comes'
expect 'and the next' "$(hear 11)" '*** 3 comes'
echo 'how are you?' >&12
expect 'a line' "$(hear 11)" '2: how are you?'
expect 'a line' "$(hear 13)" '2: how are you?'

# ---- one does not read -------------------------------------------------------------------

timeout 30 sed '/: the end$/q' <&12 >"$tmp/quick" &
quick=$!
awk -v n=$lines 'BEGIN { for (i = 0; i < n; i++) printf "%d %0100d\n", i, 0; print "the end" }' >&11
wait "$quick"
timeout 30 sed '/: the end$/q' <&13 >"$tmp/slow"
expect 'the quick one heard, or was told' "$(heard "$tmp/quick")" $((lines + 1))
expect 'the slow one heard, or was told' "$(heard "$tmp/slow")" $((lines + 1))
grep -q '^\*\*\* you missed [1-9]' "$tmp/slow"
expect 'the slow one missed some' $? 0
grep -v '^\*\*\*' "$tmp/slow" | awk '$1 != "1:" { exit 1 } $2 != "the" { if ($2 < last) exit 1; last = $2 }'
expect 'what it heard was in order' $? 0

# ---- one leaves, one breaks the rules ---------------------------------------------------------

exec 11>&-
expect 'who left' "$(hear 12)" '*** 1 leaves'
expect 'who left' "$(hear 13)" '*** 1 leaves'
come 14 4
expect 'one more' "$(hear 12)" '*** 4 comes'
printf '%02000d\n' 0 >&14	# too long
expect 'is sent away' "$(timeout 20 cat <&14)" ''
expect 'and has left' "$(hear 12)" '*** 4 leaves'
exec 14>&-
expect 'descriptors' "$(ls "/proc/$server/fd" | wc -l)" $((before + 1))

# ---- the end ----------------------------------------------------------------------------------

kill -TERM "$server"
expect 'farewell' "$(timeout 20 cat <&12)" '*** farewell'
expect 'farewell' "$(timeout 20 tail -n 1 <&13)" '*** farewell'
expect 'what it says' "$(hear 9)" "chat: 4 clients said $((lines + 2)) lines"
wait "$server"
expect 'the exit code' $? 0
server=
exit $failed
