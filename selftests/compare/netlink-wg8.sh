#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# what: wg(8): show in all its forms, showconf, set, setconf, addconf, syncconf, with good and odd configurations
# cost: slow

# All of it in a namespace of its own.
if [ -z "${WG8_INSIDE-}" ]; then
	ip netns add n && WG8_INSIDE=1 exec ip netns exec n "$0"
fi

. "${0%/*}/lib.sh"

# Keys that are the same for both modules: 42 letters, a zero and a sign make 32 bytes.
key() { printf -v "$1" '%-42s' "$2"; printf -v "$1" '%s0=' "${!1// /x}"; }
private='' second='' A='' B='' C='' psk='' many=''
for name in private second A B C psk; do key "$name" "the+key+$name"; done
own=$(wg pubkey <<<"$private")
dir=$(mktemp -d /tmp/wg8.XXXXXX)
export WG_HIDE_KEYS=never

ip link add wg0 type wireguard
ip link add wg1 type wireguard
ip link add dum0 type dummy

state() { wg show wg0 dump; }
# say KEY COMMAND...: what wg says, and what the device is then.
say() {
	local key=$1; shift
	observe_command "$key" "$@"
	observe "$key: the device then" "$(state)"
}
configuration() { cat >"$dir/conf"; }
# configure KEY FILE...: the configuration on stdin by setconf, addconf and syncconf, each on a device of the same state.
configure() {
	local how
	configuration
	for how in setconf addconf syncconf; do
		wg setconf wg0 "$dir/base"
		say "$1, $how" wg "$how" wg0 "$dir/conf"
	done
}

cat >"$dir/base" <<-C
	[Interface]
	PrivateKey = $private
	ListenPort = 4500
	FwMark = 0x10

	[Peer]
	PublicKey = $A
	PresharedKey = $psk
	AllowedIPs = 10.0.0.0/8, fd00::/16
	Endpoint = 192.0.2.1:1000
	PersistentKeepalive = 20

	[Peer]
	PublicKey = $B
	AllowedIPs = 192.168.0.0/24
C

for what in '' all wg0 wg1 dum0 nobody interfaces; do
	# shellcheck disable=SC2086 # nothing is a word less
	observe_command "new devices: wg show $what" wg show $what
done
say "the first configuration" wg setconf wg0 "$dir/base"
for what in public-key private-key listen-port fwmark peers preshared-keys endpoints allowed-ips latest-handshakes persistent-keepalive transfer dump nonsense; do
	observe_command "wg show wg0 $what" wg show wg0 "$what"
	observe_command "wg show all $what" wg show all "$what"
done
observe_command "wg show wg0" wg show wg0
observe_command "wg" wg
observe_command "wg showconf wg0" wg showconf wg0
observe_command "wg showconf wg1" wg showconf wg1
observe_command "wg showconf dum0" wg showconf dum0
observe_command "wg showconf nobody" wg showconf nobody
observe_command "WG_HIDE_KEYS" env WG_HIDE_KEYS=always wg show wg0

configure "the same again" <"$dir/base"
configure "nothing" </dev/null
configure "an empty interface" <<<'[Interface]'
configure "another key" <<<"[Interface]
PrivateKey = $second"
configure "a port and no key" <<<'[Interface]
ListenPort = 4600'
configure "no port and no mark" <<<'[Interface]
FwMark = off
ListenPort = 0'
configure "one peer, changed" <<<"[Interface]
PrivateKey = $private
[Peer]
PublicKey = $B
AllowedIPs = 10.0.0.0/9
Endpoint = [2001:db8::1]:2000
PersistentKeepalive = off"
configure "a peer that is not known" <<<"[Peer]
PublicKey = $C
AllowedIPs = 0.0.0.0/0, ::/0"
configure "a peer with its allowed IPs written plus and minus" <<<"[Peer]
PublicKey = $A
AllowedIPs = +172.16.0.0/12, -10.0.0.0/8"
configure "a peer twice" <<<"[Peer]
PublicKey = $C
AllowedIPs = 1.0.0.0/8
[Peer]
PublicKey = $C
AllowedIPs = 2.0.0.0/8"
configure "the device itself as a peer" <<<"[Interface]
PrivateKey = $private
[Peer]
PublicKey = $own
AllowedIPs = 1.0.0.0/8"
configure "an allowed IP of two peers" <<<"[Peer]
PublicKey = $A
AllowedIPs = 1.0.0.0/8
[Peer]
PublicKey = $C
AllowedIPs = 1.0.0.0/8, 10.0.0.0/8"
configure "a peer without a key" <<<'[Peer]
AllowedIPs = 1.0.0.0/8'
configure "a word that is none" <<<'[Interface]
Colour = green'
configure "a key that is none" <<<'[Interface]
PrivateKey = abc'
configure "a prefix that is too long" <<<"[Peer]
PublicKey = $A
AllowedIPs = 1.0.0.0/33"
configure "an endpoint without a port" <<<"[Peer]
PublicKey = $A
Endpoint = 192.0.2.7"
configure "bits beyond the prefix, upper case, spaces, a comment" <<<"[INTERFACE]
  listenport=4700   # it listens
