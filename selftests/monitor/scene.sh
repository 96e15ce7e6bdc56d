# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2154 # what check.sh, net.sh and wg.sh set
# The scene of monitor-programs.sh and path-quality.sh:
#
#   kernel: wg0 10.2.0.1, the module's      router              user: wgu 10.2.0.2, wireguard-go's or the module's
#   eth0 10.1.0.1, port 1 ------------- left     right -------- eth0 10.3.0.2, port 2

program=${here%/*/*}/scripts/monitor/wg-monitor
# json FILE EXPRESSION: of what is in the file, as d.
json() { python3 -c 'import json, sys; d = json.load(open(sys.argv[1])); print(eval(sys.argv[2]))' "$@"; }

# The kernel tells when it loads this one.
modprobe -a tun sch_netem
read_in wireguard-go ping wg
[ -c /dev/net/tun ] || { mkdir -p /dev/net && mknod /dev/net/tun c 10 200; }
wireguard_go_starts() {
	mkdir -p /var/run/wireguard
	ip netns exec user env LOG_LEVEL=error WG_I_PREFER_BUGGY_USERSPACE_TO_POLISHED_KMOD=1 wireguard-go wgu >"$net_tmp/user.log" 2>&1 </dev/null
	soon 10 on user wg show wgu
}
user_starts() { # user_starts module|wireguard-go
	if [ "$1" = module ]; then ip -n user link add wgu type wireguard; else wireguard_go_starts; fi || return
	on user wg set wgu listen-port 2 private-key <(echo "${private[user]}") peer "${public[kernel]}" allowed-ips 10.2.0.1/32
	ip -n user address add 10.2.0.2/24 dev wgu && ip -n user link set wgu mtu 1420 up
}
build_the_scene() { # build_the_scene module|wireguard-go: what the user has
	keys kernel user
	(umask 077; wg genpsk >"$net_tmp/psk")
	host kernel router user && router router || return
	cable kernel eth0 10.1.0.1/24 router left 10.1.0.254/24
	cable user eth0 10.3.0.2/24 router right 10.3.0.254/24
	ip -n kernel route add default via 10.1.0.254
	ip -n user route add default via 10.3.0.254
	# Each datagram alone, where the router is to lose some.
	on user ethtool -K eth0 tx-udp-segmentation off gso off
	wg_device kernel wg0 kernel 1 || return
	ip -n kernel address add 10.2.0.1/24 dev wg0 && ip -n kernel link set wg0 up || return
	user_starts "$1"
}
