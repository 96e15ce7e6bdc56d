# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# What every script of this folder shares: paths, progress, errors, and the way into the build environment.

set -euo pipefail

project=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)
# Absolute, also for the scripts that this one calls from elsewhere.
build=$(realpath -m -- "${WIREGUARD_BUILD:-$project/build}")
export WIREGUARD_BUILD=$build
environment=$build/env

# shellcheck source-path=SCRIPTDIR
. "$project/scripts/architecture.sh"
# shellcheck source-path=SCRIPTDIR
. "$project/scripts/suites.sh"
# The virtual machine's root: the environment, or one that only a machine of that architecture can run.
vm_root=$environment$beside
# The kernel to build for and to boot
# shellcheck disable=SC2034 # for the scripts
chosen_kernel=$build/kernel/${KVER:-default$of_suite$beside}

# Progress goes to stderr, so that a script's own output can be read by another program. Its clock starts with the first
# script.
export WIREGUARD_STARTED=${WIREGUARD_STARTED:-$(date +%s)}
say() { printf '[%3ds] %s\n' "$(($(date +%s) - WIREGUARD_STARTED))" "$*" >&2; }
die() { printf '%s: error: %s\n' "${0##*/}" "$*" >&2; exit 1; }

need_root() { [ "$(id -u)" = 0 ] || die "must be run as root (it makes a chroot and a network of namespaces): try sudo make ..."; }

# need_space MEGABYTES WHAT: refuses to start what the disk cannot hold.
need_space() {
	local free
	mkdir -p "$build"
	free=$(df --output=avail -BM "$build" | tail -n 1 | tr -dc 0-9)
	[ "$free" -ge "$1" ] || die "$2 needs $1 MB of free disk in $build, and there are $free MB: free some, or set WIREGUARD_BUILD to a folder elsewhere"
}

# By itself bash goes on when Ctrl-C comes just as the command that it waits for ends well.
trap 'exit 130' INT

# What a script that uses quiet() undoes at its end, however it comes: to be defined anew there.
on_exit() { :; }

# Runs a command whose output matters only when it fails: quiet LOGFILE COMMAND...
# A line a quarter of a minute tells that it is alive.
quiet() {
	local log=$1 pid waited=0
	shift
	"$@" >"$log" 2>&1 </dev/null &
	pid=$!
	# shellcheck disable=SC2064 # the process of now
	trap "kill $pid 2>/dev/null && wait $pid 2>/dev/null || true; on_exit" EXIT
	while kill -0 "$pid" 2>/dev/null; do
		sleep 0.2
		waited=$((waited + 1))
		[ $((waited % 75)) != 0 ] || say "  ... $(tail -n 1 "$log" | tr -d '\r' | cut -c 1-100)"
	done
	trap on_exit EXIT
	if ! wait "$pid"; then
		tail -n 30 "$log" >&2
		die "this failed: $* (all of its output: $log)"
	fi
}

# isolated COMMAND...: in mount and PID namespaces of its own. Nothing is left mounted and no process is left running,
# however it ends: it dies with the shell that called it.
isolated() {
	setpriv --pdeathsig KILL unshare --mount --pid --fork --kill-child --propagation private "$@"
}

# in_environment [--at DIR] COMMAND...: runs COMMAND in the trixie environment, where this project is /project.
in_environment() {
	local at=/project
	if [ "$1" = --at ]; then at=$2; shift 2; fi
	isolated "$project/scripts/enter" "$environment" "$project" "$build" "$at" "$@"
}

# The virtual machine's root, inside the environment.
inside_root() { if [ "$vm_root" = "$environment" ]; then echo /; else inside "$vm_root"; fi; }

# inside PATH: the name inside the environment of a file of the project or of its build folder.
inside() {
	case $1 in
	"$build" | "$build"/*) printf '/project/build%s\n' "${1#"$build"}" ;;
	"$project" | "$project"/*) printf '/project%s\n' "${1#"$project"}" ;;
	*) die "$1 lies outside of the project" ;;
	esac
}
