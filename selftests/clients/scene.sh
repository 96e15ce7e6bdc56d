# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2154,SC2016 # what clients.sh and lib/ set; words for an inner shell
# The scene of selftests/clients/clients.sh, and what every client's part of it uses.
#
#   printer ----- client ----- isp ----- server   two WireGuard links of the module under test:
#   192.168.1.9   10.1.0.2      |        10.2.0.2   wg0 10.8.0.1 fd08::1, port 51820
#                              web                  wg1 10.9.0.1 fd09::1, port 51821
#                              192.0.2.80         it translates addresses, and answers for the name home.example
#
# The programs under test run on client.

client_addresses=10.8.0.2/32,fd08::2/128

build_the_scene() {
	local name
	host client isp server web printer || return
	router isp server
	cable client eth0 10.1.0.2/24,fd01::2/64 isp client 10.1.0.1/24,fd01::1/64
	cable isp server 10.2.0.1/24,fd02::1/64 server eth0 10.2.0.2/24,fd02::2/64
	cable isp web 192.0.2.1/24,2001:db8:80::1/64 web eth0 192.0.2.80/24,2001:db8:80::80/64
	cable client lan 192.168.1.10/24 printer eth0 192.168.1.9/24
	ip -n client route add default via 10.1.0.1
	ip -n client route add default via fd01::1
	ip -n server route add default via 10.2.0.1
	ip -n server route add default via fd02::1
	ip -n web route add default via 192.0.2.1
	ip -n web route add default via 2001:db8:80::1
	masquerade server eth0

	keys client server second
	(umask 077; wg genpsk >"$net_tmp/psk")
	wg_device server wg0 server 51820 && wg_device server wg1 second 51821 || return
	ip -n server address add 10.8.0.1/24 dev wg0
	ip -n server address add fd08::1/64 dev wg0
	ip -n server address add 10.9.0.1/32 dev wg1
	ip -n server address add fd09::1/128 dev wg1
	for name in wg0 wg1; do ip -n server link set "$name" up; done
	# wg1's only peer has the same inner addresses as wg0's, so its answers need a road of their own.
	ip -n server rule add from 10.9.0.1 table 9
	ip -n server -6 rule add from fd09::1 table 9
	ip -n server route add default dev wg1 table 9
	ip -n server -6 route add default dev wg1 table 9

	listen web "$net_tmp/web.log" ncat -lk 80 -c 'echo "you come from $NCAT_REMOTE_ADDR"'
	listen server "$net_tmp/name-server.log" python3 "$here/name-server.py" home.example 10.8.0.1
	soon 20 listening web 80 && soon 20 listening server 53 u && iperf_server server
}

# server_expects [PSKFILE]: the server's links forget the client's sessions, and know its key (again).
server_expects() {
	local name
	for name in wg0 wg1; do
		on server wg set "$name" peer "${public[client]}" remove
		on server wg set "$name" peer "${public[client]}" ${1:+preshared-key "$1"} allowed-ips "$client_addresses" || return
	done
}

# What web sees of the client: its address.
seen_by_web() { on client timeout 120 ncat -w 60 --recv-only "${1:-192.0.2.80}" 80; }
check_roads() { # check_roads tunnel|direct
	local four=10\\.2\\.0\\.2 six=fd02::2 way='through the tunnel'
	[ "$1" = tunnel ] || four=10\\.1\\.0\\.2 six=fd01::2 way='straight'
	check_prints "web is reached $way: it sees ${four//\\/}" "you come from $four\$" seen_by_web
	check_prints "and over IPv6: it sees $six" "you come from $six\$" seen_by_web 2001:db8:80::80
}

answers() { on client ping -c "${2:-2}" -i 0.2 -W 20 "$1"; }
silent() { on client ping -c 2 -i 0.2 -W 1 "$1"; }

# state_of_client: what a tunnel changes there, to be compared afterwards. (Links' numbers are the kernel's choice. Firewalls
# are looked at apart: NetworkManager does not wait for its nft, which on a slow machine may come late.)
state_of_client() {
	ip -n client -o link | sed 's/^[0-9]*: //; s/ link\/.*//'
	ip -n client -o address | sed 's/^[0-9]*: //'
	ip -n client -4 rule
	ip -n client -6 rule
	ip -n client -4 route show table all
	ip -n client -6 route show table all
	on client wg show all dump
}
state_is_as_before() { diff "$net_tmp/before" <(state_of_client); }

# check_only_datagrams WORDS COMMAND...: the command succeeds, and what the client put onto its cable meanwhile was
# nothing but WireGuard's datagrams to the server, none of which had gone through the tunnel again.
check_only_datagrams() {
	local words=$1 link=$2; shift 2
	rm -f "$net_tmp"/{outside,inside}.pcap
	capture client eth0 "$net_tmp/outside.pcap" ip or ip6
	capture client "$link" "$net_tmp/inside.pcap"
	check "$words" "$@"
	capture_end
	# (What neighbours say to each other is no traffic.)
	tcpdump -nr "$net_tmp/outside.pcap" 'not udp portrange 51820-51821 and not ip6 multicast and not (icmp6 and ip6[40] >= 133)' >"$net_tmp/leaked" 2>/dev/null
	check_equal "nothing but WireGuard's datagrams was on the cable meanwhile" "$(head -n 3 "$net_tmp/leaked")" ''
	check_number "those were there" "$(tcpdump -nr "$net_tmp/outside.pcap" udp portrange 51820-51821 2>/dev/null | wc -l)" -gt 0
	check_equal "and none of them went into the tunnel" "$(tcpdump -nr "$net_tmp/inside.pcap" udp portrange 51820-51821 2>/dev/null | wc -l)" 0
}
