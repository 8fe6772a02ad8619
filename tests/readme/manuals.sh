#!/usr/bin/env bash
# manuals.sh PAGE...: groff has nothing to say about any.  Exits 77, skipped, without it.
set -eu
command -v groff >/dev/null || { echo 'skipped: no groff'; exit 77; }

said=$(groff -man -Tutf8 -ww -z "$@" 2>&1)
test -z "$said" || { echo "$said"; exit 1; }
