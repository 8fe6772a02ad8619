#!/usr/bin/env bash
# floors.sh PROJECT_DIR: a file includes its own floor and those below it, by their
# full names; <gc.h> is for gc/ alone, <liburing.h> for rt/; a file is named after
# its noun.
set -eu
cd "$1"

floors=(gc roots rt spawn sync io stream)	# from the bottom up
failed=0

refuse() {	# WHY GREP_ARGUMENTS...: nothing may match
	if grep -rnE --include='*.[ch]' "${@:2}"; then
		echo "  ^ $1"
		failed=1
	fi
}

above=("${floors[@]}")
for floor in "${floors[@]}"; do
	above=("${above[@]:1}")
	for upper in "${above[@]}"; do
		refuse "$floor/ is below $upper/" "^ *# *include +\"$upper/" "$floor"
	done
	test "$floor" = gc ||
		refuse 'only gc/ talks to the collector' '^ *# *include +<gc(/.*)?\.h>' "$floor"
	test "$floor" = rt ||
		refuse 'only rt/ talks to the ring' '^ *# *include +<liburing' "$floor"
	refuse 'say which floor it is on' '^ *# *include +"[^/]*"' "$floor"
done

if [ -e gc/gc.h ]; then
	echo 'gc/gc.h would shadow the one that <gc.h> includes'
	failed=1
fi
if find "${floors[@]}" include tests bench examples |
	grep -E '/[^/]*(util|common|misc|helper|manager)[^/]*$'; then
	echo '  ^ a name that is no noun of ours'
	failed=1
fi
exit $failed
