#!/usr/bin/env bash
# names.sh SHARED STATIC: what the shared library exports, and what the archive would
# share a namespace with in a user's program, is called xyl_ or xyli_.
set -eu

exported=$(nm -D --defined-only --format=posix "$1" | cut -d' ' -f1)
global=$(nm -g --defined-only --format=posix "$2" | awk 'NF > 1 { print $1 }')
if [ -z "$exported" ]; then
	echo "$1 exports nothing"
	exit 1
fi
if printf '%s\n' "$exported" "$global" | grep -vE '^xyli?_'; then
	echo '  ^ global, but not called xyl_ or xyli_'
	exit 1
fi
