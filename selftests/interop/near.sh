#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# In the machine with the module that is looked at: a tunnel to the other machine, which has the C driver.

here=$(cd -- "$(dirname -- "$0")/.." && pwd -P)
. "$here/lib/check.sh"
. "$here/lib/wg.sh"
. "$here/interop/cable.sh"
. "$here/interop/rough.sh"

tmp=$(mktemp -d /tmp/near.XXXXXX)
# However this ends, the other machine ends, too.
trap 'rm -rf "$tmp" "$check_log"; echo exit | ncat --wait 5 10.8.0.2 7000' EXIT
# on near|far COMMAND...
on() {
	local host=$1 out; shift
	if [ "$host" = near ]; then "$@"; return; fi
	out=$(printf '%q ' "$@" | ncat --wait 20 10.8.0.2 7000) || return 125
	printf '%s\n' "${out%$'\n'@status *}"
	return "${out##*@status }"
}

plug 1
need_wireguard
soon 120 on far true || die "the other machine does not answer"
quiet_kernel_begin
keys near far
(umask 077; wg genpsk >"$tmp/psk")
other() { if [ "$1" = near ]; then echo far; else echo near; fi; }
number() { if [ "$1" = near ]; then echo 1; else echo 2; fi; }
outer() { if [ "$2" = 4 ]; then echo "10.9.0.$(number "$1")"; else echo "[fd09::$(number "$1")]"; fi; }

# setup SIDE VERSION ENDPOINT? PSK?: one end afresh.
setup_end() {
	local me=$1 you n endpoint='' psk='' behind=''
	you=$(other "$1"); n=$(number "$1")
	[ -z "$3" ] || endpoint="endpoint $(outer "$you" "$2"):$(number "$you")"
	[ "$me" = near ] || behind=,10.3.0.0/24
	[ -z "$4" ] || psk="preshared-key <(echo $(<"$tmp/psk"))"
	on "$me" bash -c "
		ip link del wg0 2>/dev/null
		set -e
		ip link add wg0 type wireguard
		wg set wg0 listen-port $n private-key <(echo ${private[$me]}) peer ${public[$you]} allowed-ips 10.2.0.$(number "$you")/32,fd02::$(number "$you")/128$behind $endpoint $psk
		ip address add 10.2.0.$n/24 dev wg0
		ip address add fd02::$n/64 dev wg0 nodad
		ip link set wg0 up"
}
# setup VERSION INITIATOR [PSK]
setup() {
	local side
	for side in near far; do
		if [ "$side" = "$2" ]; then setup_end $side "$1" yes "${3-}" || return; else setup_end $side "$1" '' "${3-}" || return; fi
	done
}
has() { on "$1" wg show wg0 transfer | awk -v n="$2" '{ print $n }'; }
shaken() { on "$1" wg show wg0 latest-handshakes | cut -f 2; }

chapter "Who is who"
check_prints "far from here is the kernel's own module" '^wireguard [^(]*$' on far grep '^wireguard ' /proc/modules
show grep '^wireguard ' /proc/modules

for version in 4 6; do
	for psk in '' psk; do
		for initiator in near far; do
			to=$(other $initiator)
			chapter "IPv$version outside, ${psk:-no psk}, $initiator begins"
			check "both ends are set up; only $initiator knows where the other is" setup $version $initiator "$psk"
			check "the first ping makes the handshake and is answered" on $initiator ping -c 1 -W 10 "10.2.0.$(number "$to")"
			check "IPv6 inside" on $initiator ping -c 2 -i 0.2 -W 10 "fd02::$(number "$to")"
			check "the other way" on "$to" ping -c 2 -i 0.2 -W 10 "10.2.0.$(number $initiator)"
			check "IPv6 inside, the other way" on "$to" ping -c 2 -i 0.2 -W 10 "fd02::$(number $initiator)"
			sleep 0.5
			check_equal "what one has received the other has sent, to the byte" "$(has near 2) $(has near 3)" "$(has far 3) $(has far 2)"
		done
	done
done

