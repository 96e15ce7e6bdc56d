# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2154,SC2016 # what clients.sh and lib/ set; words for an inner shell
# systemd-networkd: a .netdev with WireGuard and WireGuardPeer sections, a .network with the policy routing for a full
# tunnel, networkctl. It runs as its own user, as systemd would start it, but systemd itself is not there. Part of clients.sh.

networkd_folder=/etc/systemd/network
# What its unit gives it.
networkd_capabilities=+net_admin,+net_bind_service,+net_broadcast,+net_raw
start_networkd() {
	mkdir -p /run/systemd/netif /var/lib/systemd/network
	chown systemd-network: /run/systemd/netif /var/lib/systemd/network
	read_in /usr/lib/systemd/systemd-networkd
	# With a read-only /sys, as in a container, it does not wait for udev to know a link.
	listen client "$net_tmp/networkd.log" bash -c '
		mount -o remount,ro /sys
		exec setpriv --reuid=systemd-network --regid=systemd-network --init-groups \
			--inh-caps='$networkd_capabilities' --ambient-caps='$networkd_capabilities' /usr/lib/systemd/systemd-networkd'
	networkd=$!
	soon 60 busctl status org.freedesktop.network1
}
stop_networkd() { kill "$networkd" && wait "$networkd"; }
networkd_says() { sed 's/^/#     networkd: /' "$net_tmp/networkd.log" | tail -n 20; }
# key_file NAME CONTENT: for networkd's eyes only.
key_file() { install -m 640 -g systemd-network /dev/stdin "$networkd_folder/$1" <<<"$2"; }
allowed_ips() { on client wg show wg0 allowed-ips | awk -v k="${public[$1]}" '$1 == k { print $2; print $3 }' | sort | xargs; }

write_netdev() {
	cat >$networkd_folder/50-wg0.netdev <<-CONF
		[NetDev]
		Name=wg0
		Kind=wireguard
		MTUBytes=1400

		[WireGuard]
		PrivateKeyFile=$networkd_folder/wg0.key
		ListenPort=51000
		FirewallMark=0x77
		RouteTable=1000

		[WireGuardPeer]
		PublicKey=${public[server]}
		PresharedKeyFile=$networkd_folder/wg0.psk
		Endpoint=10.2.0.2:51820
		AllowedIPs=0.0.0.0/0,::/0
		PersistentKeepalive=25
	CONF
}
write_network() {
	cat >$networkd_folder/50-wg0.network <<-CONF
		[Match]
		Name=wg0

		[Network]
		Address=10.8.0.2/32
		Address=fd08::2/128

		[RoutingPolicyRule]
		Family=both
		FirewallMark=0x77
		InvertRule=true
		Table=1000
		Priority=1000

		[RoutingPolicyRule]
		Family=both
		Table=main
		SuppressPrefixLength=0
		Priority=999
	CONF
}

chapter "systemd-networkd"
mkdir -p $networkd_folder
key_file wg0.key "${private[client]}"
key_file wg0.psk "$(cat "$net_tmp/psk")"
state_of_client >"$net_tmp/before"
server_expects "$net_tmp/psk"
check "it starts, and finds nothing to do" start_networkd || networkd_says
write_netdev
write_network
check "networkctl reload: there are files about wg0 now" on client networkctl reload
check "the tunnel carries IPv4" soon 60 answers 10.8.0.1 1 || networkd_says
check "and IPv6" answers fd08::1
check_prints "networkctl knows what it is" 'wg0 +wireguard' on client networkctl --no-pager list
check_prints "and that all is done for it" 'State: .*configured' on client networkctl --no-pager --lines=0 status wg0
check_equal "port, mark and MTU are those of the file" \
	"$(on client wg show wg0 listen-port) $(on client wg show wg0 fwmark) $(on client cat /sys/class/net/wg0/mtu)" '51000 0x77 1400'
check_equal "so is the peer" "$(on client wg show wg0 dump | sed 1d | cut -f 1-3,8)" \
	"$(printf '%s\t%s\t10.2.0.2:51820\t25' "${public[server]}" "$(cat "$net_tmp/psk")")"
# (It names them in an order of its own.)
check_equal "and its addresses" "$(allowed_ips server)" '0.0.0.0/0 ::/0'
check_prints "RouteTable= put its routes there" 'default dev wg0 .*proto static' ip -n client route show table 1000
check_roads tunnel
check_only_datagrams "pings to web, and to the very address of the server" wg0 \
	bash -c 'for to in 192.0.2.80 10.2.0.2 fd02::2; do ip netns exec client ping -c 2 -i 0.2 -W 20 $to || exit; done'

chapter "systemd-networkd: the peers change while it runs"
cat >>$networkd_folder/50-wg0.netdev <<CONF

[WireGuardPeer]
PublicKey=${public[second]}
PresharedKeyFile=$networkd_folder/wg0.psk
Endpoint=[fd02::2]:51821
AllowedIPs=10.9.0.0/24
AllowedIPs=fd09::/64
CONF
check "a second peer comes, for a part of the first one's addresses; reload" on client networkctl reload
check "it is reached" soon 60 answers 10.9.0.1 1 || networkd_says
check "over IPv6, too" answers fd09::1
check_equal "its addresses" "$(allowed_ips second)" '10.9.0.0/24 fd09::/64'
check "the first one still is" answers 10.8.0.1
write_netdev
sed -i 's/^PersistentKeepalive=.*/PersistentKeepalive=11/' $networkd_folder/50-wg0.netdev
peers_are_one() { [ "$(on client wg show wg0 persistent-keepalive)" = "$(printf '%s\t11' "${public[server]}")" ]; }
check "the second one goes, and the first one gets another interval; reload" on client networkctl reload
check "so it is" soon 60 peers_are_one || networkd_says
check "what was the second one's belongs to the first one again" bash -c "ip netns exec client wg show wg0 allowed-ips | grep -c . | grep -qx 1"
check "which still answers" answers 10.8.0.1
check "networkctl down wg0" on client networkctl down wg0
check_fails "then nothing goes through" silent 10.8.0.1
check "networkctl up wg0" on client networkctl up wg0
check "then it does again" soon 60 answers 10.8.0.1 1
rm $networkd_folder/50-wg0.netdev $networkd_folder/50-wg0.network
check "networkctl delete wg0" on client networkctl delete wg0
check "links, addresses, rules and routes are as before" soon 30 state_is_as_before || networkd_says
stop_networkd
check_roads direct
