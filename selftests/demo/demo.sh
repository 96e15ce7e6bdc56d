#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The picture that WireGuard is explained with, made real: two travellers reach home through an internet of routers.
# Every step says what it shows, prints the command it ran, and whether it held. `make demo` runs this in the virtual machine.

here=$(cd -- "$(dirname -- "$0")" && pwd -P)
. "$here/../lib/check.sh"
. "$here/../lib/net.sh"
. "$here/../lib/wg.sh"

cat <<'PICTURE'
#
#  adams-laptop ---- cafe --------.                              .---- lan-host
#  192.168.1.10      203.0.113.10  \                            /      192.168.77.10
#                                   backbone ---- isp ---- server
#  evas-android ---- home-wifi ----/    |                  198.51.100.1, wg0: 10.8.0.1, fd08::1
#  192.168.2.20  :   203.0.113.21       |
#                '-- mobile -----------/ \
#                    203.0.113.30          '---- internet-host 192.0.2.80
#
#  Each name is a network namespace: a machine of its own, as far as the network is concerned. cafe, home-wifi and
#  mobile translate addresses (NAT), as such places do, so nobody can call the travellers: they must call the server.
#  In the tunnels the travellers are 10.8.0.2 (adams-laptop) and 10.8.0.3 (evas-android).
PICTURE

