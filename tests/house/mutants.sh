#!/usr/bin/env bash
# mutants.sh PROJECT_DIR: each mutant still applies and names a test that is there, each
# rule is broken at least twice, and docs/mutants.md says so.
set -eu
cd "$1"
failed=0

miri-equivalent/mutants.sh --look || failed=1
for rule in L{1..12}; do
	if [ "$(grep -lx "rule: *$rule" miri-equivalent/mutants/*.mutant | wc -l)" -lt 2 ]; then
		echo "$rule is hardly ever broken"
		failed=1
	fi
done
if ! diff <(miri-equivalent/mutants.sh --table) docs/mutants.md; then
	echo 'docs/mutants.md is out of date: miri-equivalent/mutants.sh --table >docs/mutants.md'
	failed=1
fi
exit $failed
