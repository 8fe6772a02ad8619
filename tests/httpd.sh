#!/usr/bin/env bash
# httpd.sh HTTPD: what the example web server answers, and that it stops clean.
# Exits 77, skipped, without curl.
set -u
httpd=$1

command -v curl >/dev/null || { echo 'skipped: no curl'; exit 77; }

# ---- a site, with something beside it that must stay unseen -------------------

tmp=$(mktemp -d)
server=
cleanup() {
	test -z "$server" || kill -KILL "$server" 2>/dev/null
	rm -rf "$tmp"
}
trap cleanup EXIT

site=$tmp/site
mkdir -p "$site/sub/empty" "$site/index" "$site/readme"
echo 'SECRET' >"$tmp/secret"
printf 'hello, world\n' >"$site/hello.txt"
: >"$site/zero"
printf x >"$site/one"
head -c 65536 /dev/urandom >"$site/64k.bin"
head -c 1500000 /dev/urandom >"$site/big.bin"
printf 'spaced\n' >"$site/a b%c.txt"
printf '<p>index\n' >"$site/index/index.html"
printf '# readme\n' >"$site/readme/README.md"
ln -s hello.txt "$site/inside"
ln -s ../hello.txt "$site/sub/up"
ln -s ../secret "$site/outside"
ln -s "$tmp/secret" "$site/absolute"
ln -s .. "$site/sub/out"
ln -s loop "$site/loop"
mkfifo "$site/fifo"

# ---- the server ----------------------------------------------------------------

idle_ms=600
mkfifo "$tmp/said"
"$httpd" --idle-ms $idle_ms --seconds 50 --stats "$tmp/stats" "$site" >"$tmp/said" &
server=$!
exec 9<"$tmp/said"
if ! read -r -t 10 url <&9; then
	echo 'the server did not start'
	exit 1
