#!/usr/bin/env bash
# Breaks the rules L1 to L12, one at a time, and shows that a test fails for each.
#
#	mutants.sh [NAME...]	build, break, run; one line for each mutant
#	mutants.sh --table	docs/mutants.md
#	mutants.sh --look	does each still apply, and is there the test that it names
#
# A mutant is a file in mutants/: fields, an empty line, and what it changes:
#
#	rule:    L3
#	wrong:   what is broken, in one clause
#	file:    rt/life.h
#	compile: the sources that are to see it; not given: the file itself
#	build:   dev, or check: collects exactly, in every turn
#	caught:  PROGRAM.TEST..., the likeliest first
#
#	-a line that goes
#	+a line that comes
#
# The lines of the source (" " and "-") must be there exactly once; "@@" begins another
# place.  A mutant that no longer applies is an error: what it broke has moved.
#
# The source tree is left alone.  Two plain builds stand under build/mutants/; a mutant is
# compiled beside them, and linked before the library, whose own object then stays out.
set -uo pipefail
cd "$(dirname "$(readlink -f "$0")")/.." || exit 2
mutants=miri-equivalent/mutants
out=$PWD/build/mutants
patience=15	# seconds for a mutant; most that hang are given up by the test itself, after 10

# ---- reading one ----------------------------------------------------------------

mutant_read() {	# NAME: its fields
	local key value path=$mutants/$1.mutant

	rule='' wrong='' file='' compile='' build='' caught=''
	test -e "$path" || { echo "$1: there is no such mutant"; return 1; }
	while IFS=: read -r key value && [ -n "$key" ]; do
		value=${value#"${value%%[![:space:]]*}"}
		case $key in
		rule | wrong | file | compile | build | caught) printf -v "$key" %s "$value" ;;
		*) echo "$1: no field is called $key"; return 1 ;;
		esac
	done <"$path"
	compile=${compile:-$file}
	[ -n "$rule" ] && [ -n "$wrong" ] && [ -e "$file" ] && [ -n "$build" ] && [ -n "$caught" ] &&
		return
	echo "$1: a field is missing, or the file is not there"
	return 1
}

