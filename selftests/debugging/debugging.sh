#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# What the module tells when asked (Documentation/debugging.md): dynamic debugging's events, and why packets are dropped.

here=$(cd -- "$(dirname -- "$0")" && pwd -P)
. "$here/../lib/check.sh"
. "$here/../lib/net.sh"
. "$here/../lib/wg.sh"

need_wireguard
mountpoint -q /sys/kernel/tracing || mount -t tracefs tracefs /sys/kernel/tracing || die "this kernel has no tracefs"
control=/proc/dynamic_debug/control
[ -w $control ] || die "this kernel has no dynamic debugging"
ask() { echo "module wireguard $1" >$control; }
at_exit_quiet() { ask -p; echo 0 >/sys/kernel/tracing/events/skb/kfree_skb/enable; }
limits=$(sysctl -n net.core.message_cost)
sysctl -qw net.core.message_cost=0
keys a b stranger

# The log since it was last cleared.
log() { dmesg | sed -n 's/^\[[^]]*\] *wireguard: //p'; }
says() { check_prints "$1" "$2" log; }

# Everything that the events are about, in the order of the checks below.
scene() {
	host a b
	cable a eth0 10.1.0.1/24 b eth0 10.1.0.2/24
	wg_device a wg0 a 1000 && wg_device b wg0 b 2000
	on a wg set wg0 peer "${public[b]}" endpoint 10.1.0.2:2000 allowed-ips 10.2.0.2/32,10.3.0.0/24
	on b wg set wg0 peer "${public[a]}" allowed-ips 10.2.0.1/32
	ip -n a address add 10.2.0.1/16 dev wg0; ip -n a link set wg0 up
	ip -n b address add 10.2.0.2/16 dev wg0; ip -n b link set wg0 up
	on a ping -c 2 -i 0.2 -W 5 10.2.0.2 >/dev/null
	# A keepalive: the interval is asked for at once.
	on a wg set wg0 peer "${public[b]}" persistent-keepalive 1
	soon 10 bash -c '[ "$(ip netns exec b wg show wg0 transfer | cut -f 2)" -ge 500 ]'
	on a wg set wg0 peer "${public[b]}" persistent-keepalive 0
	# A source that b does not allow to a.
	ip -n a address add 10.2.0.9/32 dev wg0
	on a ping -c 1 -W 1 -I 10.2.0.9 10.2.0.2 >/dev/null
	# No peer; a peer that is nowhere; what is not IP.
	on a ping -c 1 -W 1 10.2.9.9 >/dev/null 2>&1
	on a wg set wg0 peer "${public[stranger]}" allowed-ips 10.2.8.0/24
	on a ping -c 1 -W 1 10.2.8.8 >/dev/null 2>&1
	on a python3 -c 'import socket
s = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM)
try: s.sendto(b"x" * 40, ("wg0", 0x88B5))
except OSError: pass'
	# Strangers: an initiation whose mac1 is wrong, data for nobody, something that is no message, something short.
	on a python3 -c 'import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for data in (b"\x01\0\0\0" + b"i" * 144, b"\x04\0\0\0" + b"d" * 60, b"\x09\0\0\0" + b"u" * 60, b"short", b"\x03\0\0\0" + b"c" * 60):
    s.sendto(data, ("10.1.0.2", 2000))'
	# Nobody answers there; nothing leads there.
	on a wg set wg0 peer "${public[stranger]}" endpoint 10.1.0.99:9
	on a ping -c 1 -W 1 10.2.8.8 >/dev/null 2>&1
	soon 15 bash -c '[ "$(ip netns exec a wg show wg0 transfer | awk "\$3 >= 296" | wc -l)" -ge 1 ] && dmesg | grep -q "attempt 2" || ! grep -q "handshake_retried =p" '$control
	on a wg set wg0 peer "${public[stranger]}" remove
	on a wg set wg0 peer "${public[stranger]}" allowed-ips 10.2.8.0/24 endpoint 203.0.113.1:9
	on a ping -c 1 -W 1 10.2.8.8 >/dev/null 2>&1
	ip -n a link set wg0 down
	ip -n a link del wg0; ip -n b link del wg0
	ip netns del a; ip netns del b
}

chapter "Silence, unless asked"
dmesg -C
scene
check_equal "nothing was logged" "$(log)" ""

