#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Runs the kernel's own test of its WireGuard, tools/testing/selftests/wireguard/netns.sh, unmodified, out of the source
# package of the very kernel under test. It stops at the first thing that fails.

here=$(cd -- "$(dirname -- "$0")" && pwd -P)
. "$here/../lib/check.sh"
trap 'rm -rf "$check_log"' EXIT

need_wireguard
release=$(uname -r)
script=
for folder in "$here/../../build/kernel/$release/source" "$here"/../../build/kernel/*/source "/usr/src/linux-source-${release%%.*}"* /usr/src/linux; do
	[ -f "$folder/tools/testing/selftests/wireguard/netns.sh" ] && script=$folder/tools/testing/selftests/wireguard/netns.sh && break
done
[ -n "$script" ] || die "no netns.sh found: the kernel's source is not unpacked in build/kernel/$release/source"

chapter "The kernel's own test, as it stands in its source"
note "$(sha256sum "$script")"
status=0
start=$SECONDS
# With the time, and with the events of dynamic debugging in the kernel's log, so that a failure can be understood.
echo module wireguard +p >/proc/dynamic_debug/control
stamped() {
	local line now
	while IFS= read -r line; do
		read -r now _ </proc/uptime
		printf '#   %s  %s\n' "$now" "$line"
	done
}
bash "$script" > >(sed -u $'s/\e\\[[0-9;]*m//g' | stamped) 2>&1 </dev/null || status=$?
if [ $status != 0 ]; then
	note "the last events"
	dmesg | tail -n 60 | sed 's/^/#   /'
fi
note "after $((SECONDS - start)) s, exit status $status"
verdict $status "netns.sh passes, unmodified"
finish
