#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The least that a kernel must show: the module loads, a tunnel carries both families and TCP both ways over either, the
# module goes again, and the kernel has nothing to say about it. For scripts/matrix, and for kernels besides the default.

here=$(cd -- "$(dirname -- "$0")" && pwd -P)
. "$here/../lib/check.sh"
. "$here/../lib/net.sh"
. "$here/../lib/wg.sh"

note "Linux $(uname -r)"
modprobe wireguard || die "the module wireguard cannot be loaded"
quiet_kernel_begin
check_prints "the module is not the kernel's own" O cat /sys/module/wireguard/taint

keys a b
host a b
cable a cable 10.1.0.1/24,fd01::1/64 b cable 10.1.0.2/24,fd01::2/64
wg_device a wg0 a 1000
wg_device b wg0 b 2000
on b wg set wg0 peer "${public[a]}" allowed-ips 10.2.0.1/32,fd02::1/128
for name in a b; do ip -n $name link set wg0 up; done
for n in 1 2; do
	name=$(tr 12 ab <<<$n)
	ip -n "$name" address add 10.2.0.$n/24 dev wg0
	ip -n "$name" address add fd02::$n/64 dev wg0
done
iperf_server b
for endpoint in 10.1.0.2:2000 '[fd01::2]:2000'; do
	chapter "Over $endpoint"
	on a wg set wg0 peer "${public[b]}" endpoint "$endpoint" allowed-ips 10.2.0.2/32,fd02::2/128
	check "IPv4" on a ping -q -c 3 -i 0.2 -W 5 10.2.0.2
	check "IPv6, with fragments" on a ping -q -c 3 -i 0.2 -W 5 -s 4000 fd02::2
	check_prints "TCP there" 'Mbit/s' iperf a -c 10.2.0.2 -n 2M
	check_prints "and back" 'Mbit/s' iperf a -c fd02::2 -n 2M -R
done

chapter "The end"
kill %% 2>/dev/null
for name in a b; do check "a link is deleted" ip -n $name link delete wg0; done
check "the module is unloaded" soon 5 rmmod wireguard
check_quiet_kernel
finish
