#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# What the network below the tunnel gets to see: packets of different flows and senders stay apart, and buffers of several
# messages are no larger than the uplink allows, nor than is good for a slow one.

here=$(cd -- "$(dirname -- "$0")" && pwd -P)
. "$here/../lib/check.sh"
. "$here/../lib/net.sh"
. "$here/../lib/wg.sh"

need_wireguard
modprobe -a sch_htb sch_fq_codel sch_drr sch_ingress sch_cake act_police cls_matchall cls_flow || die "this kernel lacks traffic control"
quiet_kernel_begin
keys a b
host a b c
cable a cable 10.1.0.1/24,fd01::1/64 b cable 10.1.0.2/24,fd01::2/64
cable c lan 10.3.0.2/24 a lan 10.3.0.1/24
router a
wg_device a wg0 a 1000
wg_device b wg0 b 2000
on a wg set wg0 peer "${public[b]}" endpoint 10.1.0.2:2000 allowed-ips 10.2.0.2/32
on b wg set wg0 peer "${public[a]}" allowed-ips 10.2.0.1/32,10.3.0.0/24
ip -n a address add 10.2.0.1/24 dev wg0
ip -n b address add 10.2.0.2/24 dev wg0
ip -n a link set wg0 up
ip -n b link set wg0 up
ip -n b route add 10.3.0.0/24 dev wg0
ip -n c route add default via 10.3.0.1
check "a tunnel" on a ping -q -c 2 -i 0.2 -W 5 10.2.0.2

# mix.py ADDRESS COUNT TOGETHER SENDER...: so many packets, so many at a time, from the senders in turn. A sender is USER:PORT, with
# a socket of that user and this port at both ends.
cat >"$net_tmp/mix.py" <<'P'
import fcntl, os, socket, sys, termios, time
UDP_SEGMENT = 103
count, together = map(int, sys.argv[2:4])
senders = {}
for word in set(sys.argv[4:]):
    user, port = map(int, word.split(":"))
    os.setresuid(user, user, 0)
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    os.setresuid(0, 0, 0)
    sender.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, 200)
    sender.bind(("", port))
    senders[word] = sender, (sys.argv[1], port)
for number in range(count // together):
    sender, to = senders[sys.argv[4 + number % (len(sys.argv) - 4)]]
    try:
        sender.sendto(bytes(200 * together), to)
    except PermissionError:
        pass
# To a firewall a socket that is closed belongs to nobody: it stays open as long as packets of it are on their way.
for sender, to in senders.values():
    for _ in range(1000):
        if fcntl.ioctl(sender, termios.TIOCOUTQ, bytes(4)) == bytes(4): break
        time.sleep(0.01)
P

# arrived PORT...: so many packets for each of these ports have come out of the tunnel at b.
on b nft -f - <<'N'
table inet sink {
	chain in {
		type filter hook input priority 0
		udp dport 4001 counter drop
		udp dport 4002 counter drop
	}
}
N
arrived() { on b nft list chain inet sink in | sed -n "s/.*dport $1 counter packets \([0-9]*\) .*/\1/p"; }
forget() { on b nft -f - <<<"$(on b nft -s list table inet sink | sed 's/^table/flush table inet sink\n&/')"; }
settle() { soon 10 bash -c 'a=$(ip netns exec b cat /sys/class/net/wg0/statistics/rx_packets); sleep 1; [ "$a" = "$(ip netns exec b cat /sys/class/net/wg0/statistics/rx_packets)" ]'; }

chapter "Packets of two users: what a firewall below the tunnel does with one's concerns that one's only"
on a nft -f - <<'N'
table inet below {
	chain out {
		type filter hook output priority 0
		meta oifname "cable" meta skuid 1001 counter drop
	}
}
N
forget
on a python3 "$net_tmp/mix.py" 10.2.0.2 2000 1 1001:4001 1002:4002
settle
check_number "of 1,000 packets of the one who is blocked hardly one gets through" "$(arrived 4001)" -le 1
check_number "and of the other's all do" "$(arrived 4002)" -ge 999
on a nft delete table inet below

# The lowest bit of a flow's hash chooses a class, and classes count.
by_hash() {
	tc -n a qdisc del dev cable root 2>/dev/null
	tc -n a qdisc add dev cable root handle 1: drr && tc -n a class add dev cable classid 1:1 drr && tc -n a class add dev cable classid 1:2 drr &&
		tc -n a filter add dev cable protocol all pref 10 handle 1 flow map key rxhash and 0x1 baseclass 1:1
}
hash_counts() { tc -n a -s class show dev cable | awk '/class drr 1:/ { c = $3 } / Sent / { n[c] = $4 } END { print n["1:1"] + 0, n["1:2"] + 0 }'; }
chapter "Forwarded flows, which have no socket: each keeps its hash"
zero='' one=''
for port in $(seq 4100 4150); do
	by_hash || break
	on c python3 "$net_tmp/mix.py" 10.2.0.2 8 8 "0:$port"
	settle
	read -r even odd < <(hash_counts)
	if [ "$even" -ge 8 ]; then zero=$port; elif [ "$odd" -ge 8 ]; then one=$port; fi
	[ -z "$zero" ] || [ -z "$one" ] || break
done
check_number "two flows whose hashes differ are found (ports ${zero:-none}, ${one:-none})" $((${zero:-0} * ${one:-0})) -gt 0
by_hash
on c python3 "$net_tmp/mix.py" 10.2.0.2 3200 8 "0:${zero:-4100}" "0:${one:-4101}" "0:${zero:-4100}" "0:${zero:-4100}"
settle
read -r even odd < <(hash_counts)
check_number "of 3,200 packets, three of the one for each of the other, as many have the one's hash" "$even" -ge 2396
check_number "and not more" "$even" -le 2404
check_number "the rest the other's" "$odd" -ge 796
tc -n a qdisc del dev cable root

chapter "The uplink's limits for buffers of several packets"
# A class has a queue of its own, which nothing passes by; it is fast, so that nothing waits in it for long.
shape() { # shape RATE BURST QDISC...
	local rate=$1 burst=$2; shift 2
	tc -n a qdisc del dev cable root 2>/dev/null
	tc -n a qdisc add dev cable root handle 1: htb default 1 &&
		tc -n a class add dev cable parent 1: classid 1:1 htb rate "$rate" burst "$burst" cburst "$burst" quantum 60000 &&
		tc -n a qdisc add dev cable parent 1:1 handle 2: "$@"
}
largest() { tc -n a -s qdisc show dev cable | sed -n 's/.*maxpacket \([0-9]*\).*/\1/p'; }
limits() { # limits TX-SETTINGS: of ip link, or "off"
	ip -n a link set cable gso_max_size 65536 gso_max_segs 65535
	on a ethtool -K cable gso on
	case $1 in
	off) on a ethtool -K cable gso off ;;
	*) # shellcheck disable=SC2086 # words
		ip -n a link set cable $1 ;;
	esac
}
iperf_server b 10.2.0.2
bulk() { iperf a -c 10.2.0.2 -t 1 "$@" && iperf a -c 10.2.0.2 -u -b 0 -l 1300 -t 1; }
limits "gso_max_size 65536"
shape 10gbit 200k fq_codel
check "bulk over TCP and UDP" bulk
ours() { [ "$(cat /sys/module/wireguard/version)" = 1.0.0 ] && grep -q '^wireguard .*(.*O' /proc/modules; }
if ours; then
	check_number "without limits there are large buffers" "$(largest)" -gt 10000
