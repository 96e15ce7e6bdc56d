#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The machine with the C driver.

set -eu
. "$(dirname -- "$0")/cable.sh"
plug 2
modprobe wireguard
exec python3 -B "$(dirname -- "$0")/far.py"
