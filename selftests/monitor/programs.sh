#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# wg-monitor (scripts/monitor): each of its commands on a real tunnel, what it says when something is wrong, and the dashboard's
# queries, asked of a real Prometheus.

here=$(cd -- "$(dirname -- "$0")" && pwd -P)
. "$here/../lib/check.sh"
. "$here/../lib/net.sh"
. "$here/../lib/wg.sh"
. "$here/scene.sh"

modprobe -r wireguard

chapter "Help, and what is wrong"
check_prints "it tells its commands" 'prometheus +metrics' "$program" --help
for command in watch top stats prometheus; do
	check_prints "and those each what it does" "^usage: wg-monitor $command" "$program" $command --help
done
# says WORDS REGEX COMMAND...: it fails with one line, which matches.
says() {
	local words=$1 regex=$2 status=0; shift 2
	show_command "$@"
	timeout 60 "$@" >"$check_log/output" 2>&1 || status=$?
	output
	if [ $status = 1 ] && [ "$(wc -l <"$check_log/output")" = 1 ] && grep -Eq "^wg-monitor: error: $regex" "$check_log/output"; then pass "$words"
	else note "exit status $status, wanted: $regex"; fail "$words"; fi
}
check_prints "an unknown command is refused" 'invalid choice' "$program" listen
check_prints "an interval of nothing, too" 'from 0.1 to 3600' "$program" top --interval 0
# Who asks for the family would load the module.
echo 'install wireguard /bin/false' >/etc/modprobe.d/no-wireguard.conf
for command in watch top stats prometheus; do
	says "$command says that no module is loaded" 'the module wireguard is not loaded: modprobe wireguard$' "$program" $command
done
rm /etc/modprobe.d/no-wireguard.conf
other=$(find "/lib/modules/$(uname -r)/kernel" -name 'wireguard.ko*')
with_the_other() {
	local needs
	IFS=, read -ra needs < <(modinfo -F depends "$other")
	modprobe -a "${needs[@]}" && insmod "$other"
}
check "the C driver is loaded in its place" with_the_other
says "this is told apart" 'the module wireguard that is loaded is the C driver' "$program" stats
rmmod wireguard
check "and now the one in Rust" modprobe wireguard || finish
says "a device that is not there" 'there is no device wg7$' "$program" stats wg7
says "one that is not a tunnel" 'lo is not a WireGuard device$' "$program" watch lo
says "no permission for counters" 'this needs root' setpriv --reuid 65534 --clear-groups --inh-caps=-all "$program" stats lo
says "none for events" 'this needs root' setpriv --reuid 65534 --clear-groups --inh-caps=-all "$program" watch
says "top without a terminal" 'top needs a terminal' "$program" top

chapter "A tunnel: ours, a router, and wireguard-go"
quiet_kernel_begin
keys absent
check "the scene is built" build_the_scene wireguard-go || finish

