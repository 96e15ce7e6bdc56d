// SPDX-License-Identifier: GPL-2.0
/* Makes the tracepoints. */

#include <linux/types.h>

#define CREATE_TRACE_POINTS
#define CREATE_RUST_TRACE_POINTS
#include "tracepoints.h"
