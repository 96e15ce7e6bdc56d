#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# what: 400 random messages, most of them nearly right
# cost: quick
"""See netlinkrandom.py; netlink-random-more has more of the same."""

import lib
from netlinkrandom import play

play(7, 400)
lib.finish()
