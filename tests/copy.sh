#!/usr/bin/env bash
# copy.sh COPY: the example copies files of awkward sizes, and refuses what it must.
set -u
copy=$1
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
failed=0

wrong() {
	echo "FAILED: $*"
	failed=1
}

block=$((128 * 1024))
for size in 0 1 $((block - 1)) $block $((block + 1)) $((32 * block)) $((33 * block + 7)); do
	head -c "$size" /dev/urandom >"$tmp/from"
	head -c 5000000 /dev/zero >"$tmp/to"	# longer than most: it must be cut
	"$copy" "$tmp/from" "$tmp/to" >/dev/null || wrong "$size bytes: exit code $?"
	cmp "$tmp/from" "$tmp/to" || wrong "$size bytes: they differ"
done

refused() {	# ARGUMENTS...
	! "$copy" "$@" >/dev/null 2>&1 || wrong "accepted: copy $*"
}
ln "$tmp/from" "$tmp/same"
refused "$tmp/from" "$tmp/same"
cmp "$tmp/from" "$tmp/to" || wrong 'the source was harmed'
refused "$tmp/nothing" "$tmp/to"
cmp "$tmp/from" "$tmp/to" || wrong 'the target was harmed'
refused "$tmp/from" "$tmp/no/such/folder"
refused "$tmp" "$tmp/to"
refused /dev/zero "$tmp/to"
refused "$tmp/from"
exit $failed
