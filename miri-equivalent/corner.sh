#!/usr/bin/env bash
# The suite on the real kernel, driven into corners: rings of 1, 2 and 8 entries, and every
# operation handed to the kernel's own threads (IOSQE_ASYNC).  The n-th allocation, the
# n-th system call, the limits, seccomp and refused flags have tests of their own (fault,
# syscall, limits, why, ring): they are part of every run.
. "$(dirname "$(readlink -f "$0")")/suite.sh"

suite_build check check
# Not in rings this small: what chains operations that do not fit (-E2BIG), and what counts
# the places of the default ring.
chains='linked|inject|poison'
export XYL_TEST_EXCEPT="cancels_are_submitted_before_what_is_new a_chain_takes_all_its_slots_or_none"
XYL_RING_ENTRIES=1 suite_run corner-ring-1 check -E "^(broken|hunt|$chains|cut|fault|syscall|limits)"
XYL_RING_ENTRIES=2 suite_run corner-ring-2 check -E "^(broken|hunt|$chains)"
XYL_RING_ENTRIES=8 suite_run corner-ring-8 check -E "^(broken|hunt|$chains)"

# Not with IOSQE_ASYNC:
#   these count on a result in the turn in which it was asked for, or on its order
at_once='armed|backlog|cut|ended|exhausted|half_write|linked|receive|splice|submit|zero_copy'
export XYL_TEST_EXCEPT="a_bounded_read_gives_its_buffer_back_and_loses_no_byte \
a_read_until_a_token_gives_its_buffer_back_and_loses_no_byte \
receivers_aborted_en_masse bytes_that_were_read_before_the_abort_are_kept \
a_bound_that_cuts_a_whole_read_loses_no_byte numbered_bytes_survive_random_aborts_once_and_in_order \
who_does_not_listen_accepts_nobody the_errors_of_the_kernel_are_unchanged"
#   (the last two: there the kernel waits for a socket that never becomes ready)
#   limits takes the kernel's threads away, without which such operations wait for ever; the
#   hostile ring is not made for it
XYL_SQE_FLAGS=16 suite_run corner-async check \
	-E "^(broken|hunt|example.timeouts|limits|hostile|$chains|$at_once)"
suite_verdict
