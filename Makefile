# SPDX-License-Identifier: GPL-2.0
# The front door. Each target runs alone on a fresh machine, as root; what is downloaded and built stays in build/.
# (What the kernel's build system reads is Kbuild.)

MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help

# What scripts/ reads from the environment.
export ARCH KVER SUITE KDIR MIRROR DESTDIR MODULE
ifdef WIREGUARD_BUILD
export WIREGUARD_BUILD := $(abspath $(WIREGUARD_BUILD))
endif
# Each line of a recipe is a process of its own, and progress has one clock (scripts/lib.sh).
export WIREGUARD_STARTED := $(or $(WIREGUARD_STARTED),$(shell date +%s))

.PHONY: help
help:
	@echo 'WireGuard for Linux in Rust. As root:'
	@echo
	@sed -n 's/^\([a-z-]*\):.*## /\1	/p' Makefile | expand -t 12
	@echo
	@echo 'KVER=7.3.4+deb13-amd64    that kernel of Debian trixie-backports, and not its newest with Rust'
	@echo 'SUITE=sid                 the newest kernel of that suite (forky, sid, experimental), and its compilers'
	@echo 'ARCH=arm64                build for arm64, and emulate such a machine'
	@echo 'KDIR=/path                build natively against a prepared kernel tree (module, install)'
	@echo 'MIRROR=http://...         another Debian mirror than that of this machine'

# With KDIR, the tree and this machine's tools are used as they are.
.PHONY: setup
setup: ## the build environment and the kernel, which the other targets make when they are missing
	@$(if $(KDIR),,scripts/setup)

.PHONY: demo
demo: setup module ## the picture that WireGuard is explained with, live in a virtual machine
	@scripts/vm --timeout 600 -- selftests/demo/demo.sh

# (One of them is about arm64. The root of its machine is made when it begins.)
.PHONY: test
test: ## all tests
	@scripts/kernel --check
	@env -u KVER ARCH=arm64 scripts/setup --tools
	@selftests/run

.PHONY: test-debug
test-debug: setup ## the tests on a kernel with KASAN, lockdep, kmemleak and failing memory (hours)
	@selftests/run-debug

.PHONY: compare
compare: setup module ## our module against the C one, in all that they do
	@selftests/compare/compare

.PHONY: matrix
matrix: ## the module built for, and tried on, every kernel of Debian that it is for (KERNELS="..." these)
	@scripts/matrix $(KERNELS)

.PHONY: bench
bench: setup module ## our module against the C one in what it costs; tables, JSON and a picture (45 minutes)
	@selftests/bench/bench

.PHONY: module
module: ## build/wireguard.ko
	@$(if $(KDIR),,scripts/setup --build)
	@scripts/module

.PHONY: shell
shell: setup module ## a prompt in the virtual machine, with the module at hand
	@scripts/vm --shell

.PHONY: install
install: ## the module into the running kernel's updates/ (or DESTDIR), where it wins over the C one
	@scripts/install

.PHONY: uninstall
uninstall: ## the C module again
	@scripts/install --remove

.PHONY: deb
deb: ## build/deb/wireguard-rust-dkms_*.deb, which builds the module for every kernel that Debian built with Rust
	@scripts/setup --environment
	@scripts/deb

.PHONY: test-deb
test-deb: setup ## that package on a clean machine: installed, upgraded, booted, purged (an hour without KVM)
	@selftests/run package package-machine

.PHONY: clean
clean: ## removes what was built of this project; keeps the environment and the kernel
	@scripts/clean

.PHONY: distclean
distclean: ## removes all of build/
	@scripts/clean --all

# For the tests and for who works on the code.

.PHONY: clippy
clippy: ## clippy's lints, with warnings as errors
	@$(if $(KDIR),,scripts/setup --build)
	@scripts/module CLIPPY=1

.PHONY: rustdoc
rustdoc: setup module ## build/rustdoc/wireguard/index.html, the documentation of src/ and rust/
	@scripts/rustdoc

.PHONY: rustfmt rustfmt-check
rustfmt: setup ## the kernel's format for all Rust (rustfmt-check: only looks)
	@scripts/format
rustfmt-check: setup
	@scripts/format --check

.PHONY: fuzz
T = 60
fuzz: setup ## each fuzz target for T=60 seconds (TARGET=handshake only that one)
	@selftests/host/host --fuzz $(T) $(TARGET)
