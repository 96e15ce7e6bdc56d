// SPDX-License-Identifier: GPL-2.0

//! The tracepoints `wireguard:*`. `tracepoints.h` says what each tells.
//!
//! (The `kernel` crate's `declare_trace!` finds only tracepoints of which that crate has bindings.)
//!
//! Context: any. It locks nothing and cannot fail; the closure that makes the values runs only while the tracepoint is on.
//!
//! C header: [`include/linux/tracepoint.h`](srctree/include/linux/tracepoint.h)

use kernel::{ffi, str::CStrExt as _};

#[cfg(CONFIG_TRACEPOINTS)]
use crate::bindings::*;

/// Defines functions that call a tracepoint, with values that are made only if the tracepoint is on.
macro_rules! tracepoints {
    ($(
        $(#[$meta:meta])*
        $name:ident($($value:ident: $type:ty),*): $key:ident, $call:ident;
    )*) => {$(
        $(#[$meta])*
        #[inline(always)]
        pub(crate) fn $name(values: impl FnOnce() -> ($($type,)*)) {
            #[cfg(CONFIG_TRACEPOINTS)]
            {
                // SAFETY: The key is that of a tracepoint.
                let is_on = unsafe {
                    kernel::jump_label::static_branch_unlikely!($key, kernel::bindings::tracepoint, key)
                };
                if is_on {
                    let ($($value,)*) = values();
                    // SAFETY: The callee takes these values; a string among them is one of C.
                    unsafe { $call($($value),*) };
                }
            }
            #[cfg(not(CONFIG_TRACEPOINTS))]
            let _ = values;
        }
    )*};
}

tracepoints! {
    /// A handshake message is sent.
    handshake_sent(ifindex: i32, peer: u64, kind: u8, len: u32): __tracepoint_wg_handshake_sent, rust_do_trace_wg_handshake_sent;
    /// An authentic one has come.
    handshake_received(ifindex: i32, peer: u64, kind: u8, len: u32): __tracepoint_wg_handshake_received, rust_do_trace_wg_handshake_received;
    /// A session's keys were derived.
    session_begun(ifindex: i32, peer: u64, session: u32, is_initiator: bool): __tracepoint_wg_session_begun, rust_do_trace_wg_session_begun;
    /// They are given up.
    session_ended(ifindex: i32, peer: u64, session: u32, is_initiator: bool): __tracepoint_wg_session_ended, rust_do_trace_wg_session_ended;
    /// The packets of a job were encrypted.
    batch_sealed(ifindex: i32, peer: u64, packets: u32, bytes: u32): __tracepoint_wg_batch_sealed, rust_do_trace_wg_batch_sealed;
    /// The messages of a job were decrypted.
    batch_opened(ifindex: i32, peer: u64, packets: u32, bytes: u32): __tracepoint_wg_batch_opened, rust_do_trace_wg_batch_opened;
}

mod raw {
    use super::*;

    tracepoints! {
        /// Something is dropped.
        dropped(ifindex: i32, peer: u64, cause: *const ffi::c_char, count: u32): __tracepoint_wg_dropped, rust_do_trace_wg_dropped;
    }
}

/// Packets or messages are dropped, for a cause with this name; of no known peer if that is zero.
#[inline(always)]
pub(crate) fn dropped(ifindex: i32, peer: u64, cause: &'static core::ffi::CStr, count: u32) {
    raw::dropped(|| (ifindex, peer, cause.as_char_ptr(), count));
}
