#!/usr/bin/env bash
# broken.sh TOOL PROGRAM SOURCE: the tool must report the program, in the words that the
# source gives on the line " * TOOL: " of its first comment.
set -u
tool=$1 program=$2
here=$(dirname "$(readlink -f "$0")")
words=$(sed -n "s/^ \* $tool: //p" "$3")

case $tool in
memcheck)
	launcher="valgrind --fair-sched=yes --error-exitcode=9 --num-callers=20 --leak-check=full
		--errors-for-leak-kinds=definite --suppressions=$here/memcheck.supp"
	;;
helgrind)
	launcher="valgrind --tool=helgrind --fair-sched=yes --error-exitcode=9
		--suppressions=$here/helgrind.supp"
	;;
*) launcher= ;;
esac
case $launcher in
valgrind*) command -v valgrind >/dev/null || { echo 'skipped: no valgrind'; exit 77; } ;;
esac

# shellcheck disable=SC2086
output=$(ulimit -c 0; GC_MARKERS=1 XYL_CHECK_COLLECT=turn timeout 50 $launcher "$program" 2>&1)
code=$?
echo "$output"
output+=$'\n'"exit code $code"
echo "exit code $code, expected words: $words"
[ $code -ne 0 ] && [ $code -ne 124 ] && grep -Eq -- "$words" <<<"$output"