chapter "watch"
# watching NAME ARGUMENT...: in the background, with what it says in files; ready when this returns.
declare -A watcher
watching() {
	local name=$1; shift
	ip netns exec kernel "$program" watch "$@" >"$net_tmp/$name" 2>"$net_tmp/$name.errors" </dev/null &
	watcher[$name]=$!
	soon 30 listens
}
# As many sockets are in the group as there are programs.
# shellcheck disable=SC2016 # for awk
listens() { [ "$(on kernel awk '$2 == 16 && $4 != "00000000"' /proc/net/netlink | wc -l)" -ge ${#watcher[@]} ]; }
heard() { grep -Eq -- "$2" "$net_tmp/$1"; }
tells() { # tells WORDS REGEX: of watch, in words, while it goes on
	if soon 20 heard text "$2"; then grep -E -- "$2" "$net_tmp/text" | tail -n 1 | sed 's/^/#     /'; pass "$1"
	else sed 's/^/#     /' "$net_tmp/text" | tail -n 20; note "not found in this: $2"; fail "$1"; fi
}
# With room for some eighty events.
memory=$(sysctl -n net.core.rmem_max)
sysctl -qw net.core.rmem_max=32768
check "it starts, for people" watching text
sysctl -qw net.core.rmem_max="$memory"
check "and for programs" watching json --json
ip -n kernel link add wg1 type wireguard
check "and for another device" watching other wg1
user=$(shown user) absent=$(shown absent)
on kernel wg set wg0 peer "${public[user]}" allowed-ips 10.2.0.2/32 endpoint 10.3.0.2:2
tells "a peer is added" "^[0-9]{4}-[0-9-]{5} [0-9:]{8}\.[0-9]{3} wg0 $user peer added$"
check "a ping makes a session" on kernel ping -c 1 -W 5 10.2.0.2
tells "the session, with the time of its handshake" ' session established as initiator, [0-9.]+ ms, endpoint 10\.3\.0\.2:2$'
sleep 1.1
on kernel wg set wg0 peer "${public[user]}" preshared-key "$net_tmp/psk"
tells "the peer is configured" ' peer configured anew$'
# Without a session of before.
on user wg set wgu peer "${public[kernel]}" remove
on user wg set wgu peer "${public[kernel]}" allowed-ips 10.2.0.1/32 preshared-key "$net_tmp/psk" endpoint 10.1.0.1:1
sleep 6
check "the other side makes one, too" soon 30 on user ping -c 1 -W 5 10.2.0.1
tells "that session, and its preshared key" ' session established as responder, endpoint 10\.3\.0\.2:2, with a preshared key$'
sleep 1.1
on user wg set wgu listen-port 3
check "the peer goes elsewhere, and pings from there" on user ping -c 1 -W 5 10.2.0.1
tells "so it is told" ' moved from 10\.3\.0\.2:2 to 10\.3\.0\.2:3$'
sleep 1.1
# peer-set-ntf, and less than a second after it the peer moves, and comes back.
on kernel wg set wg0 peer "${public[user]}" persistent-keepalive 100
for port in 4 3; do
	on user wg set wgu listen-port $port
	on user ping -c 1 -W 5 10.2.0.1 >/dev/null
done
tells "what has come back is told with where it is" ' moved, and is back at 10\.3\.0\.2:3$'
on kernel wg set wg0 peer "${public[absent]}" allowed-ips 10.2.0.9/32 endpoint 10.3.0.9:9
on kernel ping -c 1 -W 1 10.2.0.9 >/dev/null
sleep 95
tells "nobody answered there" ' no answer from 10\.3\.0\.9:9, given up after [0-9]+ attempts$'
on kernel wg set wg0 peer "${public[absent]}" remove
tells "a peer is removed" "$absent peer removed$"
# Each line is an object, with the names that it must have.
objects() {
	python3 - "$net_tmp/json" <<-'PY'
		import datetime, json, sys
		seen = set()
		for line in open(sys.argv[1]):
		    told = json.loads(line)
		    datetime.datetime.fromisoformat(told["time"])
		    assert told["ifname"] == "wg0" and len(told["public_key"]) == 44 and told["generation"] > 0, told
		    seen.add(told["event"])
		print(*sorted(seen))
	PY
}
sleep 0.5
check_prints "for programs the same are objects" '^endpoint handshake-failed peer-del peer-new peer-set session$' objects
note "$(grep -m 1 '"event": "session"' "$net_tmp/json")"
check_equal "as many as there are lines" "$(wc -l <"$net_tmp/json")" "$(wc -l <"$net_tmp/text")"
check_equal "nothing is told to whom another device is of interest" "$(cat "$net_tmp/other")" ""
check_equal "neither private nor preshared key is in any of it" \
	"$(cat "$net_tmp/text" "$net_tmp/json" | grep -cFf <(printf '%s\n' "${private[@]}" "$(cat "$net_tmp/psk")"))" 0
ends() { # ends SIGNAL NAME: quietly, as who asks it to
	local status=0 gone=0
	kill "-$1" "${watcher[$2]}"
	soon 10 bash -c "! kill -0 ${watcher[$2]} 2>/dev/null" || gone=1
	wait "${watcher[$2]}" 2>/dev/null || status=$?
	unset "watcher[$2]"
	[ $gone = 0 ] && [ $status = $((128 + $(kill -l "$1"))) ] && [ ! -s "$net_tmp/$2.errors" ]
}
check "it ends quietly when it is asked to" ends TERM other
ends TERM json
first_line() {
	( sleep 10; for i in 4 5; do on kernel wg set wg1 peer "${public[absent]}" persistent-keepalive $i; sleep 1.5; done ) &
	on kernel bash -c "'$program' watch wg1 2>&1 | head -n 1; echo \"\${PIPESTATUS[0]}\""
}
check_equal "and when nobody reads on, of a broken pipe" "$(first_line | sed 's/.*… //' | xargs)" "peer added 141"
# A shell gives what it starts in the background no Ctrl-C.
interrupted() { timeout --preserve-status -s INT 8 ip netns exec kernel "$program" watch >"$net_tmp/int" 2>&1; [ $? = 130 ] && [ ! -s "$net_tmp/int" ]; }
check "and by Ctrl-C" interrupted

chapter "watch, when too much happens"
# Of more than its socket's buffer holds, 30 a command.
python3 - >"$net_tmp/many" <<-'PY'
	import base64, os
	for _ in range(10):
	    print(*(f"peer {base64.b64encode(os.urandom(32)).decode()} allowed-ips 10.4.0.0/32" for _ in range(30)))
PY
# It is stopped meanwhile, as a busy machine would.
kill -STOP "${watcher[text]}"
lines=$(wc -l <"$net_tmp/text")
while read -r line; do
	# shellcheck disable=SC2086 # words
	on kernel wg set wg0 $line
done <"$net_tmp/many"
kill -CONT "${watcher[text]}"
tells "it says that something is lost" ' events came faster than they were read, and some are lost'
told() { tail -n "+$((lines + 1))" "$net_tmp/text" | grep -E 'peer added|changed meanwhile' | cut -d ' ' -f 4 | sort -u | wc -l; }
caught_up() { [ "$(told)" -ge "$1" ]; }
soon 60 caught_up 300
wanted=$(grep -o 'peer [^ ]*' "$net_tmp/many" | cut -c 6-13 | sort -u | wc -l)
check_equal "but not a peer of the 300 is missed" "$(told)" "$wanted"
kill -STOP "${watcher[text]}"
sed 's, allowed-ips 10.4.0.0/32, remove,g' "$net_tmp/many" | while read -r line; do
	# shellcheck disable=SC2086
	on kernel wg set wg0 $line
done
kill -CONT "${watcher[text]}"
tells "nor that there were removals" ' wg0 some peers were removed meanwhile'
ends TERM text

chapter "stats"
# A forged message for the last session: of the right form, for the right receiver.
capture kernel eth0 "$net_tmp/data.pcap" udp dst port 1 and greater 100
on user ping -c 5 -i 0.2 10.2.0.1 >/dev/null
capture_end
check "somebody forges a message" on user "$here/../lib/forge.py" "$net_tmp/data.pcap" 10.1.0.1 1
sleep 0.2
on kernel "$program" stats wg0 >"$net_tmp/stats" || fail "stats"
check_prints "that packet is counted, with the cause" '^ +dropped: +not authentic 1$' cat "$net_tmp/stats"
check_prints "the endpoint" '^ +endpoint: +10\.3\.0\.2:3$' sed -n '/endpoint/p' "$net_tmp/stats"
check_prints "when the last session was made, with what" '^ +last session: +[0-9]+ [a-z]+ ago, with a preshared key$' sed -n '/last session/p' "$net_tmp/stats"
on kernel "$program" stats --json wg0 >"$net_tmp/stats" || fail "stats --json"
check_equal "for programs: the peer, by its key" "$(json "$net_tmp/stats" '[p["public_key"] for d in d for p in d["peers"]]')" "['${public[user]}']"
# A keepalive may come between.
agree() {
	on kernel "$program" stats --json wg0 >"$net_tmp/stats"
	[ "$(json "$net_tmp/stats" '" ".join(str(d[0]["peers"][0][n + "_bytes"]) for n in ("rx", "tx"))')" = \
		"$(transfer kernel wg0 "${public[user]}" rx) $(transfer kernel wg0 "${public[user]}" tx)" ]
}
check "bytes as wg(8) tells them" soon 30 agree
check_equal "without a device: both" "$(on kernel "$program" stats --json >"$net_tmp/both"; json "$net_tmp/both" 'sorted(e["ifname"] for e in d)')" "['wg0', 'wg1']"

chapter "top"
screen() { on kernel env LC_ALL=C.UTF-8 python3 "$here/screen.py" "$@"; }
listen kernel /dev/null ping -i 0.2 10.2.0.2
pings=$!
check "in a terminal of 80 columns and 24 lines, q ends it" screen 80 24 15 lq "$program" top
cp "$check_log/output" "$net_tmp/screen"
sed 's/^/#     /' "$net_tmp/screen" | head -n 6
check_prints "it has both devices' peers" '^2 peers, 1 up; by loss' cat "$net_tmp/screen"
check_prints "a line for a peer" "^wg0 +$user 10\.3\.0\.2:3 +up +[0-9.]+k?B +[0-9.]+k?B +0\.0 +[0-9]+ +0 *$" cat "$net_tmp/screen"
check_prints "one that never was there" "^wg1 +$absent unknown +never" cat "$net_tmp/screen"
check "in a small one, too" screen 30 3 8 q "$program" top --interval 0.5 wg0
check_prints "and when it is broken off it sets the terminal back" '^back *$' screen 80 24 15 $'\x03q' bash -c "'$program' top; stty | grep -q -- '-echo' || echo back; read -r -n 1"

chapter "prometheus"
check "the metrics" bash -c "ip netns exec kernel '$program' prometheus >'$net_tmp/metrics'"
check_number "there are some" "$(grep -vc '^#' "$net_tmp/metrics")" -ge 30
check_equal "promtool has nothing to say about them" "$(promtool check metrics <"$net_tmp/metrics" 2>&1; echo $?)" 0
check_prints "and does about others" 'counter metrics should have "_total" suffix' \
	bash -c "sed 's/_sessions_total/_sessions/' '$net_tmp/metrics' | promtool check metrics"
check_prints "the forged message is in them" "^wireguard_peer_dropped_packets_total\{cause=\"not_authentic\",device=\"wg0\",public_key=\"${public[user]//+/\\+}\"\} 1\.0$" \
	grep not_authentic "$net_tmp/metrics"

chapter "The dashboard, asked of Prometheus"
mkdir "$net_tmp/web" "$net_tmp/prometheus"
printf '%s\n' 'global: {scrape_interval: 5s}' 'scrape_configs: [{job_name: wireguard, static_configs: [{targets: ["127.0.0.1:8000"]}]}]' >"$net_tmp/prometheus.yml"
check "its configuration is one" promtool check config "$net_tmp/prometheus.yml"
on kernel bash -c "while '$program' prometheus >'$net_tmp/web/new'; do mv '$net_tmp/web/new' '$net_tmp/web/metrics'; sleep 3; done" &
background=($!)
python3 -m http.server -b 127.0.0.1 -d "$net_tmp/web" 8000 >/dev/null 2>&1 &
background+=($!)
prometheus --config.file="$net_tmp/prometheus.yml" --storage.tsdb.path="$net_tmp/prometheus" --web.listen-address=127.0.0.1:9090 >"$net_tmp/prometheus.log" 2>&1 &
background+=($!)
ask() { "$here/dashboard.py" http://127.0.0.1:9090 "$@"; }
scraped() { python3 -c '
import json, sys, urllib.request
with urllib.request.urlopen("http://127.0.0.1:9090/api/v1/query?query=sum_over_time(up[5m])", timeout=60) as reply:
	sys.exit(sum(float(each["value"][1]) for each in json.load(reply)["data"]["result"]) < 2)'; }
check "it asks for the metrics" soon 120 scraped
# A drop that it sees happen: a source that the peer may not have.
ip -n user address add 10.2.0.77/32 dev wgu
check_fails "the peer pings as somebody else" on user ping -c 3 -i 0.2 -W 1 -I 10.2.0.77 10.2.0.1
check "each query has an answer, of numbers" soon 120 ask "${program%/*}/dashboard.json"
output 40
sed 's/receive_bytes/received_bytes/' "${program%/*}/dashboard.json" >"$net_tmp/wrong.json"
check_prints "which one about a metric that is not there has not" '^FAILED Received A' ask "$net_tmp/wrong.json"
kill "${background[@]}" $pings
wait "${background[@]}" $pings 2>/dev/null

pkill -x wireguard-go
check_quiet_kernel
finish
