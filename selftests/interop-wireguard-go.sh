#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The kernel's `wireguard` links talk to somebody else's implementation, Debian's wireguard-go, in another network
# namespace: each side once the first to speak, over IPv4 and IPv6, inside and outside, with and without a preshared key.

here=$(cd -- "$(dirname -- "$0")" && pwd -P)
. "$here/lib/check.sh"
. "$here/lib/net.sh"
. "$here/lib/wg.sh"

command -v wireguard-go >/dev/null || die "there is no wireguard-go here: install the package wireguard-go"
[ -d /sys/module/wireguard ] || modprobe wireguard || die "the module wireguard cannot be loaded"
modprobe tun 2>/dev/null
quiet_kernel_begin
keys kernel go
(umask 077; wg genpsk >"$net_tmp/psk")

chapter "One machine with a kernel link, one with wireguard-go"
host kernel go
cable kernel eth0 10.1.0.1/24,fd01::1/64 go eth0 10.1.0.2/24,fd01::2/64

# The user-space device wants /dev/net/tun. wg(8) finds it by its socket, whose folder all namespaces share: so its name
# must differ from the kernel's link.
[ -c /dev/net/tun ] || { mkdir -p /dev/net && mknod /dev/net/tun c 10 200; }

# setup OUTER_KERNEL OUTER_GO INITIATOR [PSKFILE]: both ends afresh; only the initiator knows the other's endpoint.
setup() {
	local outer_kernel=$1 outer_go=$2 initiator=$3 psk=${4-} endpoint_kernel= endpoint_go=
	if [ "$initiator" = kernel ]; then endpoint_kernel="endpoint $outer_go:2"; else endpoint_go="endpoint $outer_kernel:1"; fi
	teardown
	wg_device kernel wg0 kernel 1 || return
	ip netns exec go env LOG_LEVEL=error WG_I_PREFER_BUGGY_USERSPACE_TO_POLISHED_KMOD=1 wireguard-go wgo >"$net_tmp/go.log" 2>&1 </dev/null || return
	soon 10 on go wg show wgo || return
	# shellcheck disable=SC2086 # two words or none
	on kernel wg set wg0 peer "${public[go]}" allowed-ips 10.2.0.2/32,fd02::2/128 $endpoint_kernel ${psk:+preshared-key "$psk"} || return
	# shellcheck disable=SC2086
	on go wg set wgo listen-port 2 private-key <(echo "${private[go]}") peer "${public[kernel]}" allowed-ips 10.2.0.1/32,fd02::1/128 $endpoint_go ${psk:+preshared-key "$psk"} || return
	ip -n kernel address add 10.2.0.1/24 dev wg0 && ip -n kernel address add fd02::1/64 dev wg0 && ip -n kernel link set wg0 up || return
	ip -n go address add 10.2.0.2/24 dev wgo && ip -n go address add fd02::2/64 dev wgo && ip -n go link set wgo mtu 1420 up
}
teardown() {
	ip -n kernel link del wg0 2>/dev/null
	ip -n go link del wgo 2>/dev/null
	soon 5 bash -c '[ ! -e /var/run/wireguard/wgo.sock ]'
	return 0
}
grown() { check_number "$1" "$2" -gt "$3"; }

