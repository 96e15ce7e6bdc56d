#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The package's quick test: that it is built the same twice, that lintian has nothing to say, and what DKMS makes of it in a
# copy of the build environment, with the kernel's own headers and source. The whole of it, in a machine that is booted:
# package/machine.

here=$(cd -- "$(dirname -- "$0")" && pwd -P)
# shellcheck source-path=SCRIPTDIR
. "$here/../../scripts/lib.sh"
# shellcheck source-path=SCRIPTDIR
. "$here/../lib/check.sh"
set +e
kernel=$(readlink -f "$build/kernel/default")
release=$(cat "$kernel/release") version=$(cat "$kernel/version")
work=$build/package-test
state=/var/lib/wireguard-rust-dkms/$release
trap 'rm -rf "$check_log" "$work"' EXIT

# inner SCRIPT: in a copy of the environment, with the kernel's modules.
inner() {
	# shellcheck disable=SC2016 # for the inner shell
	isolated bash -euo pipefail -c '
		mount -t overlay -o "lowerdir=$3/root:$2,upperdir=$1/upper,workdir=$1/work" overlay "$1/merged"
		"$4/scripts/enter" "$1/merged" "$4" "$5" /project/build/package-test bash -c "$6"
		' inner "$work" "$environment" "$kernel" "$project" "$build" "$1"
}

chapter "The package"
rm -rf "$work"
mkdir -p "$work"/{upper,work,merged}
check "it is built" "$project/scripts/deb" "$work/first" || finish
again() { (umask 077 && sleep 1 && "$project/scripts/deb" "$work/second") && cmp "$work"/first/*.deb "$work"/second/*.deb; }
check "a second build, at another time and with another umask, gives the same bytes" again
check "lintian has nothing to say" in_environment --at "$(inside "$work/first")" \
	lintian --allow-root --fail-on error,warning --tag-display-limit 0 "$(basename "$work"/first/*.changes)"
check_equal "the program, its two manual pages, the dashboard and the specification are in it" "$(dpkg-deb -c "$work"/first/*.deb |
	grep -cE ' \./usr/(bin/wg-monitor -> .*|share/man/man8/wg-monitor\.8\.gz|share/man/man4/wireguard-rust\.4\.gz|share/wg-monitor/(wg-monitor|dashboard\.json|wg-monitor\.yaml))$')" 6

chapter "DKMS and the kernel $release"
# A package of the source that is here already, and the headers, of which libelf of backports is not needed.
prepare() {
	local source
	[[ $release =~ ^[0-9]+\.[0-9]+ ]]
	source=linux-source-${BASH_REMATCH[0]}
	mkdir -p "$work/source/DEBIAN" "$work/source/usr/src"
	printf '%s\n' "Package: $source" "Version: $version" 'Architecture: all' 'Maintainer: nobody' 'Description: source' >"$work/source/DEBIAN/control"
	# The part that is wanted, in a folder of the name that it has in the archive.
	tar -C "$kernel/source/" -cf "$work/source/usr/src/$source.tar.xz" --transform "flags=r;s,^,$source/," \
		Makefile Kbuild scripts rust include arch init lib tools drivers/base || return
	inner "
		apt-get -o APT::Sandbox::User=root download linux-headers-$release=$version linux-headers-${release%-*}-common=$version linux-kbuild-${release%-*}=$version
		dpkg-deb --build -Znone source
		dpkg --unpack linux-*.deb source.deb"
}
check "the kernel's headers, and its source" prepare || finish
inner "sha256sum /lib/modules/$release/kernel/drivers/net/wireguard/wireguard.ko*" >"$work/sum"
check "a file that make install left" inner "mkdir -p /lib/modules/$release/updates && echo old >/lib/modules/$release/updates/wireguard.ko"
check "the package installs" inner 'dpkg --force-depends -i first/*.deb' || finish
check_prints "the module is built, signed, and what modprobe loads" 'DKMS module signing key' \
	inner "modinfo -k $release -F filename wireguard | grep updates/dkms && modinfo -k $release -F signer wireguard"
check_prints "the program runs" 'error: the module wireguard' inner 'wg-monitor stats'
check_prints "beside it make install is refused" 'first apt-get purge wireguard-rust-dkms' inner "! KVER=$release MODULE=\$PWD/any.ko /project/scripts/install 2>&1"
check "and what it left for a kernel that the package skipped goes, but not the package's program" \
	inner "mkdir -p /lib/modules/7.3.0/updates && touch /lib/modules/7.3.0/updates/wireguard.ko && KVER=7.3.0 /project/scripts/install --remove && wg-monitor --help && rm -r /lib/modules/7.3.0"
same_code() {
	# So build/wireguard.ko, which other-kernels looks at, stays.
	"$project/scripts/module" --kernel "$kernel" && inner "
		xz -dc /lib/modules/$release/updates/dkms/wireguard.ko.xz >ours.ko && cp $(inside "$kernel")/module/wireguard.ko other.ko
		for file in ours other; do objcopy -O binary --only-section=.text \$file.ko \$file.text; done
		[ -s ours.text ] && cmp ours.text other.text"
}
check "its code is that of make module" same_code

chapter "Kernels that it cannot serve"
# Told by the hook, after DKMS has skipped: the kernel's package is installed all the same.
skipped() { # skipped WORDS REASON SCRIPT
	check_prints "$1" "kernel ${release//+/[+]} keeps its C module for WireGuard: ${2//+/[+]}" \
		inner "set -e; dkms uninstall --all wireguard-rust/\$(dpkg-query --show --showformat '\${Version}' wireguard-rust-dkms) >/dev/null 2>&1 || true
			dkms unbuild --all wireguard-rust/\$(dpkg-query --show --showformat '\${Version}' wireguard-rust-dkms) >/dev/null 2>&1 || true
			config=\$(readlink -f /lib/modules/$release/build)/.config
			cp \$config /tmp/config
			$3
			run-parts --report --exit-on-error --arg=$release /etc/kernel/header_postinst.d
			cp /tmp/config \$config
			find /lib/modules/$release -name 'wireguard.ko*' | grep kernel/drivers"
}
# shellcheck disable=SC2016 # for the inner shell
skipped "one without Rust" "it was built without Rust" 'sed -i /^CONFIG_RUST=y/d $config'
# shellcheck disable=SC2016
skipped "one of another rustc" "it was built by 'rustc 1.0'" 's=CONFIG_RUSTC_VERSION_TEXT; sed -i "s/^$s=.*/$s=\"rustc 1.0\"/" $config'
skipped "one that the module does not compile for" "the module does not compile for it: see $state/log" 'echo "#error" >>/usr/src/wireguard-rust-*/rust/helpers.c'
skipped "one whose source is not here" "it needs linux-source-.* of its own version, $version, and here is none" \
	"rm -rf $state/tree /usr/src/linux-source-*"

chapter "Without the package"
check "it is purged" inner "dpkg --force-depends --purge wireguard-rust-dkms && ! ls ${state%/*}"
check "nothing of the program stays" inner '! ls -d /usr/share/wg-monitor /usr/bin/wg-monitor'
check "the C module is back, byte for byte" inner 'sha256sum -c sum'
check "and nothing else of that name" inner "[ \$(find /lib/modules -name 'wireguard.ko*' | wc -l) = 1 ]"
finish