chapter "Bulk, both ways"
setup 6 near psk
on far bash -c 'iperf3 -s -D >/dev/null 2>&1'
soon 10 on far bash -c '[ -n "$(ss -tlnH "sport = 5201")" ]'
bulk() {
	local words=$1 status=0; shift
	iperf3 --connect-timeout 10000 -c 10.2.0.2 -f m "$@" >"$tmp/iperf" 2>&1 || status=$?
	note "$(grep -E 'receiver|error' "$tmp/iperf" | tail -n 1)"
	verdict $status "$words"
}
bulk "TCP from near to far" -n 20M
bulk "TCP from far to near" -n 20M -R
bulk "TCP both ways at once, four streams each" -n 5M -P 4 --bidir
bulk "UDP of 1,200 bytes from near to far" -u -b 20M -l 1200 -t 3
bulk "UDP of 1,200 bytes from far to near" -u -b 20M -l 1200 -t 3 -R
check_equal "no faulty packet was counted at either end" "$(cat /sys/class/net/wg0/statistics/rx_errors) $(on far cat /sys/class/net/wg0/statistics/rx_errors)" "0 0"
check_number "megabytes were sent" "$(has near 3)" -gt 20000000
check_number "and received" "$(has near 2)" -gt 20000000

setup 4 near
# shellcheck disable=SC2034 # rough.sh's
one=near two=far link_one=wg0 link_two=wg0 card_one=cable card_two=cable volume=4000000
ping -c 1 -W 10 10.2.0.2 >/dev/null
rough

chapter "Roaming"
setup 4 near
ping -c 1 -W 10 10.2.0.2 >/dev/null
moves() { # moves SIDE: gets another address, and says something
	local n; n=$(number "$1")
	on "$1" ip address del "10.9.0.$n/24" dev cable && on "$1" ip address add "10.9.0.1$n/24" dev cable && on "$1" ping -c 2 -i 0.3 -W 10 "10.2.0.$(number "$(other "$1")")"
}
returns() { local n; n=$(number "$1"); on "$1" ip address del "10.9.0.1$n/24" dev cable && on "$1" ip address add "10.9.0.$n/24" dev cable; }
check "far has another address, and goes on talking" moves far
check_prints "near has learned it" '10\.9\.0\.12:2$' wg show wg0 endpoints
check "and answers there" ping -c 2 -i 0.3 -W 10 10.2.0.2
returns far
on far ping -c 1 -W 10 10.2.0.1 >/dev/null
check "near has another address, and goes on talking" moves near
check_prints "far has learned it" '10\.9\.0\.11:1$' on far wg show wg0 endpoints
check "and answers there" on far ping -c 2 -i 0.3 -W 10 10.2.0.1
returns near

for initiator in near far; do
	chapter "A new session after 120 seconds, $initiator having begun the first"
	setup 4 $initiator psk
	on $initiator ping -c 1 -W 10 "10.2.0.$(number "$(other $initiator)")" >/dev/null
	before="$(shaken near) $(shaken far)"
	note "two minutes of a ping a second"
	check_prints "no ping of 135 is lost" ' 135 received' on near ping -c 135 -i 1 -W 10 10.2.0.2
	after="$(shaken near) $(shaken far)"
	check_number "near has a newer handshake" "${after% *}" -ge $((${before% *} + 115))
	check_number "far has one, too" "${after#* }" -ge $((${before#* } + 115))
done

chapter "One side starts anew"
setup 4 near psk
ping -c 1 -W 10 10.2.0.2 >/dev/null
check "far unloads its module and loads it again" on far bash -c 'ip link del wg0; rmmod wireguard; modprobe wireguard'
check "far is set up as before" setup_end far 4 yes psk
check "its first packet makes a session" on far ping -c 2 -i 0.3 -W 10 10.2.0.1
check "which near uses" ping -c 2 -i 0.3 -W 10 10.2.0.2
check "near unloads its module and loads it again" bash -c 'ip link del wg0; rmmod wireguard; modprobe wireguard'
check "near is set up as before" setup_end near 4 yes psk
check "its first packet makes a session" ping -c 2 -i 0.3 -W 10 10.2.0.2
check "which far uses" on far ping -c 2 -i 0.3 -W 10 10.2.0.1
ip link del wg0
finish
