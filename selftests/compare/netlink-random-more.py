#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# what: 8,000 random messages more
# cost: slow
# limit: 3000
"""See netlinkrandom.py. Two of the devices are up."""

import lib
from netlinkrandom import play

for seed, up in ((11, False), (12, False), (13, False), (14, True), (15, True)):
    play(seed, 1600, up)
lib.finish()
