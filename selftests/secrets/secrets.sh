#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Looks for keys in the memory of a virtual machine, from outside: that each is there while it is needed, which shows that
# the search finds what there is, and nowhere when it is not. The machine's only company is a WireGuard peer of our own
# (lib/wgpeer.py) at the other end of its network cable, which therefore knows all keys that the machine derives.
# secrets.sh [--module ours|c|FILE] [--kernel WHICH]: c, the kernel's own module, as the yardstick; another kernel, as for
# scripts/vm.

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source-path=SCRIPTDIR
. "$here/../../scripts/lib.sh"

module=ours kernel=()
while [ $# -ge 2 ]; do
	case $1 in
	--module) module=$2 ;;
	--kernel) kernel=(--kernel "$2") ;;
	*) break ;;
	esac
	shift 2
done
[ $# = 0 ] || die "usage: selftests/secrets/secrets.sh [--module ours|c|FILE] [--kernel WHICH]"
need_root

mkdir -p "$build/vm" "$build/secrets" "$build/log"
folder=$(mktemp -d "$build/vm/secrets.XXXXXX")
observer='' machine=''
finish() {
	[ -z "$observer" ] || kill "$observer" 2>/dev/null || true
	[ -z "$machine" ] || kill "$machine" 2>/dev/null || true
	rm -rf "$folder"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
mkdir "$folder/out"

scanner=$build/secrets/scan
if [ ! "$scanner" -nt "$here/scan.rs" ]; then
	in_environment rustc --edition 2021 -O -o "$(inside "$scanner")" selftests/secrets/scan.rs
fi
in_environment env VERBOSE="${VERBOSE-}" python3 -B selftests/secrets/observer.py "$(inside "$folder")" "$(inside "$scanner")" </dev/null &
observer=$!
for _ in {1..100}; do
	[ ! -S "$folder/cable" ] || break
	sleep 0.1
done
[ -S "$folder/cable" ] || { wait "$observer"; die "the observer did not start"; }
"$project/scripts/vm" --module "$module" "${kernel[@]}" --memory 512M --ram "$folder/memory" --network "$folder/cable" --out "$folder/out" \
	--log "$build/log/secrets.log" --timeout 300 -- python3 -B selftests/secrets/guest.py >"$folder/vm.log" 2>&1 &
machine=$!
status=0 ended=0
wait "$observer" || status=$?
observer=
wait "$machine" || ended=$?
machine=
if [ $ended != 0 ]; then
	sed 's/^/# /' "$folder/vm.log"
	echo "not ok - the virtual machine ends well"
	exit 1
fi
exit $status
