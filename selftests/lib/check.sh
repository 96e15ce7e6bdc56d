# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Numbered checks in words, each with the command that was run and whether it held. The lines that begin with "ok" and
# "not ok" are TAP version 14, so that selftests/run (and any TAP reader) can count them.

set -u
export LANG=C.UTF-8 WG_HIDE_KEYS=always

checks_passed=0
checks_failed=0
check_log=$(mktemp -d /tmp/check.XXXXXX)

if [ -t 1 ]; then bold=$'\e[1m' green=$'\e[32m' red=$'\e[31m' plain=$'\e[0m'; else bold='' green='' red='' plain=''; fi

# chapter WORDS: a headline for what follows.
chapter() { printf '\n%s# %s%s\n' "$bold" "$*" "$plain"; }
# note WORDS: something to read that is no check.
note() { printf '#   %s\n' "$*"; }
die() { printf '%s: error: %s\n' "${0##*/}" "$*" >&2; exit 2; }

# need_wireguard: the module is loaded, whichever modprobe finds.
need_wireguard() { [ -d /sys/module/wireguard ] || modprobe wireguard || die "the module wireguard cannot be loaded"; }

# The command as a person would type it; "on HOST command" reads as a prompt on that host.
show_command() {
	local host='' words=("$@")
	if [ "$1" = on ]; then host=$2; words=("${@:3}"); fi
	if [ "${words[0]}" = bash ] && [ "${words[1]-}" = -c ]; then
		printf '#   %s# %s\n' "$host" "${words[2]//$'\n'/$'\n'#     }"
	elif [ "$(type -t "${words[0]}")" != function ]; then
		printf '#   %s# %s\n' "$host" "${words[*]}"
	fi
}

# show COMMAND...: runs it, with its output in sight, and checks nothing.
show() { show_command "$@"; "$@" 2>&1 | sed 's/^/#     /'; return "${PIPESTATUS[0]}"; }

pass() { checks_passed=$((checks_passed + 1)); printf '%sok %d%s - %s\n' "$green" $((checks_passed + checks_failed)) "$plain" "$*"; }
fail() { checks_failed=$((checks_failed + 1)); printf '%snot ok %d%s - %s\n' "$red" $((checks_passed + checks_failed)) "$plain" "$*"; }

# verdict STATUS WORDS: a check whose outcome is already known.
verdict() { local s=$1; shift; if [ "$s" = 0 ]; then pass "$@"; else fail "$@"; fi; return "$s"; }

output() { sed -n "1,${1:-15}s/^/#     /p" "$check_log/output"; }

# check WORDS COMMAND...: holds if the command succeeds.
check() {
	local words=$1 status=0; shift
	show_command "$@"
	"$@" >"$check_log/output" 2>&1 || status=$?
	if [ $status = 0 ]; then pass "$words"; else output 40; note "exit status $status"; fail "$words"; return 1; fi
}

# check_fails WORDS COMMAND...: holds if the command fails (with a status of its own, not by being absent or killed).
check_fails() {
	local words=$1 status=0; shift
	show_command "$@"
	"$@" >"$check_log/output" 2>&1 || status=$?
	if [ $status != 0 ] && [ $status -lt 124 ]; then pass "$words"; else output 40; note "exit status $status"; fail "$words"; return 1; fi
}

# check_prints WORDS REGEX COMMAND...: holds if what the command prints (whatever its status) matches the extended regex.
check_prints() {
	local words=$1 regex=$2; shift 2
	show_command "$@"
	"$@" >"$check_log/output" 2>&1
	if grep -Eq -- "$regex" "$check_log/output"; then output 6; pass "$words"
	else output 40; note "not found in this output: $regex"; fail "$words"; return 1; fi
}

# check_equal WORDS GOT WANTED
check_equal() {
	if [ "$2" = "$3" ]; then pass "$1"; else note "got '$2', wanted '$3'"; fail "$1"; return 1; fi
}

# check_number WORDS NUMBER OPERATOR NUMBER, as in check_number "it grew" "$after" -gt "$before"
check_number() {
	if test "$2" "$3" "$4" 2>/dev/null; then pass "$1 ($2 $3 $4)"; else note "does not hold: $2 $3 $4"; fail "$1"; return 1; fi
}

# soon SECONDS COMMAND...: waits until the command succeeds; its status is the command's last.
soon() {
	local until=$((SECONDS + $1)); shift
	until "$@" >/dev/null 2>&1; do
		[ "$SECONDS" -lt "$until" ] || { "$@"; return; }
		sleep 0.1
	done
}

# The kernel may say nothing while we test: quiet_kernel_begin, then check_quiet_kernel.
# (ICMP, neighbour and link state messages of the rest of the stack are not ours to judge, nor what a debug kernel measures.)
kernel_lines() { dmesg | sed 's/^\[[^]]*\] *//' | grep -Eiv 'link becomes ready|entered (promiscuous|forwarding|blocking|disabled)|left promiscuous|renamed from|nf_conntrack|nfnetlink|Netfilter|used greatest stack depth'; }
quiet_kernel_begin() { kernel_lines >"$check_log/dmesg"; }
check_quiet_kernel() {
	kernel_lines | tail -n "+$(($(wc -l <"$check_log/dmesg") + 1))" >"$check_log/output"
	if [ ! -s "$check_log/output" ]; then pass "${1:-the kernel log has no new line}"; else output 40; fail "${1:-the kernel log has no new line}"; fi
}

# finish: the last line, and the exit status.
finish() {
	local at=$((checks_passed + checks_failed))
	printf '1..%d\n%d passed, %d failed\n' "$at" "$checks_passed" "$checks_failed"
	[ "$checks_failed" = 0 ] && [ "$checks_passed" -gt 0 ]
	exit
}
