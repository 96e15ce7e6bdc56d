# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# shellcheck disable=SC2154 # what ../host sets
# Part of ../host: the fuzz targets, with LLVM's libFuzzer and AddressSanitizer.

fuzz_targets=(allowedips attribute boringtun handshake messages)
# No input longer than this does more than a shorter one.
declare -A longest=([allowedips]=400 [attribute]=400 [boringtun]=48 [handshake]=96 [messages]=160)

fuzz_build() {
	local runtime
	runtime=/usr/lib/llvm-19/lib/clang/19/lib/linux/libclang_rt.fuzzer-$(uname -m).a
	export RUSTC_WORKSPACE_WRAPPER=$here/fuzz/coverage
	# LLVM's own, made ready by Debian, and the library of C++ that it needs. Otherwise a compiler of C++ makes it.
	if [ -f "$runtime" ]; then
		export CUSTOM_LIBFUZZER_PATH=$runtime CUSTOM_LIBFUZZER_STD_CXX=dylib:+verbatim=libstdc++.so.6
	fi
	compile "the fuzz targets" build --bins
	local status=$?
	unset RUSTC_WORKSPACE_WRAPPER
	return $status
}

# Writes the seeds of a target as files, one an input.
fuzz_seeds() {
	local line number=0
	mkdir -p "$build/corpus/$1" "$build/crashes"
	while IFS= read -r line; do
		case $line in '#'* | '') continue ;; esac
		number=$((number + 1))
		# shellcheck disable=SC2059,SC2001 # these are escapes
		printf "$(sed 's/../\\x&/g' <<<"$line")" >"$build/corpus/$1/seed-$number"
	done <"$here/fuzz/seeds/$1"
}

# fuzz_one TARGET SECONDS: in the background. Which inputs are tried first repeats; how far it gets does not.
fuzz_one() {
	ASAN_OPTIONS=detect_leaks=0 "${nice[@]}" "$build/target/debug/$1" -max_total_time="$2" -max_len="${longest[$1]}" -len_control=0 -seed=1 \
		-timeout=20 -print_final_stats=1 -artifact_prefix="$build/crashes/$1-" "$build/corpus/$1" >"$build/fuzz-$1.log" 2>&1
}

# fuzz_input TARGET FILE: shows what one input does.
fuzz_input() {
	[[ " ${fuzz_targets[*]} " = *" $1 "* ]] || fail "there is no target $1: they are ${fuzz_targets[*]}"
	fuzz_build && ASAN_OPTIONS=detect_leaks=0 "$build/target/debug/$1" "$2"
}

# fuzz SECONDS [TARGET...]
fuzz() {
	local seconds=$1 target targets running=() log runs covered crash
	shift
	targets=("$@")
	if [ ${#targets[@]} = 0 ]; then targets=("${fuzz_targets[@]}"); fi
	for target in "${targets[@]}"; do
		[[ " ${fuzz_targets[*]} " = *" $target "* ]] || fail "there is no target $target: they are ${fuzz_targets[*]}"
	done
	fuzz_build || return 0
	rm -f "$build"/fuzz-*.log
	declare -A pids=()
	for target in "${targets[@]}"; do
		fuzz_seeds "$target"
		: >"$build/fuzz-$target.log"
		if [ ${#running[@]} = 2 ]; then
			fuzz_result "${running[0]}"
			running=("${running[@]:1}")
		fi
		fuzz_one "$target" "$seconds" &
		pids[$target]=$!
		running+=("$target")
	done
	for target in "${running[@]}"; do fuzz_result "$target"; done
}

# Waits for a target, and says how it went.
fuzz_result() {
	local target=$1 log=$build/fuzz-$1.log status=0 runs covered crash
	wait_for "${pids[$target]}" "$log" || status=$?
	runs=$(awk '$1 == "stat::number_of_executed_units:" { print $2 }' "$log")
	covered=$(grep -oE 'cov: [0-9]+' "$log" | tail -n 1) || true
	crash=$(sed -n 's/.*Test unit written to //p' "$log" | tail -n 1)
	if [ "$status" = 0 ] && [ "${runs:-0}" -gt 0 ] && [ -n "$covered" ]; then
		ok "fuzz: $target, $runs inputs, ${covered#cov: } places in the code seen"
		return
	fi
	if grep -qE 'panicked|ERROR: ' "$log"; then grep -A 8 -m 1 -E 'panicked|ERROR: ' "$log" | grep -vE '^( *#|note: run with|$)'; else tail -n 15 "$log"; fi
	if [ -n "$crash" ]; then
		crash=build/host/crashes/${crash##*/}
		echo "The input is in $crash:"
		od -An -v -tx1 "$build/crashes/${crash##*/}" | tr -d ' \n'
		printf '\nAgain: selftests/host/host --input %s %s\n' "$target" "$crash"
		echo "Once mended, that line of digits belongs into selftests/host/fuzz/seeds/$target."
	fi
	not_ok "fuzz: $target (all that it said: build/host/fuzz-$target.log)"
}
