#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The module for arm64, cross-compiled, and in a machine of that kind the least that a kernel must show. More of the tests
# there: ARCH=arm64 selftests/run NAME...

here=$(cd -- "$(dirname -- "$0")" && pwd -P)
project=${here%/*/*}
. "$here/../lib/check.sh"
# The kernel that another variable chooses is of another kind.
export ARCH=arm64
unset KVER
# shellcheck source-path=SCRIPTDIR
. "$project/scripts/lib.sh"
set +e
trap 'rm -rf "$check_log"' EXIT

check "an arm64 kernel is prepared" "$project/scripts/setup" || finish
without_warnings() {
	"$project/scripts/module" --kernel "$chosen_kernel" >"$check_log/build" 2>&1 || { cat "$check_log/build"; return 1; }
	! grep -A 5 warning "$check_log/build"
}
check "the module is built for it, without warnings" without_warnings
check_prints "it holds instructions of that architecture" 'AArch64' in_environment readelf -h "$(inside "$chosen_kernel/module/wireguard.ko")"
check "and works there" "$project/scripts/vm" --icount-shift 2 --timeout 300 --log "$build/log/arm64.log" -- selftests/other-kernels/smoke.sh
finish
