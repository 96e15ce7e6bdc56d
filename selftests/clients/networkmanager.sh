# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2154,SC2016 # what clients.sh and lib/ set; words for an inner shell
# NetworkManager: nmcli imports a configuration of wg(8), brings it up with a full tunnel, changes it, takes it down.
# Part of clients.sh.

start_networkmanager() {
	cat >/etc/NetworkManager/NetworkManager.conf <<-CONF
		[main]
		plugins=keyfile
		dns=none
		no-auto-default=*
		[keyfile]
		unmanaged-devices=except:type:wireguard
	CONF
	read_in NetworkManager
	find /usr/lib/*/NetworkManager -name '*.so' -exec cat {} + >/dev/null
	# With a read-only /sys, as in a container, it does not wait for udev to know a link.
	listen client "$net_tmp/networkmanager.log" bash -c 'mount -o remount,ro /sys; exec NetworkManager --debug --log-level=INFO --log-domains=ALL:INFO,FIREWALL:DEBUG'
	networkmanager=$!
	soon 90 on client nmcli -t general status
}
stop_networkmanager() { kill "$networkmanager" && wait "$networkmanager"; }
networkmanager_says() { sed 's/^/#     NetworkManager: /' "$net_tmp/networkmanager.log" | tail -n 30; }

chapter "NetworkManager"
state_of_client >"$net_tmp/before"
server_expects
(umask 077; cat >"$net_tmp/wg0.conf") <<CONF
[Interface]
Address = 10.8.0.2/32, fd08::2/128
ListenPort = 51000
PrivateKey = ${private[client]}
[Peer]
PublicKey = ${public[server]}
Endpoint = 10.2.0.2:51820
AllowedIPs = 0.0.0.0/0, ::/0
PersistentKeepalive = 25
CONF
check "it starts" start_networkmanager || networkmanager_says
check "nmcli imports wg0.conf, and brings it up" on client nmcli connection import type wireguard file "$net_tmp/wg0.conf"
check "the tunnel carries IPv4" soon 60 answers 10.8.0.1 1 || networkmanager_says
check "and IPv6" soon 30 answers fd08::1 1
check_prints "it calls the device connected" '^wg0:wireguard:connected:wg0$' on client nmcli -t -f device,type,state,connection device status
check_equal "the peer is that of the file" "$(on client wg show wg0 dump | sed 1d | cut -f 1-4,8)" \
	"$(printf '%s\t(none)\t10.2.0.2:51820\t0.0.0.0/0,::/0\t25' "${public[server]}")"
check_prints "for everything it chose a mark and a table by itself" '^0x[0-9a-f]+$' on client wg show wg0 fwmark
check_roads tunnel
check_only_datagrams "pings to web, and to the very address of the server" wg0 \
	bash -c 'for to in 192.0.2.80 10.2.0.2 fd02::2; do ip netns exec client ping -c 2 -i 0.2 -W 20 $to || exit; done'

chapter "NetworkManager: the connection changes"
check "nmcli gives it another port, MTU and mark" on client nmcli connection modify wg0 wireguard.listen-port 51001 wireguard.mtu 1380 wireguard.fwmark 0x99
check "and brings it up anew" on client nmcli --wait 60 connection up wg0 || networkmanager_says
check_equal "so they are" "$(on client wg show wg0 listen-port) $(on client wg show wg0 fwmark) $(on client cat /sys/class/net/wg0/mtu)" '51001 0x99 1380'
check "the tunnel carries packets" soon 30 answers 10.8.0.1 1
cat >>/etc/NetworkManager/system-connections/wg0.nmconnection <<CONF

[wireguard-peer.${public[second]}]
endpoint=[fd02::2]:51821
allowed-ips=10.9.0.0/24;fd09::/64;
CONF
check "a second peer is written into its file, which is loaded" on client nmcli connection load /etc/NetworkManager/system-connections/wg0.nmconnection
check "and applied to the link as it is" on client nmcli --wait 60 device reapply wg0 || networkmanager_says
check "the second peer is reached" soon 30 answers 10.9.0.1 1
check "over IPv6, too" answers fd09::1
check "the first one still is" answers 10.8.0.1
check "down" on client nmcli --wait 60 connection down wg0
check "links, addresses, rules and routes are as before" soon 30 state_is_as_before || networkmanager_says
check_roads direct
check "up once more" on client nmcli --wait 60 connection up wg0
check "the tunnel carries packets" soon 30 answers 10.8.0.1 1
check "the connection is deleted" on client nmcli --wait 60 connection delete wg0
check "links, addresses, rules and routes are as before" soon 30 state_is_as_before || networkmanager_says
stop_networkmanager
