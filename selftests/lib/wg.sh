# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# WireGuard keys and devices for the tests.

declare -A private public

# keys NAME...: a key pair for each, in ${private[NAME]} and ${public[NAME]}.
keys() {
	local name
	for name; do
		private[$name]=$(wg genkey)
		public[$name]=$(wg pubkey <<<"${private[$name]}")
	done
}

# wg_device HOST INTERFACE KEYNAME [PORT]: a device with a private key, not yet up.
wg_device() {
	ip -n "$1" link add "$2" type wireguard || return
	on "$1" wg set "$2" private-key <(echo "${private[$3]}") ${4:+listen-port "$4"}
}

# transfer HOST INTERFACE PEERKEY rx|tx: bytes received from or sent to that peer.
transfer() {
	local rx tx
	read -r rx tx < <(on "$1" wg show "$2" transfer | awk -v k="$3" '$1 == k { print $2, $3 }')
	if [ "$4" = rx ]; then echo "${rx:-0}"; else echo "${tx:-0}"; fi
}

# handshake_time HOST INTERFACE PEERKEY: seconds since 1970, 0 if never.
handshake_time() { on "$1" wg show "$2" latest-handshakes | awk -v k="$3" '$1 == k { print $2 }'; }

# shown KEYNAME: a peer as wg-monitor shows it to people, for a regular expression.
shown() { local key=${public[$1]:0:8}; echo "${key//+/\\+}…"; }
