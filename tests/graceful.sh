#!/usr/bin/env bash
# graceful.sh GRACEFUL: a SIGTERM, with requests in flight, cuts none short; only when the
# time is up, or at the second one.
set -u
graceful=$1

. "$(dirname "$0")/server.sh"

ask() {	# DESCRIPTOR MS: a request that is in flight when this returns
	eval "exec $1<>/dev/tcp/127.0.0.1/$port"
	printf '%d\n' "$2" >&"$1"
	expect "request $1" "$(hear "$1")" begun
}

ended() {	# WHAT WANTED: it has ended well, and said how many
	expect "$1: what became of them" "$(hear 9)" "graceful: $2"
	wait "$server"
	expect "$1: the exit code" $? 0
	server=
	exec 9<&-
}

# ---- they finish ----------------------------------------------------------------

for signal in TERM INT; do
	start "$graceful"
	for fd in 12 13 14 15 16; do
		ask $fd $((fd * 20))
	done
	exec 10<>"/dev/tcp/127.0.0.1/$port"	# asks for nothing
	ask 11 0 && expect 'one that is over' "$(hear 11)" "done"
	kill -$signal "$server"
	expect "$signal: it says so" "$(hear 9)" 'graceful: stopping, 5 requests under way'
	expect "$signal: an idle connection is closed" "$(timeout 20 cat <&10)" ''
	expect "$signal: an idle one that has asked before" "$(timeout 20 cat <&11)" ''
	expect "$signal: nobody new" "$( (exec 8<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; echo $?)" 1
	for fd in 12 13 14 15 16; do
		expect "$signal: request $fd" "$(timeout 20 cat <&$fd)" "done"
	done
	ended $signal '6 finished, 0 cut'
done

# ---- they do not: the time is up ------------------------------------------------------

start "$graceful" --grace-ms 200
ask 11 1
expect 'the short one' "$(hear 11)" "done"
for fd in 12 13 14; do
	ask $fd 3600000
done
kill -TERM "$server"
expect 'grace: it says so' "$(hear 9)" 'graceful: stopping, 3 requests under way'
for fd in 12 13 14; do
	expect "grace: request $fd is cut" "$(timeout 20 cat <&$fd)" ''
done
expect 'grace: why' "$(hear 9)" 'graceful: the time is up'
ended grace '1 finished, 3 cut'

# ---- a second signal -------------------------------------------------------------------

start "$graceful" --grace-ms 3600000
for fd in 12 13 14; do
	ask $fd 3600000
done
kill -TERM "$server"
expect 'twice: it says so' "$(hear 9)" 'graceful: stopping, 3 requests under way'
kill -INT "$server"
for fd in 12 13 14; do
	expect "twice: request $fd is cut" "$(timeout 20 cat <&$fd)" ''
done
ended twice '0 finished, 3 cut'

exit $failed
