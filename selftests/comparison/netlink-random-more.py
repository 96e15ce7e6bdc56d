#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# what: 8,000 random messages more
# cost: slow
# limit: 1500
"""See netlinkrandom.py."""

import lib
from netlinkrandom import play

for seed in (11, 12, 13, 14):
    play(seed, 2000)
lib.finish()
