#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Loads, uses and unloads the module fifty times, with devices present and traffic running while the links disappear, each
# time in one of three ways; then asks whether memory was left behind. Only for the virtual machine: it removes the module.
# A kernel that has kmemleak is slow, and its instruments take memory as they like: fewer times there, and kmemleak is asked.

here=$(cd -- "$(dirname -- "$0")" && pwd -P)
. "$here/../lib/check.sh"
. "$here/../lib/net.sh"
. "$here/../lib/wg.sh"

if python3 "$here/../lib/kmemleak.py" --available; then kmemleak=1; else kmemleak=''; fi
repetitions=${REPETITIONS:-${kmemleak:+6}}
repetitions=${repetitions:-50}
warm_up=10     # what is allocated once, at first use, belongs to nobody's growth
# Bytes a repetition; the seed below is 1,024 and more. The kernel itself, with its own WireGuard module, comes to about
# 600 here: three names of files, of 192 bytes, which something in it keeps each time.
bound=900
every=2        # a sample is taken after so many repetitions
page_bound=2048
most=150       # pages come and go by 100 KB with any module, which may look like growth: then it goes on, as a real one does, too

[ -n "$kmemleak" ] || [ -r /sys/kernel/slab/kmalloc-1k/shrink ] || die "this kernel has no /sys/kernel/slab to count its memory with"
kernel_lines() { dmesg | sed 's/^\[[^]]*\] *//' | grep -Eiv 'link becomes ready|promiscuous|^wireguard: .*(loaded|unloaded|Copyright|version)|loading out-of-tree|taints kernel|tainting|used greatest stack depth'; }
quiet_kernel_begin
keys a b

coproc memory { exec python3 "$here/../lib/memory.py"; }
memory_pid=$!
ask() { local answer; echo "$*" >&"${memory[1]}"; read -r -t 120 answer <&"${memory[0]}" && [ "$answer" = done ]; }
slopes() {
	local line
	echo slopes >&"${memory[1]}"
	while read -r -t 120 line <&"${memory[0]}" && [ "$line" != . ]; do echo "$line"; done
}
slope_of() { awk -v n="$1" '$1 == n { print $2 }' "$check_log/slopes"; }

unload() { rmmod wireguard; }
load() { modprobe wireguard; }

devices() {
	host a b || return
	cable a eth0 10.1.0.1/24,fd01::1/64 b eth0 10.1.0.2/24,fd01::2/64
	wg_device a wg0 a 1 && wg_device b wg0 b 2 || return
	on a wg set wg0 peer "${public[b]}" allowed-ips 10.2.0.2/32,fd02::2/128 endpoint 10.1.0.2:2 persistent-keepalive 1
	on b wg set wg0 peer "${public[a]}" allowed-ips 10.2.0.1/32,fd02::1/128 endpoint '[fd01::1]:1'
	# Peers that never answer, with many addresses: tables to take down, timers to stop.
	on a wg set wg0 peer "$(wg genkey)" allowed-ips 10.3.0.0/16,10.3.1.0/24,10.3.1.7/32,fd03::/32,fd03::/64 endpoint 10.1.0.9:9 persistent-keepalive 1
	# b first: what a sends at once must find a receiver, or it waits 5 s for its next try.
	ip -n b address add 10.2.0.2/24 dev wg0; ip -n b address add fd02::2/64 dev wg0; ip -n b link set wg0 up || return
	ip -n a address add 10.2.0.1/24 dev wg0; ip -n a address add fd02::1/64 dev wg0; ip -n a link set wg0 up || return
	ip -n a route add 10.3.0.0/16 dev wg0
	# A third link, idle and never up.
	ip -n b link add wg1 type wireguard
	soon 15 on a ping -c 1 -W 5 10.2.0.2 >/dev/null
}

traffic_begin() {
	ip netns exec a ping -f -q -s 1300 10.2.0.2 >/dev/null 2>&1 & floods=($!)
	ip netns exec b ping -f -q -s 300 fd02::1 >/dev/null 2>&1 & floods+=($!)
	ip netns exec a ping -f -q 10.3.1.7 >/dev/null 2>&1 & floods+=($!)
	sleep 0.3
}
traffic_end() { kill "${floods[@]}" 2>/dev/null; wait "${floods[@]}" 2>/dev/null; }
passed_bytes() { statistic a wg0 rx_bytes; }

