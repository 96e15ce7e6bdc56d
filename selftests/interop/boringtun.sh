#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# boringtun.sh [--module ours|c|FILE] [OPTION of scripts/vm...]: the kernel's `wireguard` links talk to Cloudflare's boringtun-cli:
# interop.sh in a virtual machine.

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source-path=SCRIPTDIR
. "$here/../../scripts/lib.sh"

program=$("$here/compile-boringtun")
exec "$project/scripts/vm" --icount-shift 2 --log "$build/log/boringtun-kernel.log" --timeout 1500 "$@" -- selftests/interop/interop.sh "$program"