need_wireguard
quiet_kernel_begin
conf=$net_tmp/conf
# What tells of tunnels: the C driver has nothing of the kind.
monitor=${here%/*/*}/scripts/monitor/wg-monitor
monitored() { [ -n "${watching-}" ]; }
marker='a private letter, which nobody on the way may read'

chapter "The internet: routers, cables, and two homes"
build_the_internet() {
	host adams-laptop evas-android cafe home-wifi mobile backbone isp server lan-host internet-host || return
	router cafe home-wifi mobile backbone isp server

	cable adams-laptop  eth0   192.168.1.10/24 cafe      lan    192.168.1.1/24
	cable evas-android  wlan0  192.168.2.20/24 home-wifi lan    192.168.2.1/24
	cable evas-android  rmnet0 100.64.5.20/24  mobile    lan    100.64.5.1/24
	cable cafe          wan    203.0.113.10/30 backbone  cafe   203.0.113.9/30
	cable home-wifi     wan    203.0.113.21/30 backbone  home   203.0.113.22/30
	cable mobile        wan    203.0.113.30/30 backbone  mobile 203.0.113.29/30
	cable backbone      isp    198.51.100.5/30 isp       core   198.51.100.6/30
	cable isp           server 198.51.100.2/30 server    wan    198.51.100.1/30
	cable backbone      web    192.0.2.1/24    internet-host eth0 192.0.2.80/24
	cable server        lan    192.168.77.1/24,fd77::1/64 lan-host eth0 192.168.77.10/24,fd77::10/64

	ip -n adams-laptop  route add default via 192.168.1.1
	ip -n evas-android  route add default via 192.168.2.1
	ip -n evas-android  link set rmnet0 down
	ip -n cafe          route add default via 203.0.113.9
	ip -n home-wifi     route add default via 203.0.113.22
	ip -n mobile        route add default via 203.0.113.29
	ip -n backbone      route add 198.51.100.0/30 via 198.51.100.6
	ip -n isp           route add default via 198.51.100.5
	ip -n server        route add default via 198.51.100.2
	ip -n internet-host route add default via 192.0.2.1
	ip -n lan-host      route add default via 192.168.77.1
	ip -n lan-host      route add default via fd77::1
	masquerade cafe wan
	masquerade home-wifi wan
	masquerade mobile wan
	masquerade server wan
}
check "ten machines are cabled" build_the_internet || finish
check "the laptop in the cafe reaches the server's public address" on adams-laptop ping -c 1 -W 5 198.51.100.1
check_fails "but not the machines at home: the internet has no road to 192.168.77.10" on adams-laptop ping -c 1 -W 1 192.168.77.10

chapter "Keys and configuration files, in the format of wg-quick(8)"
keys server adams-laptop evas-android
mkdir -p "$conf"/{server,adams-laptop,evas-android}
umask 077
cat >"$conf/server/wg0.conf" <<CONF
[Interface]
Address = 10.8.0.1/24, fd08::1/64
ListenPort = 51820
PrivateKey = ${private[server]}

[Peer]
# adams-laptop
PublicKey = ${public[adams-laptop]}
AllowedIPs = 10.8.0.2/32, fd08::2/128

[Peer]
# evas-android
PublicKey = ${public[evas-android]}
AllowedIPs = 10.8.0.3/32, fd08::3/128
CONF
cat >"$conf/adams-laptop/wg0.conf" <<CONF
[Interface]
Address = 10.8.0.2/32, fd08::2/128
PrivateKey = ${private[adams-laptop]}

[Peer]
# the server; everything goes through the tunnel
PublicKey = ${public[server]}
Endpoint = 198.51.100.1:51820
AllowedIPs = 0.0.0.0/0, ::/0
CONF
cat >"$conf/evas-android/wg0.conf" <<CONF
[Interface]
Address = 10.8.0.3/32, fd08::3/128
PrivateKey = ${private[evas-android]}

[Peer]
# the server; only what is at home goes through the tunnel
PublicKey = ${public[server]}
Endpoint = 198.51.100.1:51820
AllowedIPs = 10.8.0.0/24, fd08::/64, 192.168.77.0/24, fd77::/64
PersistentKeepalive = 25
CONF
for name in server adams-laptop evas-android; do
	note "$name's wg0.conf:"
	sed 's/^/#     /; s/^\(.*PrivateKey = \).*/\1(secret)/' "$conf/$name/wg0.conf"
done

chapter "The tunnels come up"
for name in server adams-laptop evas-android; do
	check "wg-quick brings wg0 up on $name" on "$name" wg-quick up "$conf/$name/wg0.conf"
done
check_prints "wg0 is a WireGuard link" 'wireguard' on server ip -d link show wg0

chapter "adams-laptop reaches everything through the server"
check "the server itself"                   on adams-laptop ping -c 3 -i 0.2 -W 5 10.8.0.1
check "the server itself, over IPv6"        on adams-laptop ping -c 2 -i 0.2 -W 5 fd08::1
check "the LAN host behind the server"      on adams-laptop ping -c 2 -i 0.2 -W 5 192.168.77.10
check "the LAN host, over IPv6"             on adams-laptop ping -c 2 -i 0.2 -W 5 fd77::10
check "evas-android, through the server"    on adams-laptop ping -c 2 -i 0.2 -W 5 10.8.0.3
check "and back: evas-android calls adam"   on evas-android ping -c 2 -i 0.2 -W 5 fd08::2
listen internet-host "$net_tmp/web.log" ncat -lk 80 -c 'echo "you come from $NCAT_REMOTE_ADDR"'
soon 10 listening internet-host 80
check_prints "the internet host, which sees the server's address, not the cafe's" 'you come from 198\.51\.100\.1$' \
	on adams-laptop timeout 20 ncat -w 10 --recv-only 192.0.2.80 80
check_prints "whereas evas-android sends only what is for home through the tunnel" 'you come from 203\.0\.113\.21$' \
	on evas-android timeout 20 ncat -w 10 --recv-only 192.0.2.80 80
check_prints "the server has shaken hands with both" '^2$' \
	bash -c "ip netns exec server wg show wg0 latest-handshakes | awk '\$2 > 0' | wc -l"

chapter "evas-android walks out of the house: from the wireless network to the mobile one"
endpoint_of() { on server wg show wg0 endpoints | awk -v k="${public[$1]}" '$1 == k { print $2 }'; }
listen lan-host "$net_tmp/echo.log" ncat -lk 7 -e /bin/cat
soon 10 listening lan-host 7
# From here on wg-monitor watches the server's peers; its events are shown at once.
ip netns exec server "$monitor" watch wg0 > >(tee "$net_tmp/events" | sed -u 's/^/#   wg-monitor: /') 2>&1 &
watching=$!
if soon 20 on server grep -qE '^[0-9a-f]+ +16 +[0-9]+ +[0-9a-f]*[1-9a-f]' /proc/net/netlink; then
	note "the server runs wg-monitor watch, which names peers by their keys: evas-android is ${public[evas-android]:0:8}…"
else
	note "nothing is watched then"
	watching=''
fi
coproc call { ip netns exec evas-android timeout 60 ncat 192.168.77.10 7; }
say_and_hear() {
	local heard
	echo "$1" >&"${call[1]}" && read -r -t 20 heard <&"${call[0]}" && [ "$heard" = "$1" ]
}
check "she opens a connection to the LAN host and hears her own words" say_and_hear 'at home'
before=$(endpoint_of evas-android)
note "the server knows evas-android at $before"
check_prints "which is home-wifi's address" '^203\.0\.113\.21:' endpoint_of evas-android
walk_out() {
	ip -n evas-android link set wlan0 down &&
	ip -n evas-android link set rmnet0 up &&
	ip -n evas-android route replace default via 100.64.5.1
}
check "she loses one network and finds another (WireGuard is not told)" walk_out
check "the same connection goes on: she still hears her own words" say_and_hear 'on the street'
check_prints "the server has learned her new endpoint: mobile's address" '^203\.0\.113\.30:' endpoint_of evas-android
# told WORDS REGEX: what watch said.
told() {
	soon 10 grep -Eq -- "$2" "$net_tmp/events"
	check_prints "$1" "$2" cat "$net_tmp/events"
}
! monitored || told "and wg-monitor watch tells that she moved, and from where to where" \
	"wg0 $(shown evas-android) moved from 203\.0\.113\.21:[0-9]+ to 203\.0\.113\.30:[0-9]+"
check_prints "her configuration is as it was" '^198\.51\.100\.1:51820$' bash -c "ip netns exec evas-android wg show wg0 endpoints | cut -f 2"
check "and home can call her there" on lan-host ping -c 2 -i 0.2 -W 5 10.8.0.3
exec {call[1]}>&-

chapter "A peer can speak only for its own addresses"
ip -n adams-laptop address add 10.8.0.77/32 dev wg0
errors=$(statistic server wg0 rx_frame_errors)
note "the server has dropped $errors packets for their inner source so far; lan-host listens for what arrives from 10.8.0.77"
capture lan-host eth0 "$net_tmp/spoofed.pcap" src host 10.8.0.77
check_fails "adam sends 3 packets through his tunnel as 10.8.0.77, which is not his: no answer" \
	on adams-laptop ping -c 3 -i 0.2 -W 1 -I 10.8.0.77 192.168.77.10
capture_end
check_equal "not one arrived at lan-host" "$(tcpdump -nr "$net_tmp/spoofed.pcap" 2>/dev/null | wc -l)" 0
check_equal "the server dropped and counted exactly these 3" "$(($(statistic server wg0 rx_frame_errors) - errors))" 3
check "with his own address he still gets through" on adams-laptop ping -c 1 -W 5 192.168.77.10
ip -n adams-laptop address del 10.8.0.77/32 dev wg0

chapter "Somebody on the internet forges a packet"
capture server wan "$net_tmp/overheard.pcap" src host 203.0.113.30 and udp dst port 51820
check "evas-android writes home; internet-host has overheard it" on evas-android ping -c 2 -i 0.2 -W 5 10.8.0.1
capture_end
check "internet-host sends the server such a packet of her session, but cannot seal it" \
	on internet-host "$here/../lib/forge.py" "$net_tmp/overheard.pcap" 198.51.100.1 51820
check_prints "the server does not take its sender for her" '^203\.0\.113\.30:' endpoint_of evas-android
if monitored; then
	note "wg-monitor stats wg0 on the server, what it says of her:"
	on server "$monitor" stats wg0 | sed -n "/${public[evas-android]//\//\\/}/,/^$/p" | tee "$net_tmp/stats" | sed 's/^/#     /'
	check_prints "it refused the packet, and tells why" 'dropped: +not authentic 1$' grep dropped: "$net_tmp/stats"
	check_equal "to be forged is no event: nothing was told" "$(grep -c '192\.0\.2\.80' "$net_tmp/events")" 0
	kill "$watching"
fi

chapter "No peer for a destination: the sender is told at once"
# The moments of sending and of the answer, as the kernel recorded them: how fast this machine starts programs does not count.
shortest_wait() {
	tcpdump -ttnr "$1" 2>/dev/null | awk '
		/echo request/ { sent = $1 }
		/unreachable/ && sent { wait = ($1 - sent) * 1000; if (!told++ || wait < least) least = wait; sent = 0 }
		END { if (told) printf "%.0f\n", least; else print "never" }'
}
check_prints "the server asks for 10.8.0.99, which is nobody's: unreachable" 'Destination Host Unreachable' on server ping -c 1 -W 10 10.8.0.99
capture server any "$net_tmp/unreachable.pcap" icmp
check_fails "three pings end long before the ten minutes that they would wait" on server timeout 120 ping -c 3 -i 0.2 -W 600 10.8.0.99
capture_end
check_number "for they were told at once: milliseconds from a ping to its answer" "$(shortest_wait "$net_tmp/unreachable.pcap")" -lt 1000
check_prints "the same over IPv6" 'Address unreachable' on server ping -c 1 -W 10 fd08::99
check_prints "evas-android hears it from the server, through her tunnel" 'From 10.8.0.1 .*Destination Host Unreachable' on evas-android ping -c 1 -W 10 10.8.0.99

chapter "What the internet sees of it"
capture backbone isp "$net_tmp/underlay.pcap"
capture server wg0 "$net_tmp/inside.pcap"
listen lan-host "$net_tmp/letter" ncat -l 25
soon 10 listening lan-host 25
letter() { for _ in {1..200}; do echo "$marker"; done; }
check "adam sends a letter of 200 lines to lan-host, while the backbone and the server record" \
	on adams-laptop timeout 30 ncat -w 10 --send-only 192.168.77.10 25 < <(letter)
soon 10 bash -c "[ \$(wc -l <'$net_tmp/letter') = 200 ]"
check_equal "it arrived whole" "$(sha256sum <"$net_tmp/letter")" "$(letter | sha256sum)"
capture_end
lines_in() { grep -aoF "$marker" "$1" | wc -l; }
check_number "inside the tunnel (the server's wg0) the recording holds its lines in the clear" "$(lines_in "$net_tmp/inside.pcap")" -ge 190
# Bytes, not packets: datagrams that are sent together pass a virtual cable as one.
bytes_recorded() { tcpdump -nr "$1" udp port 51820 2>/dev/null | awk '{ sum += $NF } END { print sum + 0 }'; }
check_number "the backbone recorded at least as many bytes as the letter has" "$(bytes_recorded "$net_tmp/underlay.pcap")" -ge "$(letter | wc -c)"
check_equal "but not one line of the letter can be read there" "$(lines_in "$net_tmp/underlay.pcap")" 0
check_equal "and nothing but WireGuard's UDP packets passed between adam and the server" \
	"$(tcpdump -nr "$net_tmp/underlay.pcap" host 203.0.113.10 and not udp port 51820 2>/dev/null | wc -l)" 0
show bash -c "tcpdump -nr $net_tmp/underlay.pcap -c 4 2>/dev/null"

chapter "How fast it is here (a virtual machine that emulates its processor: only good for comparing)"
iperf_server server
iperf_server lan-host
check_prints "TCP, adams-laptop to the server"              '[1-9].* Mbit/s' iperf adams-laptop -c 10.8.0.1 -n 5M
check_prints "TCP, the server to adams-laptop, over IPv6"   '[1-9].* Mbit/s' iperf adams-laptop -c fd08::1 -n 5M -R
check_prints "TCP, lan-host to evas-android"                '[1-9].* Mbit/s' iperf evas-android -c 192.168.77.10 -n 5M -R
check_prints "UDP, adams-laptop to lan-host at 10 Mbit/s"   '[1-9].* Mbit/s' iperf adams-laptop -c 192.168.77.10 -u -b 10M -t 2

chapter "What the server says about its peers"
show on server wg show
check_equal "the server has dropped nothing that it was asked to send" "$(statistic server wg0 tx_dropped)" 0

chapter "Everything goes down again"
for name in adams-laptop evas-android server; do
	check "wg-quick takes wg0 down on $name" on "$name" wg-quick down "$conf/$name/wg0.conf"
done
check_prints "adam's own road is back: he comes from the cafe again" 'you come from 203\.0\.113\.10$' \
	on adams-laptop timeout 20 ncat -w 10 --recv-only 192.0.2.80 80
check_quiet_kernel "the kernel had nothing to complain about"
finish