take_down() {
	case $(($1 % 3)) in
	0) unload ;;
	1) ip -n a link del wg0 && ip -n b link del wg0 && unload ;;
	2) ip netns del a && ip -n b link del wg0 && unload ;;
	esac
}

if [ -z "$kmemleak" ]; then
	chapter "The instrument: does it see a kilobyte and a page a repetition?"
	{ ip netns add warm && ip netns del warm; } 2>/dev/null
	ask measure; ask measure; ask begin 1
	for _ in {1..12}; do ask leak && ask measure; done
	slopes >"$check_log/slopes"
	sed 's/^/#     /' "$check_log/slopes"
	check_number "a kilobyte left behind in each of twelve repetitions shows as growth of slab, in bytes" "$(slope_of slab)" -ge 900
	check_number "and would break the bound of $bound" "$(slope_of slab)" -gt $bound
	check_number "a page would break the bound of $page_bound" "$(slope_of pages)" -ge $page_bound
fi

chapter "$repetitions times: load, two tunnels with traffic, take the links away, unload"
note "in turn: unload with all links present; delete the links, unload with an idle one present; delete a namespace, then unload"
[ ! -d /sys/module/wireguard ] || unload || die "the module does not unload"
loaded=0 carried=0 unloaded=0
for ((i = 1; i <= repetitions; i++)); do
	load && [ -d /sys/module/wireguard ] && loaded=$((loaded + 1))
	devices || { note "repetition $i: the tunnels do not come up"; }
	traffic_begin
	[ "$(passed_bytes)" -gt 5000 ] && carried=$((carried + 1))
	take_down $i && [ ! -d /sys/module/wireguard ] && unloaded=$((unloaded + 1)) || note "repetition $i: this did not unload"
	traffic_end
	ip netns del a 2>/dev/null; ip netns del b
	hosts=()
	if [ -z "$kmemleak" ]; then
		[ $((i % every)) != 0 ] || ask measure
		[ $i != $warm_up ] || ask begin $every
	fi
	[ $((i % 10)) != 0 ] || note "$i of $repetitions"
	if [ $i = $repetitions ] && [ -z "$kmemleak" ]; then
		slopes >"$check_log/slopes"
		if [ $i -lt $most ] && [ "$(slope_of pages)" -ge $page_bound ]; then repetitions=$most; fi
	fi
done
check_equal "it was loaded each time" $loaded "$repetitions"
check_equal "the tunnels carried traffic each time" $carried "$repetitions"
check_equal "it was unloaded each time, under traffic" $unloaded "$repetitions"
if [ -n "$kmemleak" ]; then
	check_equal "kmemleak finds nothing" "$(python3 "$here/../lib/kmemleak.py" 2>&1)" ""
else
	note "growth in bytes a repetition, after the first $warm_up, and the first and last value:"
	sed 's/^/#     /' "$check_log/slopes"
	check_number "slab that cannot be reclaimed does not grow, in any cache by an object in three repetitions, up to so many bytes" "$(slope_of slab)" -lt $bound
	check_number "vmalloc does not grow (a page at every third repetition would be 1365)" "$(slope_of vmalloc)" -lt 1300
	check_number "per-CPU memory does not grow" "$(slope_of percpu)" -lt $bound
	check_number "nor do pages outside of all these (a page a repetition would be 4096)" "$(slope_of pages)" -lt $page_bound
fi
check_equal "no slab cache of WireGuard's is left" "$(awk '$1 ~ /wireguard|wg_|^peer_cache|allowedips/ { print $1 }' /proc/slabinfo)" ""
check_equal "no thread of WireGuard's is left" "$(ps -e -o comm= | grep -c '^napi/\|^kworker/R-wg')" 0
check "and it loads once more" load
check_quiet_kernel
kill "$memory_pid" 2>/dev/null
finish
