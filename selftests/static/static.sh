#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# What can be said of the source without running it: its form (rustfmt), its habits (clippy), where `unsafe` is and why,
# and that every file states its licence. Runs outside of the virtual machine, with the tools of the build environment.

here=$(cd -- "$(dirname -- "$0")" && pwd -P)
project=${here%/*/*}
# In the environment that is /project/build.
build=${WIREGUARD_BUILD:-$project/build}
. "$here/../lib/check.sh"
trap 'rm -rf "$check_log"' EXIT
cd "$project" || exit 2

# This machine may have no Python, man or rustc: the build environment has.
environment() {
	# shellcheck disable=SC2016 # for the inner shell
	bash -c '. "$1/scripts/lib.sh"; shift; in_environment "$@"' - "$project" "$@"
}
python() { environment /usr/bin/python3 -B "$@"; }
inventory() { python selftests/static/unsafe-inventory.py "$@"; }
documents() { python selftests/static/documents.py "$@"; }

chapter "Form and habits"
check "rustfmt would change nothing (make rustfmt-check; make rustfmt mends it)" make --no-print-directory rustfmt-check
check "clippy has nothing to say (make clippy)" make --no-print-directory clippy

one_clock() {
	local steps='clock: ; @bash -c ". scripts/lib.sh; echo \$$WIREGUARD_STARTED"; sleep 1.1; bash -c ". scripts/lib.sh; echo \$$WIREGUARD_STARTED"'
	[ "$(env -u WIREGUARD_STARTED make --no-print-directory --eval "$steps" clock | sort | uniq -c | xargs | cut -d ' ' -f 1)" = 2 ]
}
check "the clock of progress does not begin anew with a step of make" one_clock

chapter "Documents"
check "what checks them finds what it must in trees made wrong on purpose" documents --prove
check "every link leads to a file and a headline, and Documentation/README.md to every document" documents --links
check "the table of selftests/README.md is the tree's, and each folder has its entry" documents --tests
check "the files that documents name are there" documents --names
check "the head of each layer says its context and locking" documents --layers
check "each item that other files see says what it is" documents --items
check "rustdoc has no warning, and its examples compile (make rustdoc)" make --no-print-directory rustdoc

chapter "unsafe"
check "the checker of unsafe finds what it must in trees made wrong on purpose" inventory --prove
check "src/ is free of unsafe, and each of its files forbids it" inventory --check src
check "every unsafe in rust/ says why it is sound" inventory --check rust
check "Documentation/unsafe.md is in step with the tree (selftests/static/unsafe-inventory.py --update mends it)" inventory --check table
forbidden_unsafe_is_an_error() {
	local folder=$build/test-logs/forbid
	rm -rf "$folder" && mkdir -p "$folder" || return
	printf '#![forbid(unsafe_code)]\npub fn f(x: &u8) -> u8 { unsafe { *(x as *const u8) } }\n' >"$folder/a.rs"
	! environment rustc --crate-type lib --emit metadata -o /dev/null /project/build/test-logs/forbid/a.rs >"$folder/output" 2>&1 &&
		grep -q 'usage of an `unsafe` block' "$folder/output"
}
check "the compiler refuses unsafe where it is forbidden" forbidden_unsafe_is_an_error

chapter "Rooms"
check "the checker of imports finds what it must in trees made wrong on purpose" python selftests/static/imports.py --prove
check "imports of src/ go downwards only, and in no circle" python selftests/static/imports.py
no_bindings() { ! grep -rnw bindings src --include="*.rs" | grep -v "^src/wireguard.rs:"; }
check "src/ names nothing of C: constants of user space's headers are in uapi" no_bindings

chapter "C"
# What looks like a function there is one of the macros for tracepoints, which have a form of their own: no --strict.
checkpatch() { environment perl "build/kernel/${KVER:-default}/source/scripts/checkpatch.pl" --no-tree --no-summary --terse "$@"; }
helpers_pass() { checkpatch --strict --file rust/helpers.c && checkpatch --file rust/tracepoints.[ch] rust/bindings/*.h; }
check "checkpatch has nothing to say about the C files" helpers_pass
a_wrong_line_is_found() {
	mkdir -p "$build/test-logs" && { cat rust/helpers.c && printf 'int wrong( void ){return 0;}\n'; } >"$build/test-logs/wrong.c" || return 1
	! checkpatch --strict --file build/test-logs/wrong.c
}
check "but it has about a wrong line" a_wrong_line_is_found

chapter "Versions of the kernel"
check_equal "rust/compat.rs alone tells them apart" "$(grep -rlE 'wireguard_linux_|LINUX_VERSION|KERNEL_VERSION' src rust | xargs)" rust/compat.rs

chapter "Types"
layouts_are_checked() { grep -q 'size_of::<sock>()' "$build/kernel/${KVER:-default}/module/rust/bindings_generated.rs"; }
check "each build checks the layouts that bindgen found, that of struct sock among them" layouts_are_checked
check "code that breaks what the layers promise does not compile (selftests/compile-fail)" selftests/compile-fail/compile-fail

chapter "Panics"
# The functions of Rust's core by which compiled code panics, in a module; and those that security.md names.
panics_of() { environment nm -u "$1" | sed -nE 's/.*4core.*[0-9]((panic|[a-z]+_)[a-z_]*)(17h[0-9a-f]{16}E)?$/\1/p' | grep -E '^panic|_fail' | sort -u | xargs; }
panics_named() { sed -n '/^| make it panic |/s/`/\n/gp' Documentation/security.md | grep -E '^(panic_|assert_failed)[a-z_]*$' | sort -u | xargs; }
check_equal "the module can panic in no other way than security.md says" "$(panics_of build/wireguard.ko)" "$(panics_named)"
finds_panics() {
	local folder=build/test-logs/panics
	mkdir -p "$build/test-logs/panics" && printf '#![no_std]\npub fn f(a: &[u8], b: &mut [u8], i: usize) -> u8 { b.copy_from_slice(a); a.first().unwrap() / a[i] }\n' >"$build/test-logs/panics/a.rs" &&
		environment rustc -O --crate-type lib --emit obj -C symbol-mangling-version=v0 -o /project/$folder/a.o /project/$folder/a.rs && panics_of $folder/a.o
}
check_equal "and what looks for them finds them" "$(finds_panics)" "len_mismatch_fail panic_bounds_check panic_const_div_by_zero unwrap_failed"

chapter "Netlink"
# ynl_gen_c.py wants a tree of the kernel's form around the specification, with the schema in it.
specification() {
	local tree=$build/test-logs/ynl source=/project/build/kernel/${KVER:-default}/source name=wg-monitor.yaml
	rm -rf "$tree" && mkdir -p "$tree/Documentation/netlink/specs" && touch "$tree/MAINTAINERS" || return
	cp "$project/Documentation/netlink/specs/$name" "$tree/Documentation/netlink/specs/" || return
	cp "$build/kernel/${KVER:-default}/source/Documentation/netlink/genetlink.yaml" "$tree/Documentation/netlink/" || return
	python "$source/tools/net/ynl/pyynl/ynl_gen_c.py" \
		--spec "/project/build/test-logs/ynl/Documentation/netlink/specs/$name" --mode uapi --header -o /project/build/test-logs/ynl/wg_monitor.h &&
		cmp "$tree/wg_monitor.h" "$project/rust/bindings/wg_monitor.h"
}
check "the description of wg-monitor is as the kernel's schema wants it, and rust/bindings/wg_monitor.h is made of it" specification

chapter "Manual pages"
# faultless PAGE...: in the build environment, which has man and mandoc.
faultless() {
	# shellcheck disable=SC2016 # for the inner shell
	environment bash -c 'for page; do
			warnings=$({ man --warnings -Tutf8 -l "$page" >/dev/null; mandoc -T lint -W warning "$page"; } 2>&1) && [ -z "$warnings" ] || { echo "$page: $warnings"; exit 1; }
		done' faultless "$@"
}
check "man and mandoc have nothing to say about them" faultless ./scripts/monitor/*.[1-9]
finds_faults() {
	local page=build/test-logs/page.8
	mkdir -p "$build/test-logs" && sed 's/^\.EE$//; s/^\.SH COUNTERS/.SJ COUNTERS/' scripts/monitor/wg-monitor.8 >"$build/test-logs/page.8" && ! faultless "./$page"
}
check "but they have about a page that was made wrong" finds_faults

chapter "Licence"
unlicensed() { # unlicensed FOLDER: prints what states no licence in its first two lines
	local file bad=0
	while IFS= read -r -d '' file; do
		case $file in COPYING | LICENSE | LICENSES/* | *.lock | .gitignore | */.gitignore) continue ;; esac
		[ -s "$1/$file" ] && [ ! -L "$1/$file" ] || continue
		if ! head -n 2 "$1/$file" | grep -aqE 'SPDX-License-Identifier: \(*GPL-2\.0'; then
			echo "$file: its first or second line must say SPDX-License-Identifier: GPL-2.0"
			bad=1
		fi
	done < <(cd "$1" && { git -c safe.directory='*' ls-files -z 2>/dev/null || find . -type f ! -path './build/*' -print0; })
	return $bad
}
check "every file states it" unlicensed "$project"
finds_unlicensed() {
	local folder; folder=$(mktemp -d)
	git -C "$folder" init -q && printf 'a\n// SPDX-License-Identifier: GPL-2.0\n' >"$folder/good.rs" &&
		printf '#!/bin/sh\n\n# SPDX-License-Identifier: GPL-2.0\n' >"$folder/late" && echo 'fn f() {}' >"$folder/none.rs" && git -C "$folder" add .
	unlicensed "$folder" >"$folder/output"; local status=$?
	local found; found=$(cut -d : -f 1 "$folder/output" | xargs)
	rm -rf "$folder"
	[ $status = 1 ] && [ "$found" = "late none.rs" ]
}
check "and that check finds files that do not, in a tree made for it" finds_unlicensed
for script in $(git -c safe.directory='*' ls-files 2>/dev/null | grep -E '^(selftests|scripts)/' | while read -r f; do head -c 20 "$f" | grep -q '^#!.*bash' && echo "$f"; done) selftests/lib/*.sh; do
	bash -n "$script" 2>"$check_log/syntax" || { cat "$check_log/syntax"; fail "$script is a shell script without errors of syntax"; }
done
finish
