#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# interop.sh PROGRAM: the kernel's `wireguard` links talk to another implementation in another network
# namespace, Debian's wireguard-go or Cloudflare's boringtun-cli: each side once the first to speak, over IPv4 and IPv6, inside
# and outside, with and without a preshared key; bulk both ways, roaming, a new session after 120 s, a restart of either side.

here=$(cd -- "$(dirname -- "$0")" && pwd -P)
. "$here/../lib/check.sh"
. "$here/../lib/net.sh"
. "$here/../lib/wg.sh"
. "$here/rough.sh"

program=${1-wireguard-go}
name=${program##*/}
# What it counts and dates in its own way is not compared.
case $name in
wireguard-go) start=(env LOG_LEVEL=error WG_I_PREFER_BUGGY_USERSPACE_TO_POLISHED_KMOD=1 "$program") counts_alike=1 ;;
# Its sockets that are connected to an endpoint leave TCP a tenth of a megabit a second, whichever module is at the other end; its
# threads, four unless told, send packets in another order than that in which they came to its device.
boringtun-cli) start=(env WG_LOG_LEVEL=error WG_SUDO=1 "$program" --disable-drop-privileges --disable-connected-udp --threads 1) counts_alike='' ;;
*) die "$program is not known here: wireguard-go or boringtun-cli" ;;
esac
command -v "$program" >/dev/null || die "there is no $program here: install it"
need_wireguard
modprobe tun 2>/dev/null
quiet_kernel_begin
read_in "$program" ping wg
keys kernel user
(umask 077; wg genpsk >"$net_tmp/psk")

chapter "One machine with a kernel link, one with $name"
host kernel user
cable kernel eth0 10.1.0.1/24,fd01::1/64 user eth0 10.1.0.2/24,fd01::2/64

# The user-space device wants /dev/net/tun. wg(8) finds it by its socket, whose folder all namespaces share: so its name
# must differ from the kernel's link.
[ -c /dev/net/tun ] || { mkdir -p /dev/net && mknod /dev/net/tun c 10 200; }
user_starts() {
	# Other programs make this folder themselves.
	mkdir -p /var/run/wireguard
	ip netns exec user "${start[@]}" wgu >"$net_tmp/user.log" 2>&1 </dev/null || return
	soon 10 on user wg show wgu && on user wg set wgu listen-port 2 private-key <(echo "${private[user]}")
}
user_stops() {
	pkill -x "$name"
	soon 10 bash -c "! pgrep -x '$name'"
	rm -f /var/run/wireguard/wgu.sock
	ip -n user link del wgu 2>/dev/null
	return 0
}
# user_peer [PSKFILE] [ENDPOINT]: not every program can change a peer that it has.
user_peer() {
	on user wg set wgu peer "${public[kernel]}" remove
	on user wg set wgu peer "${public[kernel]}" allowed-ips 10.2.0.1/32,fd02::1/128,10.3.0.0/24 ${1:+preshared-key "$1"} ${2:+endpoint "$2"}
}
user_up() { ip -n user address add 10.2.0.2/24 dev wgu && ip -n user address add fd02::2/64 dev wgu && ip -n user link set wgu mtu 1420 up; }
kernel_starts() { # kernel_starts [PSKFILE] [ENDPOINT]
	wg_device kernel wg0 kernel 1 || return
	on kernel wg set wg0 peer "${public[user]}" allowed-ips 10.2.0.2/32,fd02::2/128 ${1:+preshared-key "$1"} ${2:+endpoint "$2"} || return
	ip -n kernel address add 10.2.0.1/24 dev wg0 && ip -n kernel address add fd02::1/64 dev wg0 && ip -n kernel link set wg0 up
}
# setup VERSION INITIATOR [PSKFILE]: both ends afresh; only the initiator knows the other's endpoint.
setup() {
	outer_kernel=10.1.0.1 outer_user=10.1.0.2
	[ "$1" = 4 ] || outer_kernel=[fd01::1] outer_user=[fd01::2]
	teardown
	local to_kernel='' to_user=''
	if [ "$2" = kernel ]; then to_user=$outer_user:2; else to_kernel=$outer_kernel:1; fi
	kernel_starts "${3-}" "$to_user" && user_starts && user_peer "${3-}" "$to_kernel" && user_up
}
teardown() {
	ip -n kernel link del wg0 2>/dev/null
	user_stops
}
grown() { check_number "$1" "$2" -gt "$3"; }

