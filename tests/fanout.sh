#!/usr/bin/env bash
# fanout.sh FANOUT: the example reaches each file once, in as few steps as there are.
set -u
fanout=$1
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
failed=0
cd "$tmp" || exit 1

gives() {	# EXIT_CODE ARGUMENTS... <EXPECTED
	local code=$1

	shift
	"$fanout" "$@" >actual 2>errors
	[ $? -eq "$code" ] && diff - actual | head -n 5 && [ "${PIPESTATUS[0]}" -eq 0 ] && return
	echo "FAILED: fanout $*"
	head -n 5 errors
	failed=1
}

mkdir sub quoted
printf '#include "b.h"\n#include <stdio.h>\n # include\t"sub/c.h"\nint a;\n' >a.c
printf '#include "a.c"\n#include "sub/c.h"\n#include "sub/../sub/d.h"\n' >b.h
printf '#include "d.h"\n#include "e.h"' >sub/c.h
printf '// #include "nothing"\n#includes "nothing"\n#include "sub/c.h"\n' >sub/d.h
: >quoted/e.h

gives 0 -I quoted -I . a.c <<-EOT
	0 a.c
	1 b.h
	1 sub/c.h
	2 sub/../sub/d.h
	2 quoted/e.h
EOT
gives 0 -d 1 -n 1 -I quoted a.c a.c ./a.c <<-EOT
	0 a.c
	1 b.h
	1 sub/c.h
EOT
gives 0 -d 0 a.c <<-EOT
	0 a.c
EOT
gives 1 -d 1 sub/c.h <<-EOT
	0 sub/c.h
	1 sub/d.h
EOT
grep -q 'sub/c.h: includes "e.h", which is not there' errors || failed=1
gives 1 nothing quoted/e.h <<-EOT
	0 quoted/e.h
EOT
gives 1 sub <<-EOT
	0 sub
EOT
for arguments in '' '-n 0 a.c' '-d x a.c' '-q a.c'; do
	# shellcheck disable=SC2086
	gives 2 $arguments </dev/null
done

# A tree of 1000, each of which names its parent, too; with hardly any descriptors.
expected=$(awk 'BEGIN {
	for (i = 1; i <= 1000; i++) {
		file = i ".h"
		printf "#include \"%d.h\"\n", (i > 1 ? int(i / 2) : 1) >file
		for (link = i * 2; link <= i * 2 + 1 && link <= 1000; link++)
			printf "#include \"%d.h\"\n", link >file
		close(file)
		print int(log(i + 0.5) / log(2)), file
	}
}')
for n in 1 7; do
	(ulimit -n 32 && gives 0 -n $n 1.h <<<"$expected" && exit $failed) || failed=1
done
exit $failed
