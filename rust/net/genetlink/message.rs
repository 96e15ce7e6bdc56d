// SPDX-License-Identifier: GPL-2.0

//! Writing netlink messages.
//!
//! Context: any, but where an item says something else. Locking: none; a message has one writer. The error is `EMSGSIZE`,
//! where nothing else is said.
//!
//! C headers: [`include/net/netlink.h`](srctree/include/net/netlink.h),
//! [`include/net/genetlink.h`](srctree/include/net/genetlink.h)

use core::{
    ffi::CStr,
    marker::PhantomData,
    ops::{Deref, DerefMut},
    ptr::NonNull,
};
use kernel::{error::to_result, ffi, prelude::*};

use crate::{bindings, net::namespace::Net};

/// The longest payload that an attribute's 16-bit length field can count besides its header.
const MAX_PAYLOAD_LEN: usize = u16::MAX as usize - size_of::<bindings::nlattr>();

/// Appends attributes to a message or to a nest.
///
/// Every method returns `EMSGSIZE`, and leaves the message as it was, if the buffer has no room.
///
/// # Invariants
///
/// `skb` is a netlink buffer that holds an unfinished message, and for `'a` nothing else writes to
/// it.
pub(crate) struct Writer<'a> {
    skb: NonNull<bindings::sk_buff>,
    _buffer: PhantomData<&'a mut bindings::sk_buff>,
}

impl Writer<'_> {
    /// Appends an attribute (`nla_put`).
    pub(crate) fn put(&mut self, kind: u16, payload: &[u8]) -> Result {
        if payload.len() > MAX_PAYLOAD_LEN {
            return Err(EMSGSIZE);
        }
        // SAFETY: `skb` is valid by the type invariant, and `payload` readable for its length,
        // which fits into a `c_int` as just checked.
        to_result(unsafe {
            bindings::nla_put(
                self.skb.as_ptr(),
                kind.into(),
                payload.len() as ffi::c_int,
                payload.as_ptr().cast(),
            )
        })
    }

    /// Appends a `u8` (`nla_put_u8`).
    pub(crate) fn put_u8(&mut self, kind: u16, value: u8) -> Result {
        self.put(kind, &value.to_ne_bytes())
    }

    /// Appends a `u16` (`nla_put_u16`).
    pub(crate) fn put_u16(&mut self, kind: u16, value: u16) -> Result {
        self.put(kind, &value.to_ne_bytes())
    }

    /// Appends a `u32` (`nla_put_u32`).
    pub(crate) fn put_u32(&mut self, kind: u16, value: u32) -> Result {
        self.put(kind, &value.to_ne_bytes())
    }

    /// Appends a `u64`, aligned to eight bytes by an empty attribute of type `pad` before it on
    /// architectures that need that (`nla_put_u64_64bit`).
    pub(crate) fn put_u64(&mut self, kind: u16, value: u64, pad: u16) -> Result {
        let payload = value.to_ne_bytes();
        // SAFETY: `skb` is valid by the type invariant, and `payload` readable for its length.
        to_result(unsafe {
            bindings::nla_put_64bit(
                self.skb.as_ptr(),
                kind.into(),
                payload.len() as ffi::c_int,
                payload.as_ptr().cast(),
                pad.into(),
            )
        })
    }

    /// Appends a number as four bytes if it fits, else as eight (`nla_put_uint`).
    pub(crate) fn put_uint(&mut self, kind: u16, value: u64) -> Result {
        // SAFETY: `skb` is valid by the type invariant.
        to_result(unsafe { bindings::nla_put_uint(self.skb.as_ptr(), kind.into(), value) })
    }

    /// Appends a string with its NUL (`nla_put_string`).
    pub(crate) fn put_string(&mut self, kind: u16, value: &CStr) -> Result {
        self.put(kind, value.to_bytes_with_nul())
    }

    /// Appends an attribute whose payload is put together from pieces (`nla_reserve`).
    pub(crate) fn put_pieces<const N: usize>(&mut self, kind: u16, pieces: [&[u8]; N]) -> Result {
        let len: usize = pieces.iter().map(|piece| piece.len()).sum();
        if len > MAX_PAYLOAD_LEN {
            return Err(EMSGSIZE);
        }
        // SAFETY: `skb` is valid by the type invariant, and the length fits into a `c_int`.
        let attribute =
            unsafe { bindings::nla_reserve(self.skb.as_ptr(), kind.into(), len as ffi::c_int) };
        let attribute = NonNull::new(attribute).ok_or(EMSGSIZE)?;
        // SAFETY: The payload of an attribute follows its header.
        let mut to = unsafe { attribute.add(1) }.cast::<u8>();
        for piece in pieces {
            // SAFETY: `len` bytes of payload were reserved, which is what all pieces have together,
            // and no reference into the buffer exists.
            unsafe {
                to.as_ptr()
                    .copy_from_nonoverlapping(piece.as_ptr(), piece.len());
                to = to.add(piece.len());
            }
        }
        Ok(())
    }

    /// Begins an attribute that holds attributes (`nla_nest_start`).
    pub(crate) fn nest(&mut self, kind: u16) -> Result<Nest<'_>> {
        // SAFETY: `skb` is valid by the type invariant.
        let start = unsafe { bindings::nla_nest_start(self.skb.as_ptr(), kind.into()) };
        // INVARIANT: The nest was just begun, and nothing follows it yet. While it exists it
        // borrows `self`, so that only what it is given can be written behind it.
        Ok(Nest {
            start: NonNull::new(start).ok_or(EMSGSIZE)?,
            inside: Writer {
                skb: self.skb,
                _buffer: PhantomData,
            },
        })
    }
}

