/* SPDX-License-Identifier: MIT */
#include "rt/hostile.h"
