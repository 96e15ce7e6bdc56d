# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Hosts made of network namespaces, joined by virtual cables. Everything made here is gone when the script ends.

hosts=()
net_tmp=$(mktemp -d /tmp/net.XXXXXX)

[ "$(id -u)" = 0 ] || { echo "${0##*/}: error: must be root, to make network namespaces" >&2; exit 2; }
[ -e /proc/self/ns/net ] || { echo "${0##*/}: error: this kernel has no network namespaces" >&2; exit 2; }

# host NAME...: new hosts, each with its own interfaces, addresses, routes and firewall.
host() {
	local name
	for name; do
		ip netns add "$name" || return
		hosts+=("$name")
		ip -n "$name" link set lo up
		# No duplicate address detection: addresses are usable at once.
		on "$name" sysctl -qw net.ipv6.conf.default.accept_dad=0 net.ipv6.conf.all.accept_dad=0 net.ipv4.ping_group_range='0 2147483647'
	done
}

# on NAME COMMAND...: runs a command on a host.
on() { local name=$1; shift; ip netns exec "$name" "$@"; }

# router NAME...: these hosts forward packets.
router() {
	local name
	for name; do
		on "$name" sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 net.ipv4.icmp_msgs_per_sec=10000 net.ipv4.icmp_msgs_burst=1000
	done
}

# cable HOST INTERFACE ADDRESSES HOST INTERFACE ADDRESSES [MTU]: a cable between two hosts; addresses by commas, or "".
cable() {
	local a
	ip link add "$2" netns "$1" type veth peer name "$5" netns "$4" || return
	ip -n "$1" link set "$2" ${7:+mtu "$7"} up
	ip -n "$4" link set "$5" ${7:+mtu "$7"} up
	for a in ${3//,/ }; do ip -n "$1" address add "$a" dev "$2"; done
	for a in ${6//,/ }; do ip -n "$4" address add "$a" dev "$5"; done
}

# masquerade HOST INTERFACE: what leaves by that interface gets its address as the sender.
masquerade() {
	on "$1" nft -f - <<-NFT
		table ip home { chain out { type nat hook postrouting priority srcnat; oifname "$2" masquerade; }; }
		table ip6 home { chain out { type nat hook postrouting priority srcnat; oifname "$2" masquerade; }; }
	NFT
}

# statistic HOST INTERFACE COUNTER
statistic() { on "$1" cat "/sys/class/net/$2/statistics/$3"; }

# read_in PROGRAM...: has the machine read programs and their libraries. One that counts instructions leaps ahead while it waits
# for the disk and has nothing else to do: seconds pass for who waits for what such a program says.
read_in() {
	local path libraries
	for path; do
		path=$(command -v "$path") || continue
		mapfile -t libraries < <(ldd "$path" 2>/dev/null | grep -o '/[^ ]*')
		cat "$path" "${libraries[@]}" >/dev/null
	done
}

# listen HOST LOG COMMAND...: starts a server in the background.
listen() {
	local host=$1 log=$2
	shift 2
	read_in "$1"
	ip netns exec "$host" "$@" >"$log" 2>&1 </dev/null &
}

# listening HOST PORT [t|u]: whether a socket listens there.
listening() { [ -n "$(ss -N "$1" -"${3:-t}"lnH "sport = $2")" ]; }

# iperf_server HOST [ADDRESS]: an iperf3 server, ready when this returns.
iperf_server() {
	listen "$1" "$net_tmp/iperf-$1.log" iperf3 -s ${2:+-B "$2"}
	soon 10 listening "$1" 5201
}

# iperf HOST ARGUMENTS...: an iperf3 client that prints one figure: Mbit/s received, and, for UDP, the share lost.
iperf() {
	local host=$1; shift
	ip netns exec "$host" iperf3 --connect-timeout 5000 -J "$@" >"$net_tmp/iperf.json" || { grep -h '"error"' "$net_tmp/iperf.json"; return 1; }
	python3 - "$net_tmp/iperf.json" <<-'PY'
		import json, sys
		end = json.load(open(sys.argv[1]))["end"]
		received = end.get("sum_received") or end["sum"]
		line = "%.3f Mbit/s" % (received["bits_per_second"] / 1e6)
		if "lost_percent" in end.get("sum", {}):
		    line += ", %.1f%% of %d datagrams lost" % (end["sum"]["lost_percent"], end["sum"]["packets"])
		print(line)
		sys.exit(received["bits_per_second"] <= 0)
	PY
}

# capture HOST INTERFACE FILE [FILTER...]: records packets; capture_end stops all recordings and waits for their files.
# In immediate mode each packet occupies as much of the buffer as the longest could: this is room for a thousand.
captures=()
capture() {
	local host=$1 interface=$2 file=$3; shift 3
	read_in tcpdump
	ip netns exec "$host" tcpdump -Z root -n -U --immediate-mode -s 65535 -B 65536 -i "$interface" -w "$file" "$@" >"$file.log" 2>&1 </dev/null &
	captures+=($!)
	soon 10 grep -q 'listening on' "$file.log" || { cat "$file.log" >&2; return 1; }
}
capture_end() {
	local pid
	sleep 0.3
	for pid in "${captures[@]}"; do kill -INT "$pid" 2>/dev/null; done
	for pid in "${captures[@]}"; do wait "$pid" 2>/dev/null; done
	captures=()
}

net_cleanup() {
	local name pids
	for name in "${hosts[@]}"; do
		pids=$(ip netns pids "$name" 2>/dev/null)
		# shellcheck disable=SC2086 # a list
		[ -z "$pids" ] || kill $pids 2>/dev/null
	done
	[ ${#hosts[@]} = 0 ] || sleep 0.2
	for name in "${hosts[@]}"; do
		pids=$(ip netns pids "$name" 2>/dev/null)
		# shellcheck disable=SC2086 # a list
		[ -z "$pids" ] || kill -9 $pids 2>/dev/null
		ip netns del "$name" 2>/dev/null
	done
	hosts=()
	rm -rf "$net_tmp" "${check_log:-/nonexistent}"
}
trap net_cleanup EXIT
trap 'exit 130' INT TERM
