// SPDX-License-Identifier: Apache-2.0
// Slots as versions 2 and 3 of the hold journal wrote them: names in fields of their own, half as
// many.
#pragma once

#include <stdbool.h>

#include "budget/journal.h"

#define SG_SLOTS_BEFORE	     16384
#define SG_SLOT_BYTES_BEFORE 512

// Puts what is in them into slots of this version, which are all zeros; a torn one stays torn.
// `with_raises`: of version 3, whose holds could be raised.
void sg_slots_take_over(const void *before, bool with_raises, struct sg_slot *slots);
