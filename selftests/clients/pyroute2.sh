# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2154,SC2016 # what clients.sh and lib/ set; words for an inner shell
# The library pyroute2: its IPRoute makes and removes links, its WireGuard sets and reads them. Part of clients.sh.

# library COMMAND...: has pyroute2-client.py do it, and prints its answer.
library() {
	local line
	echo "${*//$'\n'/ }" >&6 || return
	while read -r -t 120 line <&5; do
		case $line in
		ok) return 0 ;;
		error*) echo "$line"; return 1 ;;
		*) echo "$line" ;;
		esac
	done
	echo "pyroute2-client.py has ended: $(tail -n 1 "$net_tmp/python.log")"
	return 1
}
set_peer() { library set wg0 "{\"peer\": {\"public_key\": \"${public[$1]}\", $2}}"; }
peer_line() { library show wg0 | grep "^${public[$1]} "; }

chapter "pyroute2"
coproc python { exec ip netns exec client python3 "$here/pyroute2-client.py" 2>"$net_tmp/python.log"; }
# Copies: subshells do not get those of coproc.
exec 5<&"${python[0]}" 6>&"${python[1]}"
state_of_client >"$net_tmp/before"
server_expects "$net_tmp/psk"
check "a link of the kind wireguard with two addresses" library create wg0 10.8.0.2/24 fd08::2/64
check_prints "IPRoute says what it is" '^wireguard$' library kind wg0
check "its key, port and mark" library set wg0 "{\"private_key\": \"${private[client]}\", \"listen_port\": 51000, \"fwmark\": 51}"
check "a peer" set_peer server "\"preshared_key\": \"$(cat "$net_tmp/psk")\", \"endpoint_addr\": \"10.2.0.2\", \"endpoint_port\": 51820,
	\"persistent_keepalive\": 25, \"allowed_ips\": [\"10.8.0.0/24\", \"fd08::/64\"]"
check "up" library up wg0
check "the tunnel carries IPv4" answers 10.8.0.1
check "and IPv6" answers fd08::1
check_prints "WireGuard.info tells the port and the mark" '^port 51000 mark 51$' library show wg0
check_prints "and the peer" ' 10.2.0.2,51820 (10.8.0.0/24,fd08::/64|fd08::/64,10.8.0.0/24) 25 version 1 received [1-9][0-9]* sent [1-9][0-9]* at [1-9][0-9]*$' peer_line server
as_wg_does() { [ "$(peer_line server | awk '{ print $8, $10, $12 }')" = "$(on client wg show wg0 dump | awk 'NR == 2 { print $6, $7, $5 }')" ]; }
check "counters and time of the handshake are those that wg(8) shows" soon 30 as_wg_does

chapter "pyroute2: the peers change"
check "a second peer" set_peer second "\"preshared_key\": \"$(cat "$net_tmp/psk")\", \"endpoint_addr\": \"fd02::2\", \"endpoint_port\": 51821,
	\"allowed_ips\": [\"10.9.0.0/24\", \"fd09::/64\"]"
ip -n client route add 10.9.0.0/24 dev wg0
ip -n client route add fd09::/64 dev wg0
check "it is reached" answers 10.9.0.1
check "over IPv6, too" answers fd09::1
check "its addresses become fewer" set_peer second '"allowed_ips": ["10.9.0.0/24"]'
check_prints "so it is" ' fd02::2,51821 10\.9\.0\.0/24 0 ' peer_line second
check_fails "it is not reached over IPv6 any more" silent fd09::1
check "it is removed" set_peer second '"remove": true'
check_fails "it is gone" peer_line second
check_fails "and cannot be reached" silent 10.9.0.1
many=$(for a in {100..103}; do for b in {0..249}; do printf '"10.%d.%d.0/24", ' "$a" "$b"; done; done)
check "a thousand addresses in one message" set_peer server "\"allowed_ips\": [${many}\"10.8.0.0/24\", \"fd08::/64\"]"
check_equal "are read back, in several messages" "$(peer_line server | cut -d ' ' -f 3 | tr , '\n' | sort -u | wc -l)" 1002
check_fails "a key of the wrong length is refused" library set wg0 '{"private_key": "AAAA"}'
check "the tunnel carries packets as before" answers 10.8.0.1
check "it is deleted" library delete wg0
check "links, addresses, rules and routes are as before" soon 10 state_is_as_before
exec 5<&- 6>&-
kill "$python_PID"
