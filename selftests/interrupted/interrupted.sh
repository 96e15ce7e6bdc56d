#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Ctrl-C at every step of the set-up, of a build and of a virtual machine, and a reader of the progress that goes away:
# nothing goes on, nothing stays mounted, and the next run does the rest. Makes an environment of its own, once and a half:
# on demand, some six minutes.

# Who was begun in the background ignores Ctrl-C, and so would all that is begun here.
[ -n "${heeds_interrupts:-}" ] || heeds_interrupts=yes exec env --default-signal=INT,QUIT "$0" "$@"

here=$(cd -- "$(dirname -- "$0")" && pwd -P)
project=${here%/*/*}
. "$here/../lib/check.sh"
cd "$project" || exit 2
[ "$(id -u)" = 0 ] || die "must be run as root"
mkdir -p "${WIREGUARD_BUILD:=$project/build}/test-logs" || exit 2
folder=$(mktemp -d "$(readlink -f "$WIREGUARD_BUILD")/test-logs/interrupted.XXXXXX") || exit 2
export WIREGUARD_BUILD=$folder
trap 'rm -rf --one-file-system "$folder" "$check_log"' EXIT
said=$check_log/said

# The processes that work in the folder, or have something mounted there, in any namespace.
leftovers() {
	local process
	for process in /proc/[0-9]*; do
		{ readlink "$process/root" "$process/cwd"; tr '\0' ' ' <"$process/cmdline"; cut -d ' ' -f 2 "$process/mounts"; } 2>/dev/null |
			grep -F -m 1 -- "$folder" | sed "s,^,$process ($(cat "$process/comm" 2>/dev/null)): ,"
	done
}
nothing_left() { leftovers >"$check_log/output"; [ ! -s "$check_log/output" ]; }

# As the terminal does it: the signal goes to the whole group. (A shell without job control would have its children ignore it.)
begin() {
	: >"$said"
	set -m
	"$@" >"$said" 2>&1 </dev/null &
	group=$!
	set +m
}
ended() { ! kill -0 -- -"$group"; }

# ctrl_c WHEN FILE PATTERN COMMAND...
ctrl_c() {
	local when=$1 file=$2 pattern=$3
	shift 3
	begin "$@"
	soon 1200 eval "ended || grep -qs -- '$pattern' '$file'"
	sleep 0.5
	if ended; then sed 's/^/#     /' "$said" | tail -n 5; fail "$when: it gets there"; return; fi
	kill -INT -- -"$group"
	if soon 30 ended && soon 15 nothing_left; then pass "$when: everything ends, nothing stays mounted"
	else
		output; fail "$when: everything ends, nothing stays mounted"
		kill -KILL -- -"$group" 2>/dev/null
	fi
	wait "$group" 2>/dev/null
}

chapter "Ctrl-C"
log=$folder/log
piped() { "$@" 2>&1 | cat; }
ctrl_c "while packages are downloaded" "$log/environment.log" 'downloading packages' make setup
ctrl_c "while packages are installed" "$log/environment.log" 'installing remaining packages' make setup
ctrl_c "the same with the progress piped" "$log/environment.log" 'installing remaining packages' piped make setup

chapter "A reader who goes away"
first_line() { "$@" 2>&1 | head -n 1; }
begin first_line make setup
check "it ends with its next line" soon 60 ended
check "nothing stays mounted, nothing goes on" soon 5 nothing_left || output

chapter "Ctrl-C later on"
# (What is made for a build alone comes first, and what runs it later.)
ctrl_c "while the kernel is fetched" "$said" 'fetching kernel' make module
check "no part of it is left" eval '! ls -d "$folder"/kernel/*.part'
check "a build needs no emulator, nor what the tests need" eval 'test -x "$folder/env/usr/bin/rustc" && ! ls "$folder/env/usr/bin" | grep -xE "qemu-system-.*|iperf3"'
ctrl_c "while its source is fetched" "$said" 'fetching the source' make module
ctrl_c "while that is unpacked" "$said" 'unpacking the source' make module
ctrl_c "while its symbols are fetched" "$said" 'fetching the symbols' make module
ctrl_c "while the Rust metadata is made" "$log/modules_prepare.log" 'RUSTC' make module
ctrl_c "while the module is built" "$folder/kernel/default/module/rust/bindings_generated.rs" . make module
check "the next run builds it" make module
ctrl_c "while packages are added" "$log/environment.log" 'Unpacking qemu-system-x86' make setup
ctrl_c "while the virtual machines' root is made" "$said" 'making an image' make setup
check "the next run does the rest" make setup
# This environment is new, and so shows what its recipe leaves out.
# shellcheck disable=SC2016 # for the inner shells
lacking() {
	bash -c '. scripts/lib.sh; in_environment --at / sh -c "$1"' lacking '
		sort -u /var/lib/dpkg/info/*.list | while read -r file; do [ -e "$file" ] || [ -L "$file" ] || echo "$file"; done; echo looked' |
		grep -vE '^/usr/(share/(man|locale)|src/rustc-[0-9.]+/(src|compiler))/'
}
check_equal "of its packages only manual pages, translations and the source of the compiler are left out" "$(lacking | tail -n 5)" looked
ctrl_c "while a virtual machine works" "$said" 'here I am' scripts/vm -- sh -c 'echo here I am; sleep 600'
check "the next one works" scripts/vm -- true
check "nothing half done is left" eval '! find "$folder" -maxdepth 3 -name "*.part*" ! -path "$folder/env/*" | grep .'
finish
