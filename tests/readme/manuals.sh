#!/usr/bin/env bash
# manuals.sh README PAGE...: groff has nothing to say about any; README links to each; and
# where one says SEE ALSO, so does the other.  Exits 77, skipped, without groff.
set -eu
readme=$1
shift
failed=0

complain() {
	echo "$1"
	failed=1
}

for page; do
	name=$(basename "$page" .7)
	grep -q "](man/$name.7)" "$readme" || complain "README.md does not link to $name"
	while read -r other; do
		grep -q "^\.BR $name (7)" "${page%/*}/$other.7" ||
			complain "$name says SEE ALSO $other, which does not in turn"
	done < <(sed '1,/^\.SH SEE ALSO/d' "$page" | grep -o 'xylem_[a-z]*')
done
test "$failed" -eq 0 || exit 1

command -v groff >/dev/null || { echo 'skipped: no groff'; exit 77; }
said=$(groff -man -Tutf8 -ww -z "$@" 2>&1)
test -z "$said" || { echo "$said"; exit 1; }