/// An attribute that holds attributes, unfinished: [`Nest::end`] keeps it, dropping it takes it and
/// all that is in it out of the message again.
///
/// # Invariants
///
/// `start` is an attribute in the buffer of `inside`, and the last that is unfinished there.
pub(crate) struct Nest<'a> {
    start: NonNull<bindings::nlattr>,
    inside: Writer<'a>,
}

impl Nest<'_> {
    /// Finishes the nest (`nla_nest_end_safe`).
    ///
    /// Errors: `EMSGSIZE` if it is longer than an attribute can be; it is taken out again then.
    pub(crate) fn end(self) -> Result {
        // SAFETY: By the type invariant, `start` is an attribute in this valid buffer.
        let len =
            unsafe { bindings::nla_nest_end_safe(self.inside.skb.as_ptr(), self.start.as_ptr()) };
        if len < 0 {
            return Err(EMSGSIZE);
        }
        core::mem::forget(self);
        Ok(())
    }
}

impl Drop for Nest<'_> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant, `start` is an attribute in this valid buffer, and all that
        // follows it belongs to it.
        unsafe { bindings::nla_nest_cancel(self.inside.skb.as_ptr(), self.start.as_ptr()) };
    }
}

impl<'a> Deref for Nest<'a> {
    type Target = Writer<'a>;

    fn deref(&self) -> &Writer<'a> {
        &self.inside
    }
}

impl<'a> DerefMut for Nest<'a> {
    fn deref_mut(&mut self) -> &mut Writer<'a> {
        &mut self.inside
    }
}

/// A message, unfinished: [`Message::end`] keeps it, dropping it takes it out of the buffer again.
///
/// # Invariants
///
/// `header` is what `genlmsg_put` returned for the last message in the buffer of `inside`.
pub(crate) struct Message<'a> {
    header: NonNull<ffi::c_void>,
    inside: Writer<'a>,
}

impl Message<'_> {
    /// Finishes the message (`genlmsg_end`).
    pub(crate) fn end(self) {
        // SAFETY: By the type invariant, the message is in this valid buffer.
        unsafe { bindings::genlmsg_end(self.inside.skb.as_ptr(), self.header.as_ptr()) };
        core::mem::forget(self);
    }
}

impl Drop for Message<'_> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant, the message is the last in this valid buffer.
        unsafe { bindings::genlmsg_cancel(self.inside.skb.as_ptr(), self.header.as_ptr()) };
    }
}

impl<'a> Deref for Message<'a> {
    type Target = Writer<'a>;

    fn deref(&self) -> &Writer<'a> {
        &self.inside
    }
}

impl<'a> DerefMut for Message<'a> {
    fn deref_mut(&mut self) -> &mut Writer<'a> {
        &mut self.inside
    }
}

/// A message in a buffer of its own.
///
/// # Invariants
///
/// `skb` is a netlink buffer that this object owns.
pub(super) struct Single {
    skb: NonNull<bindings::sk_buff>,
}

