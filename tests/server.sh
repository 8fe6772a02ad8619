# Sourced by the tests of the examples that serve: a server, what is heard from it, and what
# was to be.  They end with `exit $failed`.
# shellcheck shell=bash disable=SC2034	# some names are for those who source it
tmp=$(mktemp -d)
server=
cleanup() {
	test -z "$server" || kill -KILL "$server" 2>/dev/null
	rm -rf "$tmp"
}
trap cleanup EXIT
mkfifo "$tmp/said"
failed=0

expect() {	# WHAT GOT WANTED
	if [ "$2" != "$3" ]; then
		echo "FAILED: $1: got '$2', wanted '$3'"
		failed=1
	fi
}

hear() {	# DESCRIPTOR: one line from it, or nothing
	local line=
	read -r -t 20 -u "$1" line
	printf '%s' "$line"
}

start() {	# PROGRAM [ARGUMENTS...]: server, port; what it says comes from descriptor 9
	local said

	"$@" >"$tmp/said" &
	server=$!
	exec 9<"$tmp/said"
	said=$(hear 9)
	port=${said##*:}
}
