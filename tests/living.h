/* SPDX-License-Identifier: MIT */
/* living.h - the part of the census that is in the collected heap: objects that live. */
#ifndef TEST_LIVING_H
#define TEST_LIVING_H

#include <stdbool.h>

bool living_heap_is_there(void); /* asking does not start it */

void living_note(void); /* as the last collection left it */
void living_tell(void); /* collects, and runs finalizers */

#endif
