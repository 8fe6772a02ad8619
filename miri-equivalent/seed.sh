#!/usr/bin/env bash
# seed.sh SEED: what seeds.sh does, for this one.
exec "$(dirname "$(readlink -f "$0")")/seeds.sh" 1 "${1:?which seed?}"
