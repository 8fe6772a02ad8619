#!/usr/bin/env bash
# pipeline.sh PIPELINE: the example prints what wc(1) prints, also of what cannot be read.
set -u
pipeline=$1
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
failed=0
export LC_ALL=C
cd "$tmp" || exit 1

same() {	# ARGUMENTS...: output, errors and exit code
	local expected actual

	wc "$@" <some >expected 2>expected.errors
	expected=$?
	"$pipeline" "$@" <some >actual 2>actual.errors
	actual=$?
	sed -i 's/^wc: /pipeline: /' expected.errors
	diff expected actual && diff expected.errors actual.errors && test $expected = $actual &&
		return
	echo "FAILED: pipeline $*: exit code $actual, of wc $expected"
	failed=1
}

: >empty
printf '\nno newline' >short
printf ' a\tb\vc\fd\re\n\n\n  two words \n' >some
seq 1 100000 >long
head -c 65536 /dev/zero | tr '\0' x >block
mkdir folder files
for i in $(seq 1 300); do
	seq 1 $((i * 7)) >"files/$i"
done

same empty
same short
same some
same long block
same
same - short
same files/*
same empty nothing short
same nothing
same short folder long
same files/* nothing files/1 folder
(ulimit -n 40 && same files/* && exit $failed) || failed=1
if "$pipeline" long >/dev/full 2>errors; then
	echo 'FAILED: a full disk is no failure'
	failed=1
fi
exit $failed