impl Single {
    /// Makes a message; `port` and `sequence` are those of the request that it answers, zeros for none.
    ///
    /// Context: process context. Errors: `ENOMEM`, those of `write`.
    pub(super) fn new(
        family: &bindings::genl_family,
        command: u8,
        (port, sequence): (u32, u32),
        write: impl FnOnce(&mut Writer<'_>) -> Result,
    ) -> Result<Self> {
        // SAFETY: May always be called from process context.
        let skb = NonNull::new(unsafe { bindings::genlmsg_new() }).ok_or(ENOMEM)?;
        // INVARIANT: Just made.
        let this = Self { skb };
        // SAFETY: The buffer is valid, and the family registered or never used.
        let header =
            unsafe { bindings::genlmsg_put(skb.as_ptr(), port, sequence, family, 0, command) };
        // INVARIANT: The message was just begun, and the buffer is ours alone.
        let mut message = Message {
            header: NonNull::new(header).ok_or(EMSGSIZE)?,
            inside: Writer {
                skb,
                _buffer: PhantomData,
            },
        };
        write(&mut message)?;
        message.end();
        Ok(this)
    }

    /// Gives the buffer away.
    pub(super) fn into_raw(self) -> *mut bindings::sk_buff {
        core::mem::ManuallyDrop::new(self).skb.as_ptr()
    }
}

impl Drop for Single {
    fn drop(&mut self) {
        // SAFETY: By the type invariant.
        unsafe { bindings::nlmsg_free(self.skb.as_ptr()) };
    }
}

/// The buffer that one call of a dump fills: what user space gets of the dump at once.
///
/// # Invariants
///
/// - `skb` is the buffer and `cb` the callback of a generic netlink dump, both valid for `'a` and
///   used by nothing else meanwhile.
/// - `info` describes the request that `cb` answers.
pub(crate) struct Batch<'a> {
    skb: NonNull<bindings::sk_buff>,
    cb: NonNull<bindings::netlink_callback>,
    info: &'a bindings::genl_info,
    command: u8,
}

impl<'a> Batch<'a> {
    /// Wraps what generic netlink hands to a dump callback.
    ///
    /// # Safety
    ///
    /// The arguments must be those of a `dumpit` callback that runs for the whole of `'a`, and may
    /// not be used by others meanwhile.
    pub(super) unsafe fn new(
        skb: NonNull<bindings::sk_buff>,
        cb: NonNull<bindings::netlink_callback>,
        command: u8,
    ) -> Self {
        // INVARIANT: By the safety requirement.
        Self {
            skb,
            cb,
            // SAFETY: `cb` is valid, and generic netlink keeps the description of the request
            // from before the first until after the last callback.
            info: unsafe { &*bindings::genl_info_dump(cb.as_ptr()) },
            command,
        }
    }

    /// Returns the network namespace of the socket that sent the request.
    pub(crate) fn namespace(&self) -> &'a Net {
        // SAFETY: The socket is open while it reads, and keeps its namespace alive.
        unsafe { Net::from_raw(bindings::genl_info_net(self.info)) }
    }

    /// Returns how many bytes the buffer holds.
    pub(super) fn len(&self) -> ffi::c_uint {
        // SAFETY: `skb` is valid by the type invariant.
        unsafe { (*self.skb.as_ptr()).len }
    }

    /// Says of which generation what is written from now on is.
    ///
    /// `generation` counts the changes of what is dumped, and must be read under the lock under
    /// which the messages are written. If it is not that of the dump's previous message, the next one
    /// tells user space that the dump as a whole is inconsistent (`NLM_F_DUMP_INTR`). If there is no
    /// next one, the kernel's own that ends the dump does.
    pub(crate) fn at_generation(&mut self, generation: u64) {
        // C has 32 bits for it, and keeps zero for "none yet".
        let seq = (generation as u32).max(1);
        // SAFETY: `cb` is valid by the type invariants.
        unsafe { (*self.cb.as_ptr()).seq = seq };
    }

    /// Begins the next message of the dump.
    ///
    /// Errors: `EMSGSIZE` if the buffer has no room.
    pub(crate) fn message(&mut self) -> Result<Message<'_>> {
        let (skb, cb) = (self.skb.as_ptr(), self.cb.as_ptr());
        // SAFETY: By the type invariants `skb` is valid, and `info` describes a request
        // to a registered family.
        let header = unsafe {
            bindings::genlmsg_put(
                skb,
                self.info.snd_portid,
                self.info.snd_seq,
                self.info.family,
                bindings::NLM_F_MULTI as ffi::c_int,
                self.command,
            )
        };
        let header = NonNull::new(header).ok_or(EMSGSIZE)?;
        // SAFETY: `cb` is valid, and `header` what `genlmsg_put` returned.
        unsafe { bindings::genl_dump_check_consistent(cb, header.as_ptr()) };
        // INVARIANT: The message was just begun. While it exists it borrows `self`, so that nothing
        // else is written to the buffer.
        Ok(Message {
            header,
            inside: Writer {
                skb: self.skb,
                _buffer: PhantomData,
            },
        })
    }
}