fi
while read -r most words; do
	limits "$words"
	shape 10gbit 200k fq_codel
	check "bulk with $words" bulk
	check_number "no larger packet than that has been in the queue" "$(largest)" -le "$most"
done <<'L'
5000 gso_max_size 5000
3100 gso_max_segs 2
1514 off
L
limits "gso_max_size 65536"
# In the middle of it, too.
shape 10gbit 200k fq_codel
on a iperf3 -c 10.2.0.2 -t 3 -J >"$net_tmp/middle.json" &
sleep 1
on a ethtool -K cable gso off
sleep 0.3
tc -n a qdisc replace dev cable parent 1:1 handle 3: fq_codel
check "bulk goes on when they are changed" wait $!
check_number "and from then on keeps to the new ones" "$(largest)" -le 1514
limits "gso_max_size 65536"

chapter "A slow uplink"
for queue in fq_codel cake; do
	shape 20mbit 4k $queue
	if [ $queue = fq_codel ]; then
		on a iperf3 -c 10.2.0.2 -t 3 >/dev/null &
		# TCP begins with bursts, at a rate of their own.
		sleep 1
		tc -n a qdisc replace dev cable parent 1:1 handle 4: fq_codel
		wait $!
		check_number "on 20 Mbit/s no more than two messages share a buffer" "$(largest)" -le 3100
	fi
	on a iperf3 -c 10.2.0.2 -t 3 >/dev/null &
	sleep 1
	check "beside bulk, all pings are answered ($queue)" on a ping -q -c 20 -i 0.05 -W 2 10.2.0.2
	wait $!
done
# What is forwarded has no socket that holds its sender back, so the queue is as full as it may be. With the C driver that is 10,240 small packets,
# most of which do not arrive. CoDel is told to drop nothing: how much it would depends on for how long they wait.
if ours; then
	shape 1mbit 4k fq_codel target 100s interval 200s
	forget
	on c python3 "$net_tmp/mix.py" 10.2.0.2 12000 8 0:4001
	queued=$(tc -n a -s qdisc show dev cable | sed -n '/ fq_codel /,$s/.*backlog [^ ]* \([0-9]*\)p.*/\1/p')
	check_number "of 12,000 small packets that are forwarded thousands wait" "$queued" -ge 5000
	check "a ping overtakes them" on c ping -q -c 2 -i 0.2 -W 2 10.2.0.2
	tc -n a class change dev cable parent 1: classid 1:1 htb rate 10gbit burst 200k cburst 200k quantum 60000
	settle
	check_number "and then they do not come too late for the replay window ($queued waited)" "$(arrived 4001)" -ge "$queued"
fi
tc -n a qdisc del dev cable root
tc -n a qdisc add dev cable clsact
tc -n a filter add dev cable egress matchall action police rate 20mbit burst 10k conform-exceed drop
lost=$(iperf a -c 10.2.0.2 -u -b 10M -l 1200 -t 2)
check_prints "a policer with a bucket of 10 kB lets a slower flow pass ($lost)" ', [0-4]\.[0-9]% of' echo "$lost"
tc -n a qdisc del dev cable clsact

check_quiet_kernel
finish