chapter "All events (echo module wireguard +p >$control)"
check "asking for them" ask +p
dmesg -C
scene
says "a link is made" '^wg0: Interface created'
says "a peer is made" '^wg0: Peer [0-9]+ created'
says "a handshake begins" '^wg0: Sending handshake initiation to peer [0-9]+ \(10\.1\.0\.2:2000\)'
says "it arrives" '^wg0: Received handshake initiation from peer [0-9]+ \(10\.1\.0\.1:1000\)'
says "it is answered" '^wg0: Sending handshake response to peer [0-9]+ \(10\.1\.0\.1:1000\)'
says "the answer arrives" '^wg0: Received handshake response from peer [0-9]+ \(10\.1\.0\.2:2000\)'
says "a keypair is made of it" '^wg0: Keypair [0-9]+ created for peer'
says "a keepalive is sent" '^wg0: Sending keepalive to peer'
says "and received" '^wg0: Received keepalive from peer'
says "a source is not allowed" '^wg0: Source 10\.2\.0\.9 is not among the allowed IPs of peer [0-9]+ \(10\.1\.0\.1:1000\)'
says "there is no peer" '^wg0: No peer has 10\.2\.9\.9 among its allowed IPs'
says "the endpoint is unknown" '^wg0: No endpoint of peer [0-9]+ is known'
says "something is not IP" '^wg0: Not an IP packet'
says "a mac1 is wrong" '^wg0: Invalid mac1 in a handshake message from 10\.1\.0\.1:'
says "a cookie reply is wrong" '^wg0: Invalid cookie reply from 10\.1\.0\.1:'
says "there is no answer" '^wg0: No response from peer [0-9]+ \(10\.1\.0\.99:9\) after 5 seconds, attempt 2 follows'
says "there is no route" '^wg0: No route to 203\.0\.113\.1:9, error -101'
says "a keypair is given up" '^wg0: Keypair [0-9]+ destroyed for peer'
says "a peer is gone" '^wg0: Peer [0-9]+ \(10\.1\.0\.2:2000\) destroyed'
says "a link is gone" '^wg0: Interface destroyed'
secrets=$(for k in "${private[@]}"; do echo "$k"; base64 -d <<<"$k" | od -An -v -tx1 | tr -d ' \n'; echo; done)
check_equal "(three keys, in two forms)" "$(wc -l <<<"$secrets")" 6
check_equal "no private key is in it" "$(dmesg | grep -cFf <(echo "$secrets"))" 0

chapter "One event"
ask -p
echo 'module wireguard func initiation_sent +p' >$control
dmesg -C
scene
check_equal "nothing else is logged" "$(log | grep -vc 'Sending handshake initiation')" 0
says "it is" 'Sending handshake initiation'
echo 'module wireguard func initiation_sent -p' >$control

chapter "Why packets are dropped (tracepoint skb:kfree_skb)"
echo 1 >/sys/kernel/tracing/events/skb/kfree_skb/enable
echo >/sys/kernel/tracing/trace
scene
echo 0 >/sys/kernel/tracing/events/skb/kfree_skb/enable
trace() { grep -F '[wireguard] reason' /sys/kernel/tracing/trace; }
drops() { check_prints "$1: $2" "reason: $2\$" trace; }
drops "no peer" NO_TX_TARGET
drops "no endpoint" TUNNEL_TXINFO
drops "not IP" INVALID_PROTO
drops "a source that is not allowed" IP_RPFILTER
drops "a wrong mac1" SKB_CSUM
drops "data for no session, no message at all" SOCKET_FILTER
drops "too short for a message" PKT_TOO_SMALL
drops "no route" IP_OUTNOROUTES
drops "waiting for a handshake when the link goes down" QUEUE_PURGE
check_equal "none without a reason" "$(trace | grep -c 'NOT_SPECIFIED')" 0

chapter "The tracepoints wireguard:*, by Debian's programs"
cat >"$net_tmp/three" <<-'E'
	ip link add three type wireguard && ip address add 192.0.2.1/24 dev three && ip link set three up
	ping -c 3 -i 0.2 -W 1 192.0.2.2
	ip link delete three
E
both() { "$@" 2>&1; }
if [ -e /proc/sys/kernel/perf_event_paranoid ] && command -v perf >/dev/null; then
	check_equal "perf trace tells of three packets for nobody" \
		"$(both perf trace -a -e 'wireguard:*' bash "$net_tmp/three" | grep -cE 'wireguard:wg_dropped\(ifindex: [0-9]+, count: 1, cause: "tx_drop_no_peer"\)$')" 3
else
	note "this kernel has no perf events, or there is no perf here"
fi
# It learns what a tracepoint's arguments are from the kernel's types, or from headers, of which there are none.
if [ -e /sys/kernel/btf/vmlinux ] && command -v bpftrace >/dev/null; then
	check_prints "bpftrace adds them up" '^@\[tx_drop_no_peer\]: 3$' bpftrace -c "/bin/bash $net_tmp/three" \
		-e 'tracepoint:wireguard:wg_dropped { @[args.cause] = sum(args.count); }'
else
	note "this kernel does not tell its types, or there is no bpftrace here"
fi

sysctl -qw net.core.message_cost="$limits"
at_exit_quiet
finish
