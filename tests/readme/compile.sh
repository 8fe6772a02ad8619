#!/usr/bin/env bash
# compile.sh PAGE CC [FLAGS...]: CC has nothing to say about any C in PAGE: each ```c
# block of a .md file, each .EX of a man page.  What includes nothing gets the includes
# below.  Exits 77, skipped, if PAGE holds no C.
set -eu
page=$1
compile=("${@:2}")

temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT

cat >"$temp/prelude.h" <<'EOT'
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xylem/xylem.h>
EOT

# One file a block, whose lines are numbered as they are in the page.
awk -v temp="$temp" -v page="$page" '
	page ~ /\.md$/ ? /^```c$/ : /^\.EX/ {
		file = sprintf("%s/%03d.c", temp, ++n)
		printf "#line %d \"%s\"\n", NR + 1, page >file
		next
	}
	page ~ /\.md$/ ? /^```$/ : /^\.EE/ { file = "" }
	file {
		if (page !~ /\.md$/) {
			gsub(/\\-/, "-")
			gsub(/\\\(aq/, "\047")
			gsub(/\\&/, "")
			gsub(/\\e/, "\\")
		}
		print >file
	}' "$page"

failed=0
for file in "$temp"/*.c; do
	test -e "$file" || { echo "skipped: no C in $page"; exit 77; }
	with=()
	grep -q '^#include' "$file" || with=(-include "$temp/prelude.h")
	"${compile[@]}" "${with[@]}" -c -o /dev/null "$file" || failed=1
done
exit $failed
