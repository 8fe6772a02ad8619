#!/usr/bin/env bash
# retry.sh RETRY ECHO: the example waits for a server, and gives up as it was told.
set -u
retry=$1 echo=$2
tmp=$(mktemp -d)
server=
trap 'rm -rf "$tmp"; [ -z "$server" ] || kill $server' EXIT
failed=0

wrong() {
	echo "FAILED: $*"
	sed 's/^/	/' "$tmp/out" "$tmp/errors"
	failed=1
}

gives() {	# EXIT_CODE ARGUMENTS...
	local code=$1

	shift
	"$retry" "$@" >"$tmp/out" 2>"$tmp/errors"
	[ $? -eq "$code" ] || wrong "retry $*: exit code not $code"
}

# Nobody there: so many tries, each told, and no more.
gives 1 -n 3 -f 1 -c 2 "$tmp/socket"
[ "$(grep -c '^retry: try ' "$tmp/errors")" -eq 3 ] || wrong 'not three tries'
[ "$(grep -c 'again in' "$tmp/errors")" -eq 2 ] || wrong 'not two delays'
gives 1 -q -n 1 "$tmp/socket"
grep -q 'No such file' "$tmp/errors" || wrong 'no word of why'
gives 1 -q -t 0.05 -f 1 -c 1 "$tmp/socket"
grep -q 'timed out' "$tmp/errors" || wrong 'no word of the time'

# What trying again cannot help.
gives 1 -n 3 "$tmp/$(printf '%0200d' 1)"
grep -q '^retry: try ' "$tmp/errors" && wrong 'tried again for nothing'
for arguments in '' '-n 0 path' '-t x path' '-t -1 path' 'a b c' '-x path'; do
	# shellcheck disable=SC2086
	gives 2 $arguments
done

# A server that comes later, at a port that was free a moment ago.
server_start() {	# [PORT]
	"$echo" "$@" >"$tmp/port" &
	server=$!
	until grep -q . "$tmp/port" || ! kill -0 $server 2>/dev/null; do sleep 0.01; done
}
server_stop() {
	kill $server
	wait $server 2>/dev/null
	server=
}

server_start
port=$(grep -oE '[0-9]+$' "$tmp/port")
gives 0 127.0.0.1 "$port"
grep -q 'answered after 1 try' "$tmp/out" || wrong 'not at once'
server_stop
"$retry" -f 1 -c 5 127.0.0.1 "$port" >"$tmp/out" 2>"$tmp/errors" &
waiting=$!
until grep -q 'try 3' "$tmp/errors" || ! kill -0 $waiting 2>/dev/null; do sleep 0.01; done
server_start "$port"
wait $waiting || wrong 'did not find the server'
grep -Eq 'answered after [0-9]+ tries' "$tmp/out" || wrong 'no word of success'
server_stop
exit $failed