change_make() {	# old, new: in text, exactly once
	local before after

	before=${text%%"$old"*}
	after=$'\n'${text#*"$old"}
	if [ "$before" = "$text" ] || [ -z "$old" ]; then
		echo "does not apply: not found in $file:$old"
		return 1
	fi
	if [[ $after == *"$old"* ]]; then
		echo "does not apply: found more than once in $file:$old"
		return 1
	fi
	text=$before$new${after#$'\n'}
	old=$'\n' new=$'\n'
}

mutant_apply() {	# NAME: the file as it is to be, in text
	local line old=$'\n' new=$'\n'

	text=$'\n'$(<"$file")$'\n'
	while IFS= read -r line; do
		case $line in
		-*) old+=${line#-}$'\n' ;;
		+*) new+=${line#+}$'\n' ;;
		' '*) old+=${line# }$'\n' new+=${line# }$'\n' ;;
		@@) change_make || return ;;
		*) echo "neither -, + nor space: $line"; return 1 ;;
		esac
	done < <(sed '1,/^$/d' "$mutants/$1.mutant")
	change_make || return
	text=${text#$'\n'}
}

# ---- the table ------------------------------------------------------------------

names() {	# by rule, then by name
	local name

	for name in "$mutants"/*.mutant; do
		name=$(basename "$name" .mutant)
		mutant_read "$name" >&2 || return
		printf '%s %s\n' "${rule#L}" "$name"
	done | sort -k1,1n -k2 | cut -d' ' -f2
}

table() {
	local name

	cat <<-'EOT'
	# Mutants

	Each rule of the [lifetimes](../DESIGN.md#6-lifetimes), L1 to L12, broken in the source in one place at a
	time, as it might well be by mistake; and a test that fails for it.  `./dev check mutants` does so, in the plain
	build (`dev`) or in the check build with an exact collection in every turn (`check`); `./dev check mutants NAME...`
	does it for those alone.  A mutant that no test catches, or that no longer applies to the source, is an error.

	This page is made by `miri-equivalent/mutants.sh --table`, of the files in `miri-equivalent/mutants/`.

	| rule | mutant | what is wrong | where | build | caught by |
	|---|---|---|---|---|---|
	EOT
	for name in $(names); do
		mutant_read "$name" || return
		printf '| %s | `%s` | %s | `%s` | %s | `%s` |\n' "$rule" "$name" "$wrong" "$file" \
			"$build" "${caught// /\`, \`}"
	done
}

look_at() {	# NAME
	local test

	mutant_read "$1" || return
	mutant_apply "$1" | sed "s/^/$1: /"
	[ "${PIPESTATUS[0]}" -eq 0 ] || return
	for test in $caught; do
		grep -q "^TEST(${test#*.})" "tests/${test%%.*}.c" && continue
		echo "$1: there is no test $test"
		return 1
	done
}

look() {
	local name failed=0

	for name in $(names); do
		look_at "$name" || failed=1
	done
	return $failed
}

# ---- the two builds ---------------------------------------------------------------

programs() {	# BUILD NAME...: the test programs that the mutants name
	local want=$1 name test

	shift
	for name; do
		mutant_read "$name" >&2 || return
		[ "$build" = "$want" ] || continue
		for test in $caught; do
			echo "tests/${test%%.*}"
		done
	done | sort -u
}

build_plain() {	# BUILD PROGRAM...
	local tree=$out/$1 preset=$1

	shift
	[ $# -gt 0 ] || return 0
	if ! { cmake --preset "$preset" -B "$tree" -DXYLEM_BUILD_BENCH=OFF \
			-DXYLEM_BUILD_EXAMPLES=OFF && ninja -C "$tree" "$@" &&
			ninja -C "$tree" -t commands "$@" >"$tree/commands"; } >"$tree.log" 2>&1; then
		tail -n 40 "$tree.log"
		echo "does not build, see $tree.log"
		return 1
	fi
}

run_test() {	# SECONDS PROGRAM TEST: as ctest would, and no core
	(
		ulimit -c 0
		export GC_MARKERS=1
		[ "$build" != check ] || export XYL_CHECK_COLLECT=turn
		exec timeout -k 1 "$1" "$2" "$3"
	) 2>&1
}

# ---- one mutant ---------------------------------------------------------------------

object_make() {	# SOURCE: as the build compiles it, but with the mutant's files first
	local source=$1 command from=$PWD/$1

	[ ! -e "$work/$source" ] || from=$work/$source
	command=$(grep -F -- " -c $PWD/$source" "$out/$build/commands" | grep -- "/$source\$")
	[ -n "$command" ] || { echo "the $build build does not compile $source"; return 1; }
	command=${command%% -MD *}
	objects+=" $work/${source//\//_}.o"
	eval "${command%% *} -iquote $work ${command#* } -w -o $work/${source//\//_}.o -c $from"
}

program_link() {	# PROGRAM
	local link own

	link=$(grep -F -- " -o tests/$1 " "$out/$build/commands")
	own=tests/CMakeFiles/test_$1.dir/$1.c.o
	[ ! -e "$work/tests_$1.c.o" ] || link=${link/ "$own" / }
	(cd "$out/$build" && eval "${link/ -o tests\/"$1" /$objects -o "$work/$1.test" }")
}

mutant_make() {	# NAME
	local source objects=''

	mkdir -p "$work/$(dirname "$file")"
	printf '%s' "$text" >"$work/$file"
	for source in $compile; do
		object_make "$source" || return
	done
	for source in $(tr ' ' '\n' <<<"$caught" | cut -d. -f1 | sort -u); do
		program_link "$source" || return
	done
}

mutant_run() {	# The first test that fails
	local test code skipped=''

	for test in $caught; do
		run_test 60 "$out/$build/tests/${test%%.*}" "${test#*.}" >"$work/plain.log"
		case $? in
		0) ;;
		77) skipped+=" $test"; continue ;;
		*) echo "FAILS WITHOUT IT, TOO: $test"; return 1 ;;
		esac
		run_test $patience "$work/${test%%.*}.test" "${test#*.}" >"$work/mutant.log"
		code=$?
		case $code in
		0 | 77) ;;
		124 | 137) echo "hangs: $test"; return ;;
		*) echo "caught: $test"; return ;;
		esac
	done
	[ " $caught" = "$skipped" ] && { echo "not tried, skipped here:$skipped"; return; }
	echo "SURVIVES: $caught"
	return 1
}

mutant_try() {	# NAME
	mutant_apply "$1" || return
	if ! mutant_make "$1" >"$work/make.log" 2>&1; then
		echo "DOES NOT COMPILE, see $work/make.log"
		return 1
	fi
	mutant_run
}

one() {	# NAME: one line, and whether it was caught
	local began=$SECONDS result code

	mutant_read "$1" || { echo "$1" >>"$out/uncaught"; return; }
	work=$out/broken/$1
	rm -rf "$work"
	mkdir -p "$work"
	result=$(mutant_try "$1")
	code=$?
	printf '%-4s %-36s %3d s  %s\n' "$rule" "$1" $((SECONDS - began)) "$result"
	[ $code -eq 0 ] || echo "$1" >>"$out/uncaught"
	rm -f "$work"/*.o
}

all() {	# NAME...
	local build_name targets

	# shellcheck disable=SC2046
	[ $# -gt 0 ] || set -- $(names)
	mkdir -p "$out"
	rm -f "$out/uncaught"
	for build_name in dev check; do
		targets=$(programs $build_name "$@") || return
		# shellcheck disable=SC2086
		build_plain $build_name $targets || return
	done
	printf '%s\n' "$@" | xargs -P "${SUITE_JOBS:-$(nproc)}" -I{} miri-equivalent/mutants.sh --one {} ||
		echo 'not all were tried' >>"$out/uncaught"
	[ ! -e "$out/uncaught" ] || { echo "NOT CAUGHT: $(sort "$out/uncaught" | xargs)"; return 1; }
	echo "mutants: each of $# was caught, $SECONDS s"
}

case ${1:-} in
--table) table ;;
--look) look ;;
--one) one "$2" ;;
*) all "$@" ;;
esac
