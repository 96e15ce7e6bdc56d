#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Two virtual machines with a cable between them: this module in one, the kernel's own C driver in the other. (In one machine
# only one of them can be loaded.) Neither has any other network. What is looked at: near.sh.
# c-driver.sh [--module ours|c|FILE]: what is loaded in the machine that looks.

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source-path=SCRIPTDIR
. "$here/../../scripts/lib.sh"

module=ours
if [ "${1-}" = --module ] && [ $# = 2 ]; then module=$2; shift 2; fi
[ $# = 0 ] || die "usage: selftests/interop/c-driver.sh [--module ours|c|FILE]"
need_root

mkdir -p "$build/vm" "$build/log"
folder=$(mktemp -d "$build/vm/pair.XXXXXX")
far=''
# shellcheck disable=SC2317 # called by trap
finish() {
	[ -z "$far" ] || kill "$far" 2>/dev/null || true
	rm -rf "$folder"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

"$project/scripts/vm" --module c --memory 1G --network "$folder/cable" --log "$build/log/interop-c-far.log" --timeout 1500 -- \
	selftests/interop/far.sh >"$folder/far.log" 2>&1 &
far=$!
# The first makes the socket, the second finds it.
for _ in {1..600}; do
	[ ! -S "$folder/cable" ] || break
	kill -0 "$far" 2>/dev/null || break
	sleep 0.1
done
[ -S "$folder/cable" ] || { cat "$folder/far.log" >&2; die "the machine with the C driver did not start"; }
status=0
"$project/scripts/vm" --module "$module" --memory 1G --network "$folder/cable" --log "$build/log/interop-c.log" --timeout 1500 -- \
	selftests/interop/near.sh || status=$?
ended=0
wait "$far" || ended=$?
far=''
if [ $ended != 0 ]; then
	sed 's/^/# far: /' "$folder/far.log"
	[ $status != 0 ] || status=1
fi
exit $status
