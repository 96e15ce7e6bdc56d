# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# shellcheck disable=SC2034 # lib.sh and its scripts read them
# All that scripts know of architectures. ARCH says for which one to build and which one to emulate: amd64 (that of the
# build environment) or arm64; if it is not set, the name of the kernel in KVER does.

# architecture_of RELEASE: that of a kernel of Debian's. Others (scripts/debug-kernel) are of the environment's.
architecture_of() {
	case $1 in
	*-arm64 | *-arm64-16k) echo arm64 ;;
	*) echo amd64 ;;
	esac
}

# choose_architecture NAME: as Debian, the kernel or `uname -m` call it. Sets
#   architecture     Debian's name, empty if it is none of ours (native builds do not ask, scripts/setup refuses it)
#   flavours         what the names of its kernels end with, as a regular expression
#   beside           what is added to names in the build folder, where the same for amd64 has its place
#   cross            what the kernel's Makefiles must be told to compile for it
#   vm_emulator, vm_machine, vm_cpu, vm_console, vm_append    QEMU; the kernel's name of its serial port, and arguments
#   vm_icount_cpu    the processor that counts instructions (--icount)
#   vm_sleeping      the machine whose devices keep their state while it sleeps (--sleep)
choose_architecture() {
	architecture='' flavours='' beside='' cross='' vm_emulator='' vm_machine='' vm_cpu='' vm_icount_cpu='' vm_console='' vm_append='' vm_sleeping=''
	case $1 in
	amd64 | x86_64 | x86)
		architecture=amd64 flavours='(-[a-z]+)?-amd64'
		vm_emulator=qemu-system-x86_64 vm_machine=pc vm_sleeping=q35 vm_cpu=max vm_console=ttyS0
		# Without these flags a `rep movsb` counts once per byte.
		vm_icount_cpu=max,-erms,-fsrm,-fsrs,-fzrm
		# On a busy host the kernel's test of an emulated timer fails at times, and it panics; its watchdog finds that reading
		# a clock of another processor takes too long, and says so.
		vm_append='no_timer_check tsc=nowatchdog'
		;;
	arm64 | aarch64)
		architecture=arm64 flavours='(-[a-z]+)?-arm64(-16k)?' beside=-arm64
		cross='ARCH=arm64 CROSS_COMPILE=aarch64-linux-gnu-'
		# The signatures of pointers, computed as the architecture has it, would be much of the emulator's work.
		vm_emulator=qemu-system-aarch64 vm_machine=virt vm_cpu=max,pauth-impdef=on vm_console=ttyAMA0
		vm_icount_cpu=$vm_cpu
		;;
	esac
}

if [ -n "${ARCH-}" ]; then choose_architecture "$ARCH"
elif [ -n "${KVER-}" ]; then choose_architecture "$(architecture_of "$KVER")"
else choose_architecture "$(uname -m)"; fi