scene() {
	local words=$1 version=$2 initiator=$3 psk=${4-} outer_kernel outer_go first second from to rx tx
	if [ "$version" = 4 ]; then outer_kernel=10.1.0.1 outer_go=10.1.0.2; else outer_kernel=[fd01::1] outer_go=[fd01::2]; fi
	chapter "$words"
	check "both ends are set up; only $initiator knows where the other is" setup "$outer_kernel" "$outer_go" "$initiator" "$psk" || { sed 's/^/#     /' "$net_tmp/go.log"; return; }
	if [ "$initiator" = kernel ]; then
		first="10.2.0.2 fd02::2" second="10.2.0.1 fd02::1" from=kernel to=go
	else
		first="10.2.0.1 fd02::1" second="10.2.0.2 fd02::2" from=go to=kernel
	fi
	# shellcheck disable=SC2086 # two words each
	set -- $first $second
	check "the first ping from $from makes the handshake and is answered" on $from ping -c 1 -W 5 "$1"
	check "IPv6 inside, too" on $from ping -c 2 -i 0.2 -W 5 "$2"
	check "$to calls back, having learned the endpoint" on $to ping -c 2 -i 0.2 -W 5 "$3"
	check "IPv6 inside, too" on $to ping -c 2 -i 0.2 -W 5 "$4"
	local now; now=$(date +%s)
	check_number "the kernel dates the handshake now" "$((now - $(handshake_time kernel wg0 "${public[go]}")))" -le 10
	check_number "and so does wireguard-go" "$((now - $(handshake_time go wgo "${public[kernel]}")))" -le 10
	check_prints "the kernel knows its peer's address" "${outer_go//[\[\]]/.}:2$" on kernel wg show wg0 endpoints
	rx=$(transfer kernel wg0 "${public[go]}" rx) tx=$(transfer kernel wg0 "${public[go]}" tx)
	check_equal "what one has received the other has sent, to the byte" "$rx $tx" \
		"$(transfer go wgo "${public[kernel]}" tx) $(transfer go wgo "${public[kernel]}" rx)"
	if [ -n "$psk" ]; then
		(umask 077; wg genpsk >"$net_tmp/other")
		on go wg set wgo peer "${public[kernel]}" preshared-key "$net_tmp/other"
		ip -n kernel link set wg0 down
		ip -n kernel link set wg0 up
		[ "$initiator" = kernel ] || on kernel wg set wg0 peer "${public[go]}" endpoint "$outer_go:2"
		check_fails "with different preshared keys there is no session" on kernel ping -c 2 -W 1 10.2.0.2
		check_equal "and no handshake after that of before" "$(on kernel wg show wg0 latest-handshakes | cut -f 2 | awk -v n="$now" '{ print ($1 <= n) }')" 1
		on go wg set wgo peer "${public[kernel]}" preshared-key "$psk"
		check "with the same again there is" soon 12 on kernel ping -c 1 -W 1 10.2.0.2
	fi
}

scene "The kernel speaks first, IPv4 outside" 4 kernel
scene "wireguard-go speaks first, IPv4 outside" 4 go
scene "The kernel speaks first, IPv6 outside, preshared key" 6 kernel "$net_tmp/psk"
scene "wireguard-go speaks first, IPv6 outside, preshared key" 6 go "$net_tmp/psk"

bulk() {
	local words=$1 address=$2 rx tx; shift 2
	rx=$(transfer kernel wg0 "${public[go]}" rx) tx=$(transfer kernel wg0 "${public[go]}" tx)
	check_prints "$words" '[1-9].* Mbit/s' iperf kernel -c "$address" "$@"
	rx=$(($(transfer kernel wg0 "${public[go]}" rx) - rx)) tx=$(($(transfer kernel wg0 "${public[go]}" tx) - tx))
	if [[ " $* " == *" -R "* ]]; then grown "megabytes were received" $rx 1000000; else grown "megabytes were sent" $tx 1000000; fi
}
for version in 4 6; do
	chapter "Bulk TCP and UDP, IPv$version outside"
	if [ $version = 4 ]; then setup 10.1.0.1 10.1.0.2 kernel; else setup [fd01::1] [fd01::2] go "$net_tmp/psk"; fi
	soon 10 on go ping -c 1 -W 1 10.2.0.1 >/dev/null
	[ $version = 6 ] || iperf_server go
	bulk "TCP, the kernel to wireguard-go" 10.2.0.2 -n 3M
	bulk "TCP, wireguard-go to the kernel" 10.2.0.2 -n 3M -R
	[ $version = 6 ] || bulk "TCP over IPv6 inside, four streams" fd02::2 -n 3M -P 4
	[ $version = 4 ] || bulk "TCP over IPv6 inside, four streams, to the kernel" fd02::2 -n 3M -P 4 -R
	bulk "UDP of 1,200 bytes, to the kernel" 10.2.0.2 -R -t 2 -u -b 8M -l 1200
	check_equal "the kernel's link counted no faulty packet" "$(statistic kernel wg0 rx_errors) $(statistic kernel wg0 tx_errors)" "0 0"
done

chapter "The other side goes away and comes back"
teardown
check "a kernel link and wireguard-go again" setup 10.1.0.1 10.1.0.2 kernel
on kernel ping -c 1 -W 5 10.2.0.2 >/dev/null
ip -n go link del wgo
soon 5 bash -c '[ ! -e /var/run/wireguard/wgo.sock ]'
ip netns exec go env LOG_LEVEL=error wireguard-go wgo >"$net_tmp/go.log" 2>&1 </dev/null
on go wg set wgo listen-port 2 private-key <(echo "${private[go]}") peer "${public[kernel]}" allowed-ips 10.2.0.1/32,fd02::1/128 endpoint 10.1.0.1:1
ip -n go address add 10.2.0.2/24 dev wgo && ip -n go link set wgo up
check "wireguard-go was restarted: its first packet makes a new session" on go ping -c 2 -i 0.3 -W 5 10.2.0.1
check "which the kernel uses" on kernel ping -c 2 -i 0.2 -W 5 10.2.0.2
teardown
check_quiet_kernel
finish
