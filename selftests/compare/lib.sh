# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# For the scenarios of the comparison (compare) that are shell scripts: observations, one a line, `KEY = VALUE`.
# A scenario begins with  . "${0%/*}/lib.sh"  (and  . "$selftests/lib/net.sh"  for hosts and cables, wg.sh for keys), and
# its last command is `finish`. What a value holds by chance (keys, ports, times, indices) is its scenario's to name or remove.

selftests=$(cd -- "${BASH_SOURCE[0]%/*}/.." && pwd -P)
# For note, die, soon, kernel_lines; nothing here is a check.
# shellcheck source=selftests/lib/check.sh
. "$selftests/lib/check.sh"

observed=$(mktemp /tmp/observed.XXXXXX)

# observe KEY VALUE: works in a subshell or at the end of a pipe as well. Lines are joined with a visible \n.
observe() {
	local key=$1 value=${2-}
	case $key in '' | '#'* | *' = '* | *$'\n'*) die "'$key' is no key: one line, no ' = ' in it, no # in front" ;; esac
	while [[ $value == *[[:space:]] ]]; do value=${value%?}; done
	printf '%s\n' "$key" >>"$observed"
	printf '%s = %s\n' "$key" "${value//$'\n'/\\n}"
}

# observe_command KEY COMMAND...: the exit status and all that it says.
observe_command() {
	local key=$1 said status=0; shift
	said=$("$@" 2>&1) || status=$?
	observe "$key" "exit $status${said:+: $said}"
}

# kernel_mark, then observe_kernel KEY: the lines that the kernel logged since (without times; see kernel_lines).
kernel_mark() { kernel_lines | wc -l >"$observed.kernel"; }
observe_kernel() { observe "$1" "$(kernel_lines | tail -n "+$(($(cat "$observed.kernel") + 1))")"; }

# finish: without it, or with a key observed twice, the scenario has failed.
finish() {
	local twice
	twice=$(sort "$observed" | uniq -d | head -n 1)
	[ -z "$twice" ] || die "the key '$twice' is observed twice"
	printf 'observations = %d\n' "$(wc -l <"$observed")"
	rm -f "$observed" "$observed.kernel"
	exit 0
}
