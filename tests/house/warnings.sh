#!/usr/bin/env bash
# warnings.sh PROJECT_DIR CC [FLAGS...]: CC has nothing to say about any of our
# sources, nor about a header that is compiled alone, and twice.
set -eu
cd "$1"
compile=("${@:2}" -fsyntax-only)

failed=0
for file in include/xylem/*.h {gc,roots,rt,spawn,sync,io,stream}/*.[ch]; do
	case $file in
	*'*'*) continue ;;	# a floor without files
	*.h) "${compile[@]}" -x c -include "$file" "$file" || failed=1 ;;
	*.c) "${compile[@]}" "$file" || failed=1 ;;
	esac
done
exit $failed