scene() {
	local words=$1 version=$2 initiator=$3 psk=${4-} first second from to rx tx now
	chapter "$words"
	check "both ends are set up; only $initiator knows where the other is" setup "$version" "$initiator" "$psk" || { sed 's/^/#     /' "$net_tmp/user.log"; return; }
	if [ "$initiator" = kernel ]; then
		first="10.2.0.2 fd02::2" second="10.2.0.1 fd02::1" from=kernel to=user
	else
		first="10.2.0.1 fd02::1" second="10.2.0.2 fd02::2" from=user to=kernel
	fi
	# shellcheck disable=SC2086 # two words each
	set -- $first $second
	check "the first ping from $from makes the handshake and is answered" on $from ping -c 1 -W 5 "$1"
	check "IPv6 inside, too" on $from ping -c 2 -i 0.2 -W 5 "$2"
	check "$to calls back, having learned the endpoint" on $to ping -c 2 -i 0.2 -W 5 "$3"
	check "IPv6 inside, too" on $to ping -c 2 -i 0.2 -W 5 "$4"
	now=$(date +%s)
	check_number "the kernel dates the handshake now" "$((now - $(handshake_time kernel wg0 "${public[user]}")))" -le 10
	[ -z "$counts_alike" ] || check_number "and so does $name" "$((now - $(handshake_time user wgu "${public[kernel]}")))" -le 10
	check_prints "the kernel knows its peer's address" "${outer_user//[\[\]]/.}:2$" on kernel wg show wg0 endpoints
	rx=$(transfer kernel wg0 "${public[user]}" rx) tx=$(transfer kernel wg0 "${public[user]}" tx)
	if [ -n "$counts_alike" ]; then
		check_equal "what one has received the other has sent, to the byte" "$rx $tx" \
			"$(transfer user wgu "${public[kernel]}" tx) $(transfer user wgu "${public[kernel]}" rx)"
	fi
	if [ -n "$psk" ]; then
		(umask 077; wg genpsk >"$net_tmp/other")
		user_peer "$net_tmp/other"
		ip -n kernel link set wg0 down
		ip -n kernel link set wg0 up
		[ "$initiator" = kernel ] || on kernel wg set wg0 peer "${public[user]}" endpoint "$outer_user:2"
		check_fails "with different preshared keys there is no session" on kernel ping -c 2 -W 1 10.2.0.2
		check_equal "and no handshake after that of before" "$(on kernel wg show wg0 latest-handshakes | cut -f 2 | awk -v n="$now" '{ print ($1 <= n) }')" 1
		user_peer "$psk"
		check "with the same again there is" soon 12 on kernel ping -c 1 -W 1 10.2.0.2
	fi
}

for version in 4 6; do
	for psk in '' "$net_tmp/psk"; do
		if [ -n "$psk" ]; then words="a preshared key"; else words="no preshared key"; fi
		scene "The kernel speaks first, IPv$version outside, $words" $version kernel "$psk"
		scene "$name speaks first, IPv$version outside, $words" $version user "$psk"
	done
done

