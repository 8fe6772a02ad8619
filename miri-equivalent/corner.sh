#!/usr/bin/env bash
# The suite on the real kernel, driven into corners: rings of 1, 2 and 8 entries, and every
# operation handed to the kernel's own threads (IOSQE_ASYNC).  The n-th allocation, the
# n-th system call, the limits, seccomp and refused flags have tests of their own (fault,
# syscall, limits, why, ring): they are part of every run.
. "$(dirname "$(readlink -f "$0")")/suite.sh"

suite_build check check
for entries in 1 2 8; do
	XYL_RING_ENTRIES=$entries suite_run "corner-ring-$entries" check -E '^(broken|hunt)'
done

# Not with IOSQE_ASYNC:
#   these count on a result in the turn in which it was asked for, or on its order
at_once="a_bounded_read_gives_its_buffer_back_and_loses_no_byte receivers_aborted_en_masse \
half_a_write_breaks_a_pipe bytes_that_were_read_before_the_abort_are_kept \
a_bound_that_cuts_a_whole_read_loses_no_byte numbered_bytes_survive_random_aborts_once_and_in_order"
#   there the kernel waits for a socket that never becomes ready, instead of refusing it
refused="who_does_not_listen_accepts_nobody the_errors_of_the_kernel_are_unchanged"
#   and limits takes the kernel's threads away, without which such operations wait for ever
export XYL_TEST_EXCEPT="$at_once $refused"
XYL_SQE_FLAGS=16 suite_run corner-async check -E '^(broken|hunt|limits|example.timeouts)'
suite_verdict
