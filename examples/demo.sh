#!/usr/bin/env bash
# demo.sh BUILD_DIR: loads the example web server while its connections are aborted in
# mid-request and garbage is collected, compares what it serves byte for byte, stops it,
# and prints one table.  Exits non-zero if anything was wrong or is left over.
#
# SECONDS_EACH=5 CHAOS=200 COLLECT_MS=50 are its settings, to be found in the environment.
set -u
build=${1:?usage: demo.sh BUILD_DIR}
project=$(dirname "$(dirname "$(readlink -f "$0")")")
each=${SECONDS_EACH:-5}
chaos=${CHAOS:-200}
collect_ms=${COLLECT_MS:-50}

httpd=$(find "$build" -name httpd -type f -perm -u+x | head -n 1)
if [ -z "$httpd" ]; then
	echo "demo: no httpd below $build" >&2
	exit 2
fi
for tool in wrk curl cmp; do
	command -v $tool >/dev/null || { echo "demo: $tool is missing" >&2; exit 2; }
done
ulimit -n 8192 2>/dev/null || ulimit -n "$(ulimit -Hn)" 2>/dev/null

tmp=$(mktemp -d)
server='' fetcher=''
cleanup() {
	test -z "$fetcher" || kill "$fetcher" 2>/dev/null
	test -z "$server" || kill -KILL "$server" 2>/dev/null
	rm -rf "$tmp"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

failed=0
wrong() {
	echo "WRONG: $*"
	failed=1
}

# ---- what is served: the project's own documents, and files of awkward sizes ------

site=$tmp/site
mkdir "$site"
cp -r "$project"/*.md "$project/LICENSE" "$site"/
for folder in docs man include; do
	test ! -d "$project/$folder" || cp -r "$project/$folder" "$site"/
done
: >"$site/empty"
printf x >"$site/one-byte"
head -c 65536 /dev/urandom >"$site/64k.bin"
head -c $((5 * 1024 * 1024)) /dev/urandom >"$site/5m.bin"
printf 'a name that must be escaped\n' >"$site/a b & 100%.txt"
page=LICENSE

# Mostly a page, now and then a larger file: some connections are always in mid-answer.
cat >"$tmp/mix.lua" <<'LUA'
local requests, n = {}, 0
function init(args)
	for i = 1, 64 do
		requests[i] = wrk.format("GET", i == 1 and "/64k.bin" or args[1])
	end
end
function request()
	n = n % #requests + 1
	return requests[n]
end
LUA

# ---- fetching, as a client would that is cut off now and then ------------------------

escape() {
	local name=$1

	name=${name//%/%25}
	name=${name// /%20}
	name=${name//&/%26}
	printf '%s%s' "$url" "$name"
}

# Until it is whole: 18, 52, 55 and 56 are curl's words for "the connection broke".  With
# "-C -" the next try goes on where the last one was cut off, by a Range.
fetch() {	# FILE STATUS_REGEX CURL_ARGUMENTS...: into $tmp/got
	local try code

	: >"$tmp/got"
	for try in {1..400}; do
		code=$(curl -s --max-time 10 -o "$tmp/got" -w '%{http_code}' "${@:3}" "$(escape "$1")")
		case $? in
		0)
			echo fetched
			[[ $code =~ ^$2$ ]] || echo "wrong status $code for $1"
			return
			;;
		18 | 52 | 55 | 56) echo 'cut off' ;;
		*) echo "wrong exit of curl, $?, for $1, try $try" ;;
		esac
	done
	echo "wrong: $1 could not be fetched at all"
}

fetch_everything() {
	local file size at=12345 len=45678

	while read -r file; do
		fetch "$file" '20[06]' -C -
		cmp -s "$tmp/got" "$site/$file" || echo "wrong bytes: $file"
		size=$(stat -c %s "$site/$file")
		fetch "$file" 200 -I
		grep -qi "^content-length: $size"$'\r' "$tmp/got" || echo "wrong length: $file"
		test "$size" -gt 60000 || continue
		fetch "$file" 206 -r "$at-$((at + len - 1))"
		tail -c +$((at + 1)) "$site/$file" | head -c $len | cmp -s - "$tmp/got" ||
			echo "wrong bytes: a part of $file"
	done < <(cd "$site" && find . -type f -printf '%P\n')
}

# ---- load ------------------------------------------------------------------------------

begin() {
	mkfifo "$tmp/said"
	"$httpd" --chaos "$chaos" --collect-ms "$collect_ms" --stats "$tmp/stats" \
		--seconds $((each * 2 + 60)) "$site" >"$tmp/said" &
	server=$!
	exec 9<"$tmp/said"
	if ! read -r -t 10 url <&9; then
		echo 'demo: the server did not start' >&2
		exit 1
	fi
}

load() {	# CONNECTIONS
	: >"$tmp/fetching"
	while [ -e "$tmp/fetching" ]; do
		fetch_everything
		sleep 0.3	# the load is what is measured
	done >>"$tmp/fetches" &
	fetcher=$!
	timeout $((each + 10)) wrk -t 1 -c "$1" -d "${each}s" --latency -s "$tmp/mix.lua" \
		"$url" -- "/$page" >"$tmp/wrk.$1" 2>&1 || wrong "wrk at $1 connections: exit $?"
	rm "$tmp/fetching"
	wait "$fetcher"
	fetcher=
	! grep -q 'Non-2xx' "$tmp/wrk.$1" || wrong "at $1: $(grep Non-2xx "$tmp/wrk.$1")"
}

end() {
	kill -0 "$server" 2>/dev/null || wrong 'the server was gone before its time'
	kill -TERM "$server" 2>/dev/null
	wait "$server" || wrong "the server's exit code: $?"
	server=
	test -s "$tmp/stats" || { wrong 'no statistics'; exit 1; }
}

# ---- the table -----------------------------------------------------------------------------

value() { sed -n "s/^$1=//p" "$tmp/stats"; }
fetches() { grep -c "^$1" "$tmp/fetches"; }
ms() { awk -v ns="$(value "$1")" 'BEGIN { printf "%.2f ms", ns / 1e6 }'; }
mib() { awk -v b="$(value "$1")" 'BEGIN { printf "%.1f MiB", b / 1048576 }'; }
row() { printf '  %-34s' "$1"; printf '%16s' "${@:2}"; echo; }

# Its report has "Requests/sec: 1234.56", "  99%  7.42ms", "Socket errors: ... read 12, ..."
wrk_value() {	# CONNECTIONS rate|50%|99%|broken
	awk -v want="$2" '
		/^Requests\/sec/ && want == "rate" { printf "%d", $2 }
		$1 == want { print $2 }
		/Socket errors/ { gsub(",", ""); broken = $4 + $6 + $8 + $10 }
		END { if (want == "broken") printf "%d", broken }
	' "$tmp/wrk.$1"
}

load_row() {	# NAME rate|50%|99%|broken
	row "$1" "$(wrk_value 64 "$2")" "$(wrk_value 512 "$2")"
}

must_be() {	# WHAT GOT WANTED
	row "$1" "$2" "$(test "$2" = "$3" && echo ok || echo "NOT $3")"
	test "$2" = "$3" || failed=1
}

table() {
	echo
	row "load, $each s each" '64 connections' '512 connections'
	load_row '  requests/s' rate
	load_row '  latency, p50' 50%
	load_row '  latency, p99' 99%
	load_row '  connections cut off' broken
	row 'meanwhile, with curl' fetched
	row '  whole, compared' "$(fetches fetched)"
	row '  cut off, and went on' "$(fetches 'cut off')"
	row '  not as it should be' "$(fetches wrong)"
	row tasks spawned completed aborted
	row '' "$(value spawned)" "$(value completed)" "$(value aborted)"
	row '  of these by chaos' '' 'in mid-request' 'in all'
	row '' '' "$(value chaos_in_request)" "$(value chaos_aborts)"
	row operations submitted cancelled 'results adopted'
	row '' "$(value ops_submitted)" "$(value cancels)" "$(value adopted_results)"
	row "$(value collections) collections" 'pause, p50' p99 max
	row '' "$(ms pause_p50_ns)" "$(ms pause_p99_ns)" "$(ms pause_max_ns)"
	row heap 'live at most' 'live at the end' 'allocated, ever'
	row '' "$(mib live_max_bytes)" "$(mib live_bytes)" "$(mib allocated_bytes)"
	row 'when the runtime had stopped'
	must_be '  operations outstanding' "$(value ops_outstanding)" 0
	must_be '  bytes pinned' "$(value pinned_bytes)" 0
	must_be '  pins leaked' "$(value leaked_pins)" 0
	must_be '  tasks live' "$(value live)" 0
	must_be '  roots' "$(value roots)" 0
	must_be '  handles open' "$(value handles_open)" 0
	must_be '  handles dropped' "$(value handles_dropped)" 0
	must_be '  handles closed by stop' "$(value handles_closed_by_stop)" 0
	must_be '  descriptors, as before' "$(value fds_after)" "$(value fds_before)"
	echo
}

begin
echo "demo: $url, $(find "$site" -type f | wc -l) files; $chaos connections a second are aborted,"
echo "      garbage is collected every $collect_ms ms; this takes $((each * 2 + 2)) s"
load 64
load 512
fetch_everything >>"$tmp/fetches"
end
table

if grep -q '^wrong' "$tmp/fetches"; then
	grep '^wrong' "$tmp/fetches" | sort | uniq -c
	failed=1
fi
test "$(fetches fetched)" -gt 0 || wrong 'nothing was fetched'
test "$(value chaos_aborts)" -gt $((chaos * each)) || wrong 'too few aborts'
test "$(value aborted)" -gt 0 || wrong 'no task was aborted'
test "$(value collections)" -gt 0 || wrong 'no collections'
if [ $failed -eq 0 ]; then
	echo 'demo: all as it should be'
else
	echo 'demo: FAILED'
fi
exit $failed