fi
port=${url##*:}
port=${port%/}

# ---- how to ask and compare -----------------------------------------------------

failed=0
checked=0

expect() {	# WHAT GOT WANTED
	checked=$((checked + 1))
	if [ "$2" != "$3" ]; then
		echo "FAILED: $1: got '$2', wanted '$3'"
		failed=1
	fi
}

raw() {	# TEXT...: send each as one segment, print all that comes back until the end
	local text

	exec 3<>"/dev/tcp/127.0.0.1/$port" || return
	for text; do
		printf '%b' "$text" >&3
		test $# -eq 1 || sleep 0.05
	done
	timeout 5 cat <&3
	exec 3<&- 3>&-
}

status() {	# TEXT...: the status of the first answer to it
	raw "$@" | head -n 1 | cut -d' ' -f2
}

get() {	# TARGET [HEADER LINES]: a request that closes its connection
	printf '%s' "GET $1 HTTP/1.1\r\nHost: t\r\nConnection: close\r\n${2-}\r\n"
}

field() {	# NAME: of the first head on stdin
	tr -d '\r' | sed -n "1,/^\$/s/^$1: //ip" | head -n 1
}

# ---- files ---------------------------------------------------------------------

for file in hello.txt zero one 64k.bin big.bin 'a b%c.txt'; do
	name=${file//%/%25}
	name=${name// /%20}
	curl -s "$url$name" -o "$tmp/got"
	cmp -s "$tmp/got" "$site/$file"
	expect "the bytes of $file" $? 0
	expect "the length of $file" "$(curl -sI "$url$name" | field Content-Length)" \
		"$(stat -c %s "$site/$file")"
done
expect 'a type' "$(curl -sI "${url}hello.txt" | field Content-Type)" 'text/plain; charset=utf-8'
expect 'the date of a file' "$(curl -sI "${url}hello.txt" | field Last-Modified)" \
	"$(LC_ALL=C date -u -r "$site/hello.txt" '+%a, %d %b %Y %H:%M:%S GMT')"
expect 'a directory with an index' "$(curl -s "${url}index/")" '<p>index'
expect 'a directory without its slash' "$(curl -s "${url}index")" '<p>index'
expect 'a directory with a readme' "$(curl -s "${url}readme/")" '# readme'
expect 'a directory without either' "$(status "$(get /sub/empty/)")" 404
expect 'the served directory itself' "$(status "$(get /)")" 404
expect 'no such file' "$(status "$(get /nothing)")" 404
expect 'a file as a directory' "$(status "$(get /hello.txt/x)")" 404
expect 'a FIFO' "$(status "$(get /fifo)")" 404
expect 'a query' "$(curl -s "${url}hello.txt?a=b/../c")" 'hello, world'
expect 'an absolute URL' "$(status "$(get http://elsewhere/hello.txt)")" 200

# ---- leaving the directory --------------------------------------------------------

for path in /../secret /sub/../../secret /%2e%2e/secret /%2E%2e%2fsecret /..%2fsecret \
	/sub/%2e%2e/%2e%2e/secret /%252e%252e/secret /outside /absolute /sub/out/../secret \
	/sub/out/out/secret "//..//secret" "/$tmp/secret" /etc/passwd //etc/passwd /loop \
	/proc/self/root/etc/passwd; do
	answer=$(raw "$(get "$path")" | tr -d '\0')
	expect "status of $path" "$(head -n 1 <<<"$answer" | cut -d' ' -f2)" 404
	case $answer in
	*SECRET* | *root:*) expect "$path" leaked kept ;;
	esac
done
expect 'a link that stays inside' "$(curl -s "${url}inside")" 'hello, world'
expect 'a link up that stays inside' "$(curl -s "${url}sub/up")" 'hello, world'
expect 'up and down again' "$(status "$(get /sub/../hello.txt)")" 200
expect 'a path that is no path' "$(status "$(get hello.txt)")" 400
expect 'a bad escape' "$(status "$(get /%zz)")" 400
expect 'half an escape' "$(status "$(get /hello.txt%4)")" 400
expect 'an escaped zero' "$(status "$(get /hello.txt%00.html)")" 400

# ---- ranges and dates -----------------------------------------------------------------

range() {	# RANGE: status, Content-Range and the bytes
	local answer

	answer=$(raw "$(get /hello.txt "Range: $1\r\n")" | tr -d '\r')
	printf '%s|%s|%s' "$(head -n 1 <<<"$answer" | cut -d' ' -f2)" \
		"$(field Content-Range <<<"$answer")" "$(sed '1,/^$/d' <<<"$answer")"
}
expect 'first to last' "$(range bytes=0-4)" '206|bytes 0-4/13|hello'
expect 'in the middle' "$(range bytes=7-11)" '206|bytes 7-11/13|world'
expect 'to the end' "$(range bytes=7-)" '206|bytes 7-12/13|world'
expect 'the last ones' "$(range bytes=-6)" '206|bytes 7-12/13|world'
expect 'more than there is' "$(range bytes=-99)" '206|bytes 0-12/13|hello, world'
expect 'past the end' "$(range bytes=7-99999999999999999999)" '206|bytes 7-12/13|world'
expect 'beyond the end' "$(range bytes=13-)" '416|bytes */13|416 Range Not Satisfiable'
expect 'none at all' "$(range bytes=-0)" '416|bytes */13|416 Range Not Satisfiable'
expect 'the wrong way round' "$(range bytes=4-0)" '200||hello, world'
expect 'several' "$(range bytes=0-1,3-4)" '200||hello, world'
expect 'another unit' "$(range lines=0-1)" '200||hello, world'
expect 'no number' "$(range bytes=-)" '200||hello, world'
expect 'a range of nothing' "$(status "$(get /zero 'Range: bytes=0-\r\n')")" 416
curl -s -r 1000000-1400000 "${url}big.bin" -o "$tmp/got"
tail -c +1000001 "$site/big.bin" | head -c 400001 | cmp -s - "$tmp/got"
expect 'the bytes of a long range' $? 0

modified=$(curl -sI "${url}hello.txt" | field Last-Modified)
since() { status "$(get /hello.txt "If-Modified-Since: $1\r\n")"; }
expect 'unchanged' "$(since "$modified")" 304
expect 'changed since' "$(since 'Sat, 01 Jan 2000 00:00:00 GMT')" 200
expect 'since no date' "$(since yesterday)" 200
expect '304 has no body' "$(curl -s -o /dev/null -w '%{http_code} %{size_download}' \
	-H "If-Modified-Since: $modified" "${url}hello.txt")" '304 0'
expect 'a range if unchanged' \
	"$(status "$(get /hello.txt "If-Range: $modified\r\nRange: bytes=0-1\r\n")")" 206
expect 'a range if it had not changed' "$(status "$(get /hello.txt \
	'If-Range: Sat, 01 Jan 2000 00:00:00 GMT\r\nRange: bytes=0-1\r\n')")" 200

# ---- methods, bodies, bad requests --------------------------------------------------------

h='Host: t\r\n'
expect 'HEAD has no body' "$(raw "HEAD /hello.txt HTTP/1.1\r\n${h}Connection: close\r\n\r\n" |
	tr -d '\r' | sed '1,/^$/d' | wc -c)" 0
expect 'HEAD of nothing has no body' "$(raw "HEAD /no HTTP/1.1\r\n${h}Connection: close\r\n\r\n" |
	tr -d '\r' | sed '1,/^$/d' | wc -c)" 0
for method in POST PUT DELETE OPTIONS TRACE CONNECT; do
	target=/hello.txt
	test $method != CONNECT || target=t:80
	expect $method "$(status "$method $target HTTP/1.1\r\n${h}Connection: close\r\n\r\n")" 405
done
expect 'what is allowed' "$(curl -s -o /dev/null -D - -d x "$url" | field Allow)" 'GET, HEAD'
body() { printf '%s' "POST / HTTP/1.1\r\n${h}Content-Length: $1\r\n\r\n"; }
expect 'a body announced too long' "$(status "$(body 65537)")" 413
expect 'chunks too long' "$(head -c 200000 /dev/zero | curl -s -o /dev/null -w '%{http_code}' \
	-H 'Expect:' -H 'Transfer-Encoding: chunked' -T - "$url")" 413
expect 'a long body is not awaited' "$(head -c 3000000 /dev/zero | curl -s -o /dev/null \
	-w '%{http_code}' -H 'Expect:' --data-binary @- "$url")" 413
expect 'a body not yet sent' "$(status "POST / HTTP/1.1\r\n${h}Content-Length: 9\r\n\
Expect: 100-continue\r\n\r\n")" 417
expect 'no HTTP' "$(status 'hello\r\n\r\n')" 400
expect 'a bad header' "$(status "GET / HTTP/1.1\r\n${h}no colon\r\n\r\n")" 400
expect 'no host' "$(status 'GET /hello.txt HTTP/1.1\r\n\r\n')" 400
expect 'two hosts' "$(status "GET /hello.txt HTTP/1.1\r\n$h$h\r\n")" 400
expect 'two lengths of a body' "$(status "POST / HTTP/1.1\r\n${h}Content-Length: 3\r\n\
Transfer-Encoding: chunked\r\n\r\n")" 400
expect 'HTTP/1.0' "$(status 'GET /hello.txt HTTP/1.0\r\n\r\n')" 200
expect 'HTTP/2.0' "$(status "GET /hello.txt HTTP/2.0\r\n$h\r\n")" 505
long=$(printf '%09000d' 0)
expect 'a head too long' "$(status "GET / HTTP/1.1\r\n${h}X: $long\r\n\r\n")" 431
expect 'a URL too long' "$(status "GET /${long:0:4000} HTTP/1.1\r\n$h\r\n")" 414

# ---- one connection, many requests -----------------------------------------------------------

expect 'two requests, one connection' "$(curl -s -o /dev/null -o /dev/null \
	-w '%{num_connects}' "${url}hello.txt" "${url}one")" 10
next="$(get /one)"
two() { raw "$@" | tr -d '\r' | grep -ac '^HTTP/1.1 200'; }
expect 'two requests in one segment' "$(two "GET /hello.txt HTTP/1.1\r\n$h\r\n$next")" 2
expect 'in their order' "$(raw "GET /hello.txt HTTP/1.1\r\n$h\r\n$next" | tail -n 1 | tail -c 1)" x
expect 'one and a half, and the rest' \
	"$(two "GET /hello.txt HTTP/1.1\r\n$h\r\n${next:0:9}" "${next:9}")" 2
expect 'a request letter by letter' \
	"$(two "GET /hello.txt HT" 'T' 'P/1.' "1\r" "\nHo" 'st: ' "t\r\n\r" "\n" "$next")" 2
statuses() { raw "$@" | tr -d '\r' | sed -n 's/^HTTP[^ ]* \([0-9]*\).*/\1/p' | tr '\n' ' '; }
expect 'a body, then a request' "$(statuses "$(body 5)hello$next")" '405 200 '
expect 'chunks, then a request' "$(statuses "POST / HTTP/1.1\r\n${h}Transfer-Encoding: chunked\r\n\r\n\
5\r\nhello\r\n0\r\n\r\n$next")" '405 200 '
expect 'big and small, in one segment' "$(raw "GET /big.bin HTTP/1.1\r\n$h\r\n$next" | tail -c 1)" x

# ---- time ---------------------------------------------------------------------------------

now_ms() { date +%s%3N; }
began=$(now_ms)
expect 'an idle connection is told nothing' "$(raw '')" ''
took=$(($(now_ms) - began))
expect 'and closed when its time has passed' $((took >= idle_ms && took < idle_ms + 1500)) 1
expect 'half a request' "$(status "GET /hello.txt HTTP/1.1\r\n")" 408
began=$(now_ms)
expect 'a byte now and then' "$(status G E T ' ' / h e l l o . t x t ' ' H T T P)" 408

# ---- the end ----------------------------------------------------------------------------------

exec 3<>"/dev/tcp/127.0.0.1/$port"	# a connection that is open then
printf 'GET /big.bin HTTP/1.1\r\nHost: t\r\n\r\n' >&3
kill -TERM "$server"
wait "$server"
expect 'the exit code' $? 0
server=
exec 3<&- 3>&-
value() { sed -n "s/^$1=//p" "$tmp/stats"; }
for name in live ops_outstanding pinned_bytes leaked_pins handles_open handles_dropped \
	handles_closed_by_stop roots; do
	expect "$name at the end" "$(value $name)" 0
done
expect 'descriptors at the end' "$(value fds_after)" "$(value fds_before)"

echo "$checked checks"
exit $failed
