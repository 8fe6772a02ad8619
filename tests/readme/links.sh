#!/usr/bin/env bash
# links.sh PROJECT_DIR PAGE...: each file that a page links to is there.
set -eu
cd "$1"
failed=0
for page in "${@:2}"; do
	while read -r target; do
		test -e "$(dirname "$page")/$target" || { echo "$page: no $target"; failed=1; }
	done < <(grep -oE '\]\([^)#:]+' "$page" | cut -c3-)
done
exit $failed