bulk() {
	local words=$1 address=$2 rx tx; shift 2
	rx=$(transfer kernel wg0 "${public[user]}" rx) tx=$(transfer kernel wg0 "${public[user]}" tx)
	check_prints "$words" '[1-9].* Mbit/s' iperf kernel -c "$address" "$@"
	rx=$(($(transfer kernel wg0 "${public[user]}" rx) - rx)) tx=$(($(transfer kernel wg0 "${public[user]}" tx) - tx))
	if [[ " $* " == *" -R "* ]]; then grown "megabytes were received" $rx 1000000; else grown "megabytes were sent" $tx 1000000; fi
}
for version in 4 6; do
	chapter "Bulk TCP and UDP, IPv$version outside"
	if [ $version = 4 ]; then setup 4 kernel; else setup 6 user "$net_tmp/psk"; fi
	soon 10 on user ping -c 1 -W 1 10.2.0.1 >/dev/null
	[ $version = 6 ] || iperf_server user
	bulk "TCP, the kernel to $name" 10.2.0.2 -n 3M
	bulk "TCP, $name to the kernel" 10.2.0.2 -n 3M -R
	[ $version = 6 ] || bulk "TCP over IPv6 inside, four streams" fd02::2 -n 3M -P 4
	[ $version = 4 ] || bulk "TCP over IPv6 inside, four streams, to the kernel" fd02::2 -n 3M -P 4 -R
	bulk "UDP of 1,200 bytes, to the kernel" 10.2.0.2 -R -n 2M -u -b 8M -l 1200
	check_equal "the kernel's link counted no faulty packet" "$(statistic kernel wg0 rx_errors) $(statistic kernel wg0 tx_errors)" "0 0"
done

setup 4 kernel
# shellcheck disable=SC2034 # rough.sh's
one=kernel two=user link_one=wg0 link_two=wgu card_one=eth0 card_two=eth0 volume=1000000
soon 10 on kernel ping -c 1 -W 1 10.2.0.2 >/dev/null
rough

chapter "Roaming"
setup 4 kernel
on kernel ping -c 1 -W 5 10.2.0.2 >/dev/null
# moves HOST FROM TO: gets another address, and says something
moves() { ip -n "$1" address del "$2/24" dev eth0 && ip -n "$1" address add "$3/24" dev eth0 && on "$1" ping -c 2 -i 0.3 -W 5 "$4"; }
check "$name has another address, and goes on talking" moves user 10.1.0.2 10.1.0.12 10.2.0.1
check_prints "the kernel has learned it" '10\.1\.0\.12:2$' on kernel wg show wg0 endpoints
check "and answers there" on kernel ping -c 2 -i 0.3 -W 5 10.2.0.2
check "the kernel has another address, and goes on talking" moves kernel 10.1.0.1 10.1.0.11 10.2.0.2
check_prints "$name has learned it" '10\.1\.0\.11:1$' on user wg show wgu endpoints
check "and answers there" on user ping -c 2 -i 0.3 -W 5 10.2.0.1
ip -n user address del 10.1.0.12/24 dev eth0; ip -n user address add 10.1.0.2/24 dev eth0
ip -n kernel address del 10.1.0.11/24 dev eth0; ip -n kernel address add 10.1.0.1/24 dev eth0

for initiator in kernel user; do
	if [ $initiator = kernel ]; then words="the kernel"; else words=$name; fi
	chapter "A new session after 120 seconds, $words having begun the first"
	setup 4 $initiator "$net_tmp/psk"
	if [ $initiator = kernel ]; then on kernel ping -c 1 -W 5 10.2.0.2 >/dev/null; else on user ping -c 1 -W 5 10.2.0.1 >/dev/null; fi
	before=$(handshake_time kernel wg0 "${public[user]}")
	check_prints "a ping every two seconds for 136: none is lost" ' 68 received' on kernel ping -c 68 -i 2 -W 10 10.2.0.2
	after=$(handshake_time kernel wg0 "${public[user]}")
	check_number "the handshake is a newer one" "$after" -ge $((before + 115))
done

chapter "One side goes away and comes back"
check "a kernel link and $name again" setup 4 kernel
on kernel ping -c 1 -W 5 10.2.0.2 >/dev/null
user_stops
check "$name was restarted" user_starts
user_peer '' 10.1.0.1:1
user_up
check "its first packet makes a new session" on user ping -c 2 -i 0.3 -W 5 10.2.0.1
check "which the kernel uses" on kernel ping -c 2 -i 0.2 -W 5 10.2.0.2
ip -n kernel link del wg0
check "the kernel's link was made anew" kernel_starts '' 10.1.0.2:2
check "its first packet makes a new session" on kernel ping -c 2 -i 0.3 -W 5 10.2.0.2
check "which $name uses" on user ping -c 2 -i 0.2 -W 5 10.2.0.1
teardown
check_quiet_kernel
finish
