#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Runs the kernel's own test of its WireGuard, tools/testing/selftests/wireguard/netns.sh, unmodified, out of the source
# package of the very kernel under test. It stops at the first thing that fails.

here=$(cd -- "$(dirname -- "$0")" && pwd -P)
. "$here/lib/check.sh"
trap 'rm -rf "$check_log"' EXIT

[ -d /sys/module/wireguard ] || modprobe wireguard || die "the module wireguard cannot be loaded"
release=$(uname -r)
script=
for folder in "$here/../build/kernel/$release/source" "$here"/../build/kernel/*/source "/usr/src/linux-source-${release%%.*}"* /usr/src/linux; do
	[ -f "$folder/tools/testing/selftests/wireguard/netns.sh" ] && script=$folder/tools/testing/selftests/wireguard/netns.sh && break
done
[ -n "$script" ] || die "no netns.sh found: the kernel's source is not unpacked in build/kernel/$release/source"

chapter "The kernel's own test, as it stands in its source"
note "$(sha256sum "$script")"
quiet_kernel_begin
status=0
start=$SECONDS
bash "$script" > >(sed -u $'s/\e\\[[0-9;]*m//g; s/^/#   /') 2>&1 </dev/null || status=$?
note "after $((SECONDS - start)) s, exit status $status"
verdict $status "netns.sh passes, unmodified"
finish
