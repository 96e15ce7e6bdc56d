# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# shellcheck disable=SC2034 # lib.sh and its scripts read them
# All that scripts know of Debian's suites. SUITE says which one the kernel comes from: trixie (its backports; the default),
# forky, sid or experimental. The module is built for a kernel with the compilers of the kernel's own suite; all else, the
# virtual machine's user space too, is trixie's.

# suite_of FOLDER: that of a kernel which scripts/kernel has prepared. Others (scripts/debug-kernel) are built with trixie's
# compilers.
suite_of() { cat "$1/suite" 2>/dev/null || echo trixie; }

# choose_suite NAME: sets
#   suite           its name, empty if it is none of ours (scripts/setup refuses it)
#   of_suite        what is added to names in the build folder, where the same for trixie has its place
#   archive         the suites of Debian's archive that apt gets packages from, the first of which the environment is made of
#   compilers       the environment that builds for its kernels
#   gcc             the version of gcc that its kernels are built by
#   kernel_names    what the names of its kernels begin with, as a regular expression
choose_suite() {
	suite=$1 of_suite=-$1 archive=("$1") compilers=$build/env-$1 gcc=16 kernel_names=''
	case $1 in
	trixie)
		of_suite='' archive=(trixie trixie-backports) compilers=$build/env gcc=14
		kernel_names='[0-9][0-9.]*\+deb13'
		;;
	forky) kernel_names='[0-9][0-9.]*\+deb14' ;;
	# They share the compilers.
	sid | experimental)
		archive=(sid experimental) compilers=$build/env-sid
		kernel_names='[0-9][0-9.]*\+deb[0-9]+'
		[ "$1" = sid ] || kernel_names='[0-9][0-9.]*(-rc[0-9]+)?'
		;;
	*) suite='' ;;
	esac
}

choose_suite "${SUITE:-$(suite_of "$build/kernel/${KVER-}")}"