[peer]
PUBLICKEY=$C
allowedips=10.255.255.255/9,FD00::1/8 ,   1.2.3.4"
configure "many allowed IPs" < <(echo "[Peer]"; echo "PublicKey = $C"; printf 'AllowedIPs = '; seq -f '10.99.%.0f.0/24' -s , 0 255)
configure "many peers" < <(for n in {1..100}; do key many "many$n"; printf '[Peer]\nPublicKey = %s\nAllowedIPs = 10.200.%d.0/24\n' "$many" "$n"; done)

wg setconf wg0 "$dir/base"
say "wg set: nothing" wg set wg0
say "wg set: a mark" wg set wg0 fwmark 77
say "wg set: a mark, hexadecimal" wg set wg0 fwmark 0xffffffff
say "wg set: a mark, off" wg set wg0 fwmark off
say "wg set: a mark that is too large" wg set wg0 fwmark 4294967296
say "wg set: a port" wg set wg0 listen-port 5000
say "wg set: a port that is too large" wg set wg0 listen-port 65536
say "wg set: a private key" wg set wg0 private-key <(echo "$second")
say "wg set: no private key" wg set wg0 private-key /dev/null
say "wg set: a preshared key" wg set wg0 peer "$B" preshared-key <(echo "$psk")
say "wg set: no preshared key" wg set wg0 peer "$B" preshared-key /dev/null
say "wg set: a peer added" wg set wg0 peer "$C"
say "wg set: its endpoint" wg set wg0 peer "$C" endpoint '[fe80::1%lo]:9'
say "wg set: its keepalive" wg set wg0 peer "$C" persistent-keepalive 65535
say "wg set: its keepalive, too long" wg set wg0 peer "$C" persistent-keepalive 65536
say "wg set: its allowed IPs" wg set wg0 peer "$C" allowed-ips 1.1.1.0/24,2.2.2.2
say "wg set: one more" wg set wg0 peer "$C" allowed-ips +3.3.3.3
say "wg set: one less" wg set wg0 peer "$C" allowed-ips -2.2.2.2/32
say "wg set: one less that it has not" wg set wg0 peer "$C" allowed-ips -10.0.0.0/8
say "wg set: allowed IPs of another" wg set wg0 peer "$C" allowed-ips 10.0.0.0/8
say "wg set: no allowed IPs" wg set wg0 peer "$C" allowed-ips ''
say "wg set: two peers at once" wg set wg0 peer "$A" persistent-keepalive 3 peer "$B" persistent-keepalive 4
say "wg set: a peer removed" wg set wg0 peer "$C" remove
say "wg set: a peer removed that is not there" wg set wg0 peer "$C" remove
say "wg set: a peer updated only, that is not there" wg set wg0 peer "$C" remove persistent-keepalive 5
say "wg set: the key of zeroes as a peer" wg set wg0 peer AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=
say "wg set: a device of another kind" wg set dum0 fwmark 1
say "wg set: nobody" wg set nobody fwmark 1
say "wg set: as nobody" setpriv --reuid=65534 --clear-groups wg set wg0 fwmark 1
observe_command "wg show: as nobody" setpriv --reuid=65534 --clear-groups wg show wg0
observe_command "wg show all: as nobody" setpriv --reuid=65534 --clear-groups wg show all dump
observe_command "wg show interfaces: as nobody" setpriv --reuid=65534 --clear-groups wg show interfaces

# While the link is up, a port is taken at once.
ip link set lo up
ip link set wg0 up
say "up: a port" wg set wg0 listen-port 5100
wg set wg1 listen-port 5100
observe_command "up: the other device on the same port" ip link set wg1 up
wg set wg1 listen-port 5200
ip link set wg1 up
say "up: the other device's port" wg set wg0 listen-port 5200
say "up: the other device's port, with a mark and a peer" wg set wg0 fwmark 9 listen-port 5200 peer "$C" allowed-ips 9.0.0.0/8
say "up: setconf with the other device's port" wg setconf wg0 <(printf '[Interface]\nListenPort = 5200\nFwMark = 8\n[Peer]\nPublicKey = %s\n' "$C")
wg set wg0 listen-port 0
observe "up: port 0 takes some port" "$([ "$(wg show wg0 listen-port)" -gt 0 ] && echo yes)"
rm -rf "$dir"
finish
