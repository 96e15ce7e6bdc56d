#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# path-quality.sh [module|wireguard-go]: what wg-monitor says of the path from a peer, against what a router on that path says
# that it did. The peer is ours, or wireguard-go, which takes an emulator longer.

here=$(cd -- "$(dirname -- "$0")" && pwd -P)
. "$here/../lib/check.sh"
. "$here/../lib/net.sh"
. "$here/../lib/wg.sh"
. "$here/scene.sh"

need_wireguard
quiet_kernel_begin
chapter "A tunnel with a router in between"
check "the scene is built" build_the_scene "${1:-module}" || finish

chapter "The path"
# A router that does this to what goes to ours: 10,000 messages, and then no more to a thousand, so that those that were
# lost of the former are known to be.
listen kernel /dev/null ncat -klu 9
soon 10 listening kernel 9 u
on router nft -f - <<-'NFT'
	table ip path { counter came { }
		chain out { type filter hook forward priority 0; udp dport 1 counter name came; }; }
NFT
# A peer that was never heard before, with counters of nothing.
anew() {
	on kernel wg set wg0 peer "${public[user]}" remove
	on kernel wg set wg0 peer "${public[user]}" allowed-ips 10.2.0.2/32 endpoint 10.3.0.2:2
	on router nft reset counter ip path came >/dev/null
	on kernel ping -c 1 -W 5 10.2.0.2
}
send() { on user "$here/paced.py" 10.2.0.1 9 "$@"; }
# path WORDS KIND DID NETEM...: KIND is a counter of the module, DID says how many of them netem made, of the JSON that tc prints.
path() {
	local words=$1 kind=$2 did=$3 came made stats; shift 3
	check "$words: a new session" anew
	on router tc qdisc add dev left root netem limit 10000 "$@"
	send 10000 1000
	on router tc qdisc change dev left root netem limit 10000
	[ "$kind" != lost ] || send 1000 1000
	sleep 0.5
	on router tc -s -j qdisc show dev left >"$net_tmp/netem"
	came=$(on router nft -j list counter ip path came | python3 -c 'import json, sys; print(*(e["counter"]["packets"] for e in json.load(sys.stdin)["nftables"] if "counter" in e))')
	on router tc qdisc del dev left root
	on kernel "$program" stats --json wg0 >"$net_tmp/stats"
	stats=$(json "$net_tmp/stats" "d[0]['peers'][0]['path']['${kind}_percent']")
	made=$(json "$net_tmp/netem" "100 * (${did/came/$came}) / $came")
	note "$(json "$net_tmp/stats" "d[0]['peers'][0]['path']"); netem $(json "$net_tmp/netem" "{n: d[0][n] for n in ('packets', 'drops', 'requeues')}") of $came"
	check_number "it is something: thousandths of a percent" "$(printf '%.0f' "$(python3 -c "print(1000 * $made)")")" -ge 500
	check_number "$words: it says $stats%, netem did $made%: thousandths of a percent between them" \
		"$(printf '%.0f' "$(python3 -c "print(1000 * abs($stats - $made))")")" -le 200
}
path "1% lost" lost 'd[0]["drops"]' loss 1%
path "5% lost" lost 'd[0]["drops"]' loss 5%
path "1% duplicate" duplicate 'd[0]["packets"] - came' duplicate 1%
# Sent at once, while the one before it is still being delayed.
path "2% reordered" reordered 'd[0]["requeues"]' delay 1.5ms reorder 2%

[ "${1-}" != wireguard-go ] || pkill -x wireguard-go
check_quiet_kernel
finish
