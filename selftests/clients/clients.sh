#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Programs that people use WireGuard with, each for real: wg-quick with a full tunnel, systemd-networkd, NetworkManager,
# and the library pyroute2. Each brings up a tunnel over which traffic flows, changes it, and takes it down again.
# clients.sh [NAME...] runs only some: wg-quick, networkd, networkmanager, pyroute2.

here=$(cd -- "$(dirname -- "$0")" && pwd -P)
. "$here/../lib/check.sh"
. "$here/../lib/net.sh"
. "$here/../lib/wg.sh"
. "$here/scene.sh"

[ $# != 0 ] || set -- wg-quick networkd networkmanager pyroute2
for client; do [ -f "$here/$client.sh" ] || die "there is no client $client"; done
need_wireguard
quiet_kernel_begin
# NetworkManager asks for wireless networks, and the kernel would tell at length that it has them.
echo 'blacklist cfg80211' >/etc/modprobe.d/no-wireless.conf

chapter "A client, an internet, a server"
# networkctl and nmcli talk to their services over it.
start_bus() {
	mkdir -p /run/dbus
	dbus-uuidgen --ensure && dbus-daemon --system --fork
}
check "the scene is built" build_the_scene || finish
check "a system bus" start_bus || finish
for client; do
	# shellcheck source=/dev/null
	. "$here/$client.sh"
done
check_quiet_kernel
finish
