# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# The cable between the two machines. Each has 10.9.0.N, fd09::N and, for the other to be told what to do, 10.8.0.N.

# plug N: the card gets its addresses.
plug() {
	local card
	modprobe virtio_net
	card=$(find /sys/class/net -mindepth 1 ! -name lo -printf '%f\n' | head -n 1)
	# QEMU gives all machines the same address.
	ip link set "$card" name cable address "02:00:00:00:00:0$1"
	sysctl -qw net.ipv6.conf.cable.accept_dad=0
	ip link set cable up
	ip address add "10.8.0.$1/24" dev cable
	ip address add "10.9.0.$1/24" dev cable
	ip address add "fd09::$1/64" dev cable
}
