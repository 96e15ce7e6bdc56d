#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The kernel's `wireguard` links talk to Cloudflare's boringtun-cli: interop-userspace.sh in a virtual machine. The program is
# compiled first (two minutes, once), in the build environment.
# interop-boringtun.sh [--module ours|c|FILE] [OPTION of scripts/vm...]

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source-path=SCRIPTDIR
. "$here/../../scripts/lib.sh"

need_root
folder=$build/host/boringtun
# The newest that the kernel's Rust compiles, with the versions of others that it names.
version=0.6.0
if [ "$(cat "$folder/ready" 2>/dev/null)" != "$version" ]; then
	say "compiling boringtun-cli $version"
	mkdir -p "$folder" "$build/log"
	# The environment trusts whom this machine trusts, which may be more than Debian's list.
	if [ -s /etc/ssl/certs/ca-certificates.crt ]; then cp /etc/ssl/certs/ca-certificates.crt "$build/host/"; fi
	# shellcheck disable=SC2016 # $1.. are the inner shell's
	quiet "$build/log/boringtun.log" in_environment bash -c '
		cd "$1" || exit
		export CARGO_HOME=$1/../cargo CARGO_TARGET_DIR=$1/target CARGO_TERM_COLOR=never
		[ ! -s ../ca-certificates.crt ] || export CARGO_HTTP_CAINFO=$1/../ca-certificates.crt
		cargo install --locked --root "$1" --version "$2" boringtun-cli && rm -rf target' \
		compile "$(inside "$folder")" "$version"
	echo "$version" >"$folder/ready"
fi
exec "$project/scripts/vm" --icount-shift 2 --log "$build/log/boringtun-kernel.log" --timeout 1500 "$@" -- \
	selftests/interop/interop.sh "$(inside "$folder")/bin/boringtun-cli"
