# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2154 # its variables are the caller's
# What holds on a way that is not smooth, whatever is at the other end. For a script whose hosts are `$one`, with the module
# that is looked at, and `$two`, at the ends of a tunnel of the links `$link_one` and `$link_two` over the cards `$card_one` and
# `$card_two`, with 10.2.0.1 and 10.2.0.2 inside; `$volume` is how many bytes make a stream. Behind `$one` a host `plain` is made,
# 10.3.0.2, whose addresses `$two` must allow `$one`.

stream=$(dirname -- "${BASH_SOURCE[0]}")/stream.py

# both_ways WORDS [rough]
both_ways() {
	check "$1: a stream to $two" on "$one" python3 -B "$stream" tcp 10.2.0.2 up "$volume"
	check "$1: a stream from $two" on "$one" python3 -B "$stream" tcp 10.2.0.2 down "$volume"
	check "$1: datagrams to $two" on "$one" python3 -B "$stream" udp 10.2.0.2 up 320 3000 ${2-}
	check "$1: datagrams from $two" on "$one" python3 -B "$stream" udp 10.2.0.2 down 320 3000 ${2-}
}

# meanwhile WORDS CHANGE...: a stream each way, during which CHANGE is called with 0, 1, 2, and so on.
meanwhile() {
	local words=$1 way n status; shift
	for way in up down; do
		n=0 status=0
		on "$one" python3 -B "$stream" tcp 10.2.0.2 $way $((4 * volume)) >"$check_log/flow" 2>&1 &
		while kill -0 $! 2>/dev/null; do
			"$@" $n >/dev/null 2>&1
			n=$((n + 1))
			sleep 0.05
		done
		wait $! || status=$?
		note "$(<"$check_log/flow"); $n changes"
		[ $n -ge 2 ] || status=1
		verdict $status "$words: a stream, $way"
	done
}

mtus() { # mtus LINKS CARDS
	on "$one" ip link set "$card_one" mtu "$2"; on "$two" ip link set "$card_two" mtu "$2"
	on "$one" ip link set "$link_one" mtu "$1"; on "$two" ip link set "$link_two" mtu "$1"
}
path_changes() {
	case $(($1 % 6)) in
	0) on "$one" ip link set "$link_one" mtu 1300 ;;
	1) on "$two" ip link set "$link_two" mtu 1333 ;;
	2) on "$one" ip link set "$card_one" mtu 1400 ;;
	3) on "$one" ip route replace 10.2.0.2/32 dev "$link_one" mtu 1280 ;;
	4) on "$one" ip link set "$card_one" mtu 1500; on "$one" ip link set "$link_one" mtu 1420 ;;
	5) on "$one" ip route del 10.2.0.2/32 dev "$link_one"; on "$two" ip link set "$link_two" mtu 1420 ;;
	esac
}
offloads() { # offloads HOST LINK CARD on|off
	on "$1" bash -c "ethtool -K $3 tx $4 sg $4; ethtool -K $3 gso $4 tso $4; ethtool -K $3 tx-udp-segmentation $4; ethtool -K $3 gro $4
		ethtool -K $2 tx $4 sg $4; ethtool -K $2 gso $4 tso $4; ethtool -K $2 gro $4"
}
offloads_change() { # offloads_change HOST LINK CARD NUMBER
	if [ $(($4 % 2)) = 0 ]; then offloads "$1" "$2" "$3" off; else offloads "$1" "$2" "$3" on; fi
}
no_faults() { check_equal "$one counted no faulty packet" "$(on "$one" cat "/sys/class/net/$link_one/statistics/rx_errors")" "${faults_before:-0}"; }

rough() {
	on "$two" bash -c "python3 -B $stream serve >/dev/null 2>&1 </dev/null &"
	soon 20 on "$one" python3 -B "$stream" tcp 10.2.0.2 up 1000
	faults_before=$(on "$one" cat "/sys/class/net/$link_one/statistics/rx_errors")

	chapter "Every length, at every MTU"
	local mtu
	for mtu in 1280 1420 9000; do
		mtus $mtu $((mtu > 1420 ? 9100 : 1500))
		both_ways "MTU $mtu"
	done
	mtus 1420 1500
	check "datagrams that were sent many at once, to a socket that takes several at once" on "$one" python3 -B "$stream" gro 10.2.0.2 320
	no_faults

	chapter "A host behind $one, with a link that can do nothing for it"
	ip netns add plain
	on "$one" bash -c "
		ip link add lan type veth peer name eth0 netns plain
		sysctl -qw net.ipv4.ip_forward=1
		ip address add 10.3.0.1/24 dev lan
		ip link set lan up
		ethtool -K lan tx off sg off gro off >/dev/null"
	ip -n plain address add 10.3.0.2/24 dev eth0
	ip -n plain link set eth0 up
	ip -n plain route add default via 10.3.0.1
	ip netns exec plain ethtool -K eth0 tx off sg off gro off >/dev/null
	on "$two" ip route add 10.3.0.0/24 dev "$link_two"
	ip netns exec plain tcpdump -Z root -n -U -B 65536 -i eth0 -w "$check_log/plain.pcap" 2>"$check_log/tcpdump" </dev/null &
	soon 10 grep -q listening "$check_log/tcpdump"
	check "a stream from it to $two" ip netns exec plain python3 -B "$stream" tcp 10.2.0.2 up "$volume"
	check "a stream to it from $two" ip netns exec plain python3 -B "$stream" tcp 10.2.0.2 down "$volume"
	check "datagrams from it" ip netns exec plain python3 -B "$stream" udp 10.2.0.2 up 320 1392
	check "datagrams to it" ip netns exec plain python3 -B "$stream" udp 10.2.0.2 down 320 1392
	sleep 0.5
	{ kill $! && wait $!; } 2>/dev/null
	tcpdump -vvnr "$check_log/plain.pcap" ip 2>/dev/null >"$check_log/plain"
	check_number "of the packets at its card, those with a sum that tcpdump finds correct" "$(grep -cE '\(correct\)|udp sum ok' "$check_log/plain")" -gt 1000
	check_equal "and those with another" "$(grep -cE 'incorrect|bad (udp )?cksum|bad-cksum' "$check_log/plain")" 0
	ip netns del plain
	no_faults

	chapter "The path's MTU, and what links can do, change while data flows"
	meanwhile "MTUs" path_changes
	mtus 1420 1500
	on "$one" ip route del 10.2.0.2/32 dev "$link_one" 2>/dev/null
	meanwhile "offloads of $one" offloads_change "$one" "$link_one" "$card_one"
	offloads "$one" "$link_one" "$card_one" on >/dev/null 2>&1
	meanwhile "offloads of $two" offloads_change "$two" "$link_two" "$card_two"
	offloads "$two" "$link_two" "$card_two" on >/dev/null 2>&1
	no_faults

	chapter "A way that loses, doubles and lets overtake"
	local host card
	for host in one two; do
		card=card_$host
		check "netem at ${!host}" on "${!host}" tc qdisc replace dev "${!card}" root netem limit 10000 delay 1ms loss 1% duplicate 1% reorder 2%
	done
	both_ways "a rough way" rough
	for host in one two; do card=card_$host; on "${!host}" tc qdisc del dev "${!card}" root; done
	on "$two" pkill -f "stream.py serve"
}
