// SPDX-License-Identifier: GPL-2.0

//! Messages that are printed when dynamic debugging asks for them, and cost nothing otherwise.
//!
//! Each event is one line of `/sys/kernel/debug/dynamic_debug/control`, where it can be turned on by
//! its module, file, function or text, as described in
//! Documentation/admin-guide/dynamic-debug-howto.rst of the kernel.
//!
//! Context: any. It locks nothing that a caller could see, and cannot fail: a message that the rate limit refuses is not
//! printed. A call site lives as long as the module.
//!
//! C header: [`include/linux/dynamic_debug.h`](srctree/include/linux/dynamic_debug.h)

use core::{
    fmt,
    mem::{align_of, offset_of, size_of},
};
use kernel::ffi::c_char;

use crate::bindings;

/// Where a message is printed: `struct _ddebug`, whose bit-fields are one number here.
#[repr(C, align(8))]
pub(crate) struct Callsite {
    module: *const c_char,
    function: *const c_char,
    file: *const c_char,
    format: *const c_char,
    /// The line (18 bits), the class (6 bits) and what to print (8 bits), which the kernel changes.
    line_class_flags: u32,
    /// On while there is something to print: the kernel changes it. Read by patched code only.
    pub(crate) key: kernel::bindings::static_key_false,
}

const _: () = {
    assert!(size_of::<Callsite>() == size_of::<bindings::_ddebug>());
    assert!(align_of::<Callsite>() == align_of::<bindings::_ddebug>());
    assert!(offset_of!(Callsite, module) == offset_of!(bindings::_ddebug, modname));
    assert!(offset_of!(Callsite, function) == offset_of!(bindings::_ddebug, function));
    assert!(offset_of!(Callsite, file) == offset_of!(bindings::_ddebug, filename));
    assert!(offset_of!(Callsite, format) == offset_of!(bindings::_ddebug, format));
    assert!(offset_of!(Callsite, line_class_flags) == offset_of!(bindings::_ddebug, _bitfield_1));
    assert!(offset_of!(Callsite, key) == offset_of!(bindings::_ddebug, key));
    // Bit-fields begin with the lowest bit.
    assert!(cfg!(target_endian = "little"));
};

/// Whether the network's rate limit for messages holds (`net.core.message_cost` and
/// `message_burst`).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rate {
    /// For what the network or an unprivileged program can cause.
    Limited,
    /// For what happens seldom.
    Unlimited,
}

impl Callsite {
    /// Of no class (`_DPRINTK_CLASS_DFLT`).
    const NO_CLASS: u32 = (1 << 6) - 1;

    /// Describes a place; the texts end with a zero byte.
    ///
    /// # Safety
    ///
    /// Must be the value of a `static mut` in the section `__dyndbg`, which nothing refers to but by raw pointers:
    /// the kernel writes to it.
    pub(crate) const unsafe fn new(
        function: &'static str,
        file: &'static str,
        format: &'static str,
        line: u32,
    ) -> Self {
        assert!(is_terminated(function) && is_terminated(file) && is_terminated(format));
        Self {
            module: c"wireguard".to_bytes_with_nul().as_ptr().cast(),
            function: function.as_ptr().cast(),
            file: base_name(file).as_ptr().cast(),
            format: format.as_ptr().cast(),
            line_class_flags: line & 0x3_ffff | Self::NO_CLASS << 18,
            // SAFETY: A static key of zeros is one that is off and has no users yet.
            key: unsafe { core::mem::zeroed() },
        }
    }

    /// Prints a message. Context: any.
    ///
    /// # Safety
    ///
    /// `this` must be a static in the section `__dyndbg`.
    #[cold]
    #[inline(never)]
    pub(crate) unsafe fn print(this: *mut Self, rate: Rate, message: fmt::Arguments<'_>) {
        let message: *const fmt::Arguments<'_> = &message;
        // SAFETY: The callsite is laid out as C's; `%pA` takes a pointer to Rust's arguments, which
        // live as long as this function.
        unsafe {
            if rate == Rate::Unlimited || bindings::net_ratelimit() != 0 {
                bindings::__dynamic_pr_debug(
                    this.cast(),
                    c"wireguard: %pA\n".to_bytes_with_nul().as_ptr().cast(),
                    message.cast::<kernel::ffi::c_void>(),
                );
            }
        }
    }
}

/// The compiler may have been given an absolute path, which tells of the machine that it was built on.
const fn base_name(path: &str) -> &[u8] {
    let mut name = path.as_bytes();
    let mut rest = name;
    while let [first, after @ ..] = rest {
        if *first == b'/' {
            name = after;
        }
        rest = after;
    }
    name
}

const fn is_terminated(text: &str) -> bool {
    matches!(text.as_bytes(), [.., 0])
}

/// Defines functions that print a message when dynamic debugging asks for it, with their
/// [`Rate`]:
///
/// ```
/// # use crate::dynamic_debug::events;
/// # use core::net::IpAddr;
/// events! {
///     /// A packet was tagged.
///     pub(crate) fn tagged(tag: u8) => Unlimited "tag {}", tag;
///     /// A stranger called.
///     pub(crate) fn called(from: IpAddr) => Limited "{} called", from;
/// }
/// ```
macro_rules! events {
    ($(
        $(#[$meta:meta])*
        $vis:vis fn $name:ident($($argument:ident: $type:ty),* $(,)?)
            => $rate:ident $format:literal $(, $value:expr)* $(,)?;
    )*) => {$(
        $(#[$meta])*
        #[inline]
        $vis fn $name($($argument: $type),*) {
            #[cfg(not(CONFIG_DYNAMIC_DEBUG))]
            let _ = ($($argument),*);
            #[cfg(CONFIG_DYNAMIC_DEBUG)]
            {
                use $crate::dynamic_debug::{Callsite, Rate};

                #[allow(unsafe_code)]
                #[link_section = "__dyndbg"]
                #[used]
                static mut CALLSITE: Callsite =
                    // SAFETY: This static is in the right section, and only raw pointers to it are made.
                    unsafe {
                        Callsite::new(
                            concat!(stringify!($name), "\0"),
                            concat!(file!(), "\0"),
                            concat!($format, "\0"),
                            line!(),
                        )
                    };
                #[allow(unsafe_code)]
                let is_on =
                    // SAFETY: The key is one of dynamic debugging, laid out as C's.
                    unsafe { kernel::jump_label::static_branch_unlikely!(CALLSITE, Callsite, key) };
                if is_on {
                    #[allow(unsafe_code)]
                    // SAFETY: As above.
                    unsafe {
                        Callsite::print(&raw mut CALLSITE, Rate::$rate, format_args!($format $(, $value)*))
                    };
                }
            }
        }
    )*};
}
pub(crate) use events;
