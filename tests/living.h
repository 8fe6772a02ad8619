/* SPDX-License-Identifier: MIT */
/* living.h - the part of the census that is in the collected heap: objects that live. */
#ifndef TEST_LIVING_H
#define TEST_LIVING_H

#include <stdbool.h>

bool living_heap_is_there(void); /* asking does not start it */
bool living_is_certain(void);	 /* else nothing is told; of a heap that is there */

void living_note(void); /* as the last collection left it */
void living_tell(void); /* collects, and runs finalizers */

#endif
