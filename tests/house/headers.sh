#!/usr/bin/env bash
# headers.sh PROJECT_DIR CC [FLAGS...]: each header compiles alone, and twice.
set -eu
cd "$1"

failed=0
for header in include/xylem/*.h gc/*.h roots/*.h rt/*.h spawn/*.h sync/*.h io/*.h; do
	test -e "$header" || continue
	"${@:2}" -fsyntax-only -x c -include "$header" "$header" || failed=1
done
exit $failed
