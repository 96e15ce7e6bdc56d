#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# A processor that was set apart (isolcpus=3) gets no work of the tunnel's. For a machine with four.

here=$(cd -- "$(dirname -- "$0")" && pwd -P)
. "$here/../lib/check.sh"
. "$here/../lib/net.sh"
. "$here/../lib/wg.sh"

grep -qw isolcpus=3 /proc/cmdline && [ "$(nproc --all)" = 4 ] || die "this is for a machine of four processors booted with isolcpus=3: scripts/vm --cpus 4 --append isolcpus=3"
need_wireguard
quiet_kernel_begin
trace=/sys/kernel/tracing
[ -e $trace/trace ] || mount -t tracefs tracefs $trace || die "this kernel has no tracing"
keys a b
host a b
cable a cable 10.1.0.1/24 b cable 10.1.0.2/24
wg_device a wg0 a 1000
wg_device b wg0 b 2000
on a wg set wg0 peer "${public[b]}" endpoint 10.1.0.2:2000 allowed-ips 10.2.0.2/32
on b wg set wg0 peer "${public[a]}" allowed-ips 10.2.0.1/32
for name in a b; do ip -n $name link set wg0 up; done
ip -n a address add 10.2.0.1/24 dev wg0
ip -n b address add 10.2.0.2/24 dev wg0
check "a tunnel" on a ping -q -c 2 -i 0.2 -W 5 10.2.0.2

chapter "Bulk, both ways"
iperf_server b
# What this module's work queues are given, and for which processor.
echo 'workqueue ~ "wg-*"' >$trace/events/workqueue/workqueue_queue_work/filter
echo 1 >$trace/events/workqueue/workqueue_queue_work/enable
for direction in '' -R; do
	# shellcheck disable=SC2086 # a word or none
	check "four streams $direction" iperf a -c 10.2.0.2 -P 4 -t 2 $direction
done
echo 0 >$trace/events/workqueue/workqueue_queue_work/enable
work() { grep 'workqueue=wg-' $trace/trace | sed -n 's/.* cpu=\([0-9]*\).*/\1/p' | sort | uniq -c | awk '{ printf "%s%d on %d", (NR > 1 ? ", " : ""), $1, $2 }'; }
note "work items: $(work)"
check_number "other processors get work" "$(grep -c 'workqueue=wg-crypt' $trace/trace)" -gt 50
check_equal "and the one that was set apart gets none" "$(grep 'workqueue=wg-crypt' $trace/trace | grep -c ' cpu=3\b')" 0
check_quiet_kernel
finish
