#!/bin/sh
# SPDX-License-Identifier: MIT
#
# peers.sh BUILD_DIR [NAME...] - ask Xylem, Go and tokio the same questions, on one processor
# each, in turn and several times in one run, and print one table of medians.  The ratio is
# the better peer's figure by Xylem's, measured in the same round: 2.0 is twice as fast, or
# half the CPU time.  A peer that is not installed is left out.
#
# ROUNDS says how often (5).  The peers are built in BUILD_DIR/../peers.
set -eu

rounds=${ROUNDS:-5}
build=$(realpath "${1:?usage: peers.sh BUILD_DIR [NAME...]}")
shift
test $# -gt 0 || set -- yield spawn abort channel select token sleeps

here=$(realpath "$(dirname "$0")")/peers
peers=$(dirname "$build")/peers
TMPDIR=$(mktemp -d)
export TMPDIR
trap 'rm -rf "$TMPDIR"' EXIT
trap 'exit 130' INT TERM

# ---- the peers, as Debian packages them ----------------------------------------

PATH=/usr/bin:$PATH

go_build() {
	cd "$here/go" &&
		GOCACHE=$peers/go/cache GOFLAGS=-buildvcs=false go build -o "$peers/go/peer" .
}

tokio_build() {
	cd "$here/tokio" &&
		CARGO_HOME=$peers/tokio/home cargo build -q --release --offline --target-dir "$peers/tokio" &&
		cp "$peers/tokio/release/peer" "$peers/tokio/peer"
}

sides=xylem
for peer in go tokio; do
	if ("${peer}_build") >"$TMPDIR/log" 2>&1; then
		sides="$sides $peer"
	else
		echo "peers.sh: $peer is left out: $(head -n 1 "$TMPDIR/log")" >&2
	fi
done

# ---- the runs -----------------------------------------------------------------------

ask() {	# SIDE NAME
	case $1 in
	xylem) set -- "$build/bench/$2" --round ;;
	*) set -- "$peers/$1/peer" "$2" ;;
	esac
	timeout 120 taskset -c "$cpu" "$@"
}

cpu=$(($(nproc) - 1))
failed=
for name; do
	for round in $(seq "$rounds"); do
		for side in $sides; do
			ask "$side" "$name" >"$TMPDIR/out" || failed="$failed $side:$name"
			awk -v side="$side" -v round="$round" \
				'{ print side "\t" round "\t" $0 }' "$TMPDIR/out" >>"$TMPDIR/figures"
		done
	done
done

# ---- the table ----------------------------------------------------------------------

awk -F '\t' -v sides="$sides" -v rounds="$rounds" '
function median(values, n,   i, j, v) {
	for (i = 2; i <= n; i++) {
		v = values[i]
		for (j = i - 1; j > 0 && values[j] > v; j--)
			values[j + 1] = values[j]
		values[j + 1] = v
	}
	return (values[int((n + 1) / 2)] + values[int(n / 2) + 1]) / 2
}
function text(question, side,   round, values, n) {
	for (round = 1; round <= rounds; round++)
		if ((side, question, round) in figure)
			values[++n] = figure[side, question, round]
	return n ? sprintf("%.*f %s", median(values, n) < 1000, median(values, n), unit[question]) : "-"
}
function ahead(question, side, round,   other) {
	other = figure[side, question, round]
	if (other == "" || figure["xylem", question, round] == 0)
		return 0
	other /= figure["xylem", question, round]
	return unit[question] == "M/s" ? 1 / other : other
}
function ratio(question,   round, values, n, s, least, times) {
	for (round = 1; round <= rounds; round++) {
		least = 0
		for (s = 2; s <= nsides; s++) {
			times = ahead(question, side[s], round)
			if (times > 0 && (least == 0 || times < least))
				least = times
		}
		if (least > 0)
			values[++n] = least
	}
	return n ? sprintf("%.2f", median(values, n)) : ""
}
function row(first, middle, last,   s) {
	printf "%-38s", first
	for (s = 1; s <= nsides; s++)
		printf " %12s", middle[s]
	printf "   %s\n", last
}
{
	split($4, parts, " ")
	figure[$1, $3, $2] = parts[1]
	unit[$3] = parts[2]
	if (!seen[$3]++)
		questions[++nquestions] = $3
	if ($1 != "xylem")
		has_peer[$3] = 1
}
END {
	nsides = split(sides, side, " ")
	split("Xylem", head, " ")
	for (s = 2; s <= nsides; s++)
		head[s] = side[s] == "go" ? "Go" : side[s]
	row("question", head, "ratio")
	for (q = 1; q <= nquestions; q++) {
		if (nsides > 1 && !has_peer[questions[q]])
			continue
		for (s = 1; s <= nsides; s++)
			cell[s] = text(questions[q], side[s])
		row(questions[q], cell, ratio(questions[q]))
	}
}' "$TMPDIR/figures"
echo "medians of $rounds rounds in turn; ratio: how many times as fast as the better peer"
test -z "$failed" || { echo "failed:$failed" >&2; exit 1; }
