/* SPDX-License-Identifier: GPL-2.0 */
/* As in the kernel, for a tree that comes without what its own made: see Kbuild. */

#include <linux/jump_label.h>

// Cut here.

::kernel::concat_literals!(ARCH_STATIC_BRANCH_ASM("{symb} + {off} + {branch}", "{l_yes}"))
