#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The module's KUnit suites (src/tests), which run when it is loaded into a kernel with CONFIG_KUNIT=y. What they found is in
# debugfs; here each of their tests is a check.

here=$(cd -- "$(dirname -- "$0")" && pwd -P)
. "$here/../lib/check.sh"
trap 'rm -rf "$check_log"' EXIT

results=/sys/kernel/debug/kunit
[ -d $results ] || die "this kernel has no KUnit: use that of scripts/debug-kernel"
# That kernel is told at its start to run no suite.
printf '*' >/sys/module/kunit/parameters/filter_glob
[ ! -d /sys/module/wireguard ] || rmmod wireguard || die "the module does not unload"

# The tests that the source has: each must have run.
sources=$here/../../src/tests
suites=$(sed -n 's/^#\[kunit_tests(\([a-z_]*\))\]$/\1/p' "$sources"/*.rs | sort)
[ -n "$suites" ] || die "there is no suite in src/tests"

check "the module is loaded" modprobe wireguard
check_equal "it brought these suites" "$(cd $results && echo wireguard_*)" "$(echo "$suites" | xargs)"
# Without a process for each test: this kernel is slow.
for suite in $suites; do
	chapter "$suite"
	found=$(<"$results/$suite/results")
	file=$(grep -l "^#\[kunit_tests($suite)\]" "$sources"/*.rs)
	while read -r test; do
		if [[ $found$'\n' =~ \ (not\ )?ok\ [0-9]+\ $test([^a-z0-9_][^$'\n']*)?$'\n' ]] && [ -z "${BASH_REMATCH[1]}" ] && [[ ${BASH_REMATCH[2]} != *SKIP* ]]; then pass "$test"
		else note "$found"; fail "$test"; fi
	done < <(sed -n '/^ *#\[test\]$/{n;s/^ *fn \([a-z0-9_]*\)(.*/\1/p}' "$file")
done
check "and unloaded" rmmod wireguard
printf when_asked_for >/sys/module/kunit/parameters/filter_glob
check_equal "and no suite is left" "$(find $results -maxdepth 1 -name 'wireguard_*')" ""
finish
