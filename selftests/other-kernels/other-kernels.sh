#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The module for other kernels than the default one: another flavour of the same version is prepared, the module built for it
# without a warning, and tried there; and it is built against headers that hold the kernel's crates only, as some distributions
# ship them. Besides, how a wrong kernel, machine or call is answered. Every kernel of Debian's: make matrix.

here=$(cd -- "$(dirname -- "$0")" && pwd -P)
project=${here%/*/*}
. "$here/../lib/check.sh"
. "$project/scripts/lib.sh"
set +e
cd "$project" || exit 2

kernel=$(readlink -f "$build/kernel/${KVER:-default}")
release=$(cat "$kernel/release") || exit 2
headers=$kernel/headers
trap 'rm -rf "$check_log" "$headers"' EXIT

chapter "What is refused, before anything is made or downloaded"
refused() { # refused WORDS VARIABLE=VALUE...
	local words=$1
	shift
	check_prints "$*" "error: .*$words" env -u KVER -u SUITE -u ARCH WIREGUARD_BUILD="$check_log/empty" "$@" scripts/setup
}
refused 'too old: the module is for Linux 7\.2 and newer' KVER=7.1.13+deb13-amd64
refused 'no whole name .*: give 7\.3\.4\+deb13-amd64' KVER=7.3.4
refused 'no kernel of trixie-backports: name the suite' KVER=7.2.13+deb14-amd64
refused 'no whole name' SUITE=sid KVER=7.3.4
refused 'SUITE=bookworm is not known' SUITE=bookworm
refused 'ARCH=riscv64 is not known' ARCH=riscv64
check "and nothing is made" test ! -e "$check_log/empty"
# apt would take the name for a pattern, and fetch all that match.
check_prints "a kernel that the archive has not, with some that it has" "error: .* has no kernel 7\.99\.1.*: choose one with KVER=, like [7-9]\.[0-9.]+\+deb" \
	env -u SUITE -u ARCH KVER="7.99.1+${release#*+}" scripts/setup
check "and nothing of it is left" eval '! ls -d "$build"/kernel/7.99.1*'

chapter "Where it cannot work, and how it is called"
# The environment is a folder that is no mount point, as a plain chroot's.
check_prints "in a plain chroot it is told that / is no mount point" 'error: / is no mount point .*mount --bind' \
	in_environment env -u KVER WIREGUARD_BUILD=/tmp/empty scripts/setup
check_prints "without CAP_SYS_ADMIN, that mounts are not allowed" 'error: this machine does not allow mounts' \
	setpriv --bounding-set=-sys_admin env -u KVER WIREGUARD_BUILD="$check_log/empty" scripts/setup
# shellcheck disable=SC2016 # for the inner shell
install_elsewhere() {
	in_environment bash -euc '
		mkdir /tmp/bin
		printf "%s\n" "#!/bin/sh" "[ \"\$*\" != -r ] || { echo 6.1.0-1-amd64; exit; }" "exec /usr/bin/uname \"\$@\"" >/tmp/bin/uname
		chmod +x /tmp/bin/uname
		PATH=/tmp/bin:$PATH DESTDIR=/tmp/destination scripts/install'
}
check_prints "on another kernel than Debian's make install asks for KVER" 'runs kernel 6\.1\.0-1-amd64.*name the kernel to install for with KVER=' install_elsewhere
# as_user SCRIPT: in a clone of a user's
as_user() {
	in_environment bash -euc '
		mkdir /tmp/clone
		cp -r Makefile scripts /tmp/clone
		mkdir -p /tmp/clone/build/log /tmp/clone/elsewhere/log
		chown -R nobody /tmp/clone
		cd /tmp/clone
		user="setpriv --reuid=nobody --regid=nogroup --clear-groups"
		'"$1"
}
check "make clean works as a user" as_user '$user make clean; [ -d build ]; ! ls build/log'
check_prints "where root built, it says so" 'error: root made what is in .*: try sudo make clean' as_user 'chown root build/log; $user make clean; ls build/log'
check "WIREGUARD_BUILD may be relative, for make" as_user '$user make clean WIREGUARD_BUILD=elsewhere; ls build/log; ! ls elsewhere/log'
check "and for a script that is called from elsewhere" as_user 'cd scripts; WIREGUARD_BUILD=../elsewhere $user ./clean; ls ../build/log; ! ls ../elsewhere/log'

chapter "Another flavour"
# The one for clouds is farthest from the others: virtiofs, and hardly a driver.
other=${release%%-*}-cloud-amd64
[ "$other" != "$release" ] || other=${release%%-*}-amd64
check "$other is prepared" env KVER="$other" scripts/setup
check "it shares its source with $release" test "$build/kernel/$other/source" -ef "$kernel/source"
of() { [ "$(in_environment modinfo -F vermagic build/wireguard.ko | cut -d ' ' -f 1)" = "$1" ]; }
check "build/wireguard.ko is that of $release" eval 'scripts/module && of "$release"'
rm -rf "$build/kernel/$other/module"
check "a build for $other that fails leaves no other's there" eval '! KVER=$other scripts/module BINDGEN=false && [ ! -e "$build/wireguard.ko" ]'
without_warnings() {
	KVER=$other scripts/module >"$check_log/build" 2>&1 || { cat "$check_log/build"; return 1; }
	! grep -A 5 warning "$check_log/build"
}
check "the module is built for it, without warnings" without_warnings
check "and is there" of "$other"
check "until it is built for $release again" eval 'scripts/module && of "$release"'
check "and works there" scripts/vm --kernel "$other" --icount-shift 2 --timeout 300 --log "$build/log/other-kernels.log" -- selftests/other-kernels/smoke.sh

chapter "Headers with the crates, and without what made them"
# What such a package holds, of the prepared kernel.
make_headers() (
	set -e
	source=$(readlink -f "$kernel/source")
	rm -rf "$headers"
	mkdir -p "$headers"/{arch/x86,tools/objtool,rust}
	cd "$headers"
	cp "$kernel/build/.config" "$kernel/build/Module.symvers" "$source/Makefile" .
	cp -al "$source/include" "$source/scripts" .
	cp -alf "$kernel/build/include" "$kernel/build/scripts" .
	cp -al "$source"/arch/x86/{Makefile*,include} arch/x86
	cp -alf "$kernel/build/arch/x86/include" arch/x86
	cp -al "$kernel/build/tools/objtool/objtool" tools/objtool
	cp -al "$kernel"/build/rust/*.rmeta "$kernel"/build/rust/*.so rust
)
check "are put together" make_headers
# shellcheck disable=SC2016 # for the inner shell
natively() {
	in_environment bash -euo pipefail -c '
		WIREGUARD_BUILD=/tmp/build KDIR=$1 scripts/module $2
		for section in .text __jump_table; do
			for module in /tmp/build/wireguard.ko "$3"; do objcopy -O binary --only-section=$section "$module" "/tmp/section"; sha256sum </tmp/section; done | uniq | wc -l
		done | paste -sd" "' natively "$(inside "$headers")" "CC=$(sed -n 's/^CC=\([^ ]*\) .*/\1/p' "$kernel/make-arguments")" "$(inside "$kernel/module/wireguard.ko")"
}
check_prints "the module that is built against them has the same code" '^1 1$' natively
finish
