# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2154,SC2016 # what clients.sh and lib/ set; words for an inner shell
# wg-quick(8) with a full tunnel: policy routing by firewall mark, nft or iptables, the name server. Part of clients.sh.

# Packets that a strict filter would refuse if WireGuard's datagrams did not carry the mark.
on client sysctl -qw net.ipv4.conf.all.rp_filter=1 net.ipv4.conf.eth0.rp_filter=1

# wg-quick looks for nft first. Without it in its PATH it uses iptables.
mkdir "$net_tmp/without-nft"
for tool in ip sysctl iptables iptables-save iptables-restore ip6tables ip6tables-save ip6tables-restore resolvconf; do
	ln -s "$(command -v "$tool")" "$net_tmp/without-nft/$tool"
done
wg_quick() {
	if [ "$firewall" = nft ]; then on client wg-quick "$1" "$net_tmp/wg0.conf"
	else on client env PATH="$net_tmp/without-nft:/usr/bin:/bin" wg-quick "$1" "$net_tmp/wg0.conf"; fi
}
rules_of_firewall() {
	if [ "$firewall" = nft ]; then on client nft list ruleset | grep wg-quick; else
		on client iptables-save | grep wg-quick
		on client ip6tables-save | grep wg-quick
	fi
}
firewall_forgot() { ! rules_of_firewall; }
resolves() { on client timeout 90 getent ahostsv4 home.example; }

for firewall in nft iptables; do
	if [ $firewall = nft ]; then endpoint=10.2.0.2:51820; else endpoint='[fd02::2]:51820'; fi
	chapter "wg-quick, everything through the tunnel: $firewall, the server at $endpoint"
	state_of_client >"$net_tmp/before"
	on client sysctl -qw net.ipv4.conf.all.src_valid_mark=0
	(umask 077; cat >"$net_tmp/wg0.conf") <<-CONF
		[Interface]
		Address = 10.8.0.2/32, fd08::2/128
		DNS = 10.8.0.1
		PrivateKey = ${private[client]}
		[Peer]
		PublicKey = ${public[server]}
		PresharedKey = $(cat "$net_tmp/psk")
		Endpoint = $endpoint
		AllowedIPs = 0.0.0.0/0, ::/0
	CONF
	server_expects "$net_tmp/psk"
	check_roads direct
	check "up" wg_quick up
	check_equal "it has set the link's firewall mark" "$(on client wg show wg0 fwmark)" 0xca6c
	check_prints "a rule sends what has no mark into the tunnel" 'not from all fwmark 0xca6c lookup 51820' ip -n client -4 rule
	check_prints "another one leaves special routes as they are" 'lookup main suppress_prefixlength 0' ip -n client -6 rule
	check_prints "$firewall restores the marks of datagrams that come in" 'wg-quick' rules_of_firewall
	check_equal "the kernel looks at them when it judges a sender" "$(on client sysctl -n net.ipv4.conf.all.src_valid_mark)" 1
	check "the tunnel carries IPv4" answers 10.8.0.1
	check "and IPv6" answers fd08::1
	check_roads tunnel
	check_only_datagrams "pings to web, and to the very address of the server" wg0 \
		bash -c 'for to in 192.0.2.80 10.2.0.2 fd02::2; do ip netns exec client ping -c 2 -i 0.2 -W 20 $to || exit; done'
	check "the printer is still on the client's own network" answers 192.168.1.9
	check_prints "the name server behind the tunnel is used" '^10\.8\.0\.1 ' resolves
	if [ $firewall = nft ]; then
		on client sysctl -qw net.ipv4.conf.all.src_valid_mark=0
		check_fails "without a look at marks the strict filter refuses the server's datagrams" silent 10.8.0.1
		on client sysctl -qw net.ipv4.conf.all.src_valid_mark=1
		check "and with it, it does not" answers 10.8.0.1
	fi
	check "bulk goes through it" iperf client -c 10.8.0.1 -n 2M
	check "down" wg_quick down
	check "$firewall has no rule of it any more" firewall_forgot
	check "links, addresses, rules and routes are as before" state_is_as_before
	check_fails "its name server is forgotten" grep -q 10.8.0.1 /etc/resolv.conf
	check_roads direct
done
on client sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.eth0.rp_filter=0 net.ipv4.conf.all.src_valid_mark=0
