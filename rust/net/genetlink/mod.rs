// SPDX-License-Identifier: GPL-2.0

//! Generic netlink families whose commands are implemented in Rust.
//!
//! (The `kernel` crate's `net::netlink` can only multicast.)
//!
//! A command is a type that implements [`Do`], called once for each request, or [`Dump`], which
//! answers a request with as many messages as it takes. A [`Family`] is a constant table of
//! commands; [`Family::register`] makes it reachable.
//!
//! The attributes of a request are checked against the command's [`Policy`] table, nested ones
//! included, before its handler runs, and generic netlink answers what fails with an error number
//! and an extended-ack text of its own. What reaches the handler is therefore well-formed up to the
//! depth of the policy, and read with [`Attributes`], which needs no policy of its own.
//!
//! Context: process context; handlers may sleep. Locking: families are parallel, so a handler runs beside others, and takes what
//! locks it needs. A request is valid in its handler; a [`Family`] and its tables are `'static`.
//!
//! C header: [`include/net/genetlink.h`](srctree/include/net/genetlink.h)

mod attribute;
mod family;
mod message;
pub(crate) mod policy;

use core::{marker::PhantomData, ptr::NonNull};
use kernel::{
    error::{from_result, to_result},
    ffi,
    prelude::*,
};

use self::message::Single;
use crate::{bindings, net::namespace::Net};

pub(crate) use self::{
    attribute::{Attribute, Attributes, Malformed, Step, Table},
    family::{Family, Group, Registration},
    message::{Batch, Writer},
    policy::Policy,
};

impl From<Malformed> for Error {
    fn from(_: Malformed) -> Self {
        EINVAL
    }
}

/// A request from user space, whose attributes have passed the command's policy.
///
/// # Invariants
///
/// `payload` is what follows the headers of a valid message, and `net` the namespace of the socket
/// that sent it; both stay for `'a`.
pub(crate) struct Request<'a> {
    payload: &'a [u8],
    net: &'a Net,
}

impl<'a> Request<'a> {
    /// Wraps what generic netlink hands to a callback.
    ///
    /// # Safety
    ///
    /// `info` must be valid for the whole of `'a`, in which its message may not be written to.
    unsafe fn new(info: NonNull<bindings::genl_info>) -> Self {
        let info = info.as_ptr();
        // SAFETY: `info` is valid, and generic netlink has checked that the message is at least as
        // long as its headers, and at most as long as the buffer that it is in.
        let payload = unsafe {
            let header = (*info).genlhdr;
            core::slice::from_raw_parts(
                bindings::genlmsg_data(header).cast(),
                bindings::genlmsg_len(header) as usize,
            )
        };
        // SAFETY: The socket that sends a request is open, and keeps its namespace alive.
        let net = unsafe { Net::from_raw(bindings::genl_info_net(info)) };
        // INVARIANT: As above.
        Self { payload, net }
    }

    /// Returns the attributes.
    pub(crate) fn attributes(&self) -> Attributes<'a> {
        Attributes::new(self.payload)
    }

    /// Returns the network namespace of the socket that sent the request.
    pub(crate) fn namespace(&self) -> &'a Net {
        self.net
    }
}

/// A command that is answered with success or an error (a `doit` operation).
pub(crate) trait Do: 'static {
    /// The command's number.
    const COMMAND: u8;

    /// What its attributes must look like.
    const POLICY: &'static [Policy];

    /// The attributes that hold secrets. When the handler has returned, however it did, their
    /// payload is zeroed in the message, which the kernel frees without that.
    const SECRETS: &'static [&'static [Step]];

    /// Handles a request.
    ///
    /// Context: process context, may sleep. Runs in parallel with other requests and dumps.
    fn handle(request: &Request<'_>) -> Result;
}

/// A command that is answered with one message (a `doit` operation).
pub(crate) trait Get: 'static {
    /// The command's number, in the answer, too.
    const COMMAND: u8;

    /// What its attributes must look like.
    const POLICY: &'static [Policy];

    /// Handles a request. Context: process context, may sleep. Runs in parallel with others.
    fn answer(request: &Request<'_>, message: &mut Writer<'_>) -> Result;
}

/// The C callbacks of a [`Get`].
struct GetCallbacks<T>(PhantomData<T>);

impl<T: Get> GetCallbacks<T> {
    /// # Safety
    ///
    /// Generic netlink calls this as a `doit` callback: `info` is valid during the call.
    unsafe extern "C" fn doit(
        _skb: *mut bindings::sk_buff,
        info: *mut bindings::genl_info,
    ) -> ffi::c_int {
        from_result(|| {
            let info = NonNull::new(info).ok_or(EINVAL)?;
            // SAFETY: By the safety requirement; nobody writes to the message.
            let request = unsafe { Request::new(info) };
            // SAFETY: As above; the family is the one that the callback is of.
            let (family, asked_by) = unsafe {
                let info = info.as_ref();
                (&*info.family, (info.snd_portid, info.snd_seq))
            };
            let answer = Single::new(family, T::COMMAND, asked_by, |message| {
                T::answer(&request, message)
            })?;
            // SAFETY: As above. The callee takes the buffer.
            to_result(unsafe { bindings::genlmsg_reply(answer.into_raw(), info.as_ptr()) })?;
            Ok(0)
        })
    }
}

/// Whether a dump has come to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// There is more to dump than fitted into this batch.
    More,
    /// That was all.
    Complete,
}

/// A command that is answered with a series of messages (a `dumpit` operation).
///
/// The value that implements it is the state of one dump. It is dropped, in process context, when
/// the dump has ended or user space has given it up.
pub(crate) trait Dump: Send + Sized + 'static {
    /// The command's number.
    const COMMAND: u8;

    /// What its attributes must look like.
    const POLICY: &'static [Policy];

    /// Begins a dump. Context: process context, may sleep.
    fn start(request: &Request<'_>) -> Result<Self>;

    /// Writes as many messages of the dump as there is room for in a batch. An error ends the dump.
    ///
    /// A dump goes on as user space reads: any amount of time passes between two calls.
    ///
    /// Context: process context, may sleep. Runs in parallel with requests and other dumps.
    fn next(&mut self, batch: &mut Batch<'_>) -> Result<Progress>;
}

/// The C callbacks of a [`Do`].
struct DoCallbacks<T>(PhantomData<T>);

impl<T: Do> DoCallbacks<T> {
    /// # Safety
    ///
    /// Generic netlink calls this as a `doit` callback: `info` is valid during the call, and nobody
    /// else writes to its message.
    unsafe extern "C" fn doit(
        _skb: *mut bindings::sk_buff,
        info: *mut bindings::genl_info,
    ) -> ffi::c_int {
        from_result(|| {
            let info = NonNull::new(info).ok_or(EINVAL)?;
            // SAFETY: By the safety requirement; and we do not write to the message before the
            // handler has returned.
            let result = T::handle(unsafe { &Request::new(info) });
            // SAFETY: As above; and the request, which borrowed the message, is gone.
            let message = unsafe { payload_mut(info) };
            for path in T::SECRETS {
                attribute::visit_mut(message, path, &mut |secret| {
                    // SAFETY: A slice is valid for writes of its length.
                    unsafe { bindings::memzero_explicit(secret.as_mut_ptr().cast(), secret.len()) };
                });
            }
            result.map(|()| 0)
        })
    }
}

/// Returns what follows the headers of a request, for writing.
///
/// # Safety
///
/// `info` must be that of a `doit` callback that runs for the whole of `'a`, and nothing else may
/// have a reference into its message. (C code that was given a clone of the buffer, as a packet
/// tap on netlink is, may read it at the same time, and gets the old bytes or the new ones.)
unsafe fn payload_mut<'a>(info: NonNull<bindings::genl_info>) -> &'a mut [u8] {
    // SAFETY: As in `Request::new`. The message is in the linear part of a buffer that the sending
    // socket made for it, which is writable.
    unsafe {
        let header = (*info.as_ptr()).genlhdr;
        core::slice::from_raw_parts_mut(
            bindings::genlmsg_data(header).cast(),
            bindings::genlmsg_len(header) as usize,
        )
    }
}

/// The C callbacks of a [`Dump`].
///
/// The C side keeps a pointer to the state in the first word of `netlink_callback::ctx`: it is null
/// or from [`KBox::into_raw`] from a successful `start` until `done`, which is always called then.
struct DumpCallbacks<T>(PhantomData<T>);

impl<T: Dump> DumpCallbacks<T> {
    /// Returns where the pointer to the state is kept.
    ///
    /// # Safety
    ///
    /// `cb` must be valid.
    unsafe fn slot(cb: *mut bindings::netlink_callback) -> *mut *mut T {
        // SAFETY: `cb` is valid by the safety requirement. The union is big enough for a pointer
        // and, holding `long`s, aligned for one.
        unsafe { (&raw mut (*cb).__bindgen_anon_1).cast() }
    }

    /// # Safety
    ///
    /// Generic netlink calls this as a `start` callback: `cb` is valid during the call, and so is
    /// the description of the request that it keeps there, with the message, which nobody writes
    /// to.
    unsafe extern "C" fn start(cb: *mut bindings::netlink_callback) -> ffi::c_int {
        from_result(|| {
            // SAFETY: By the safety requirement.
            let request = unsafe {
                let info = bindings::genl_info_dump(cb).cast_mut();
                Request::new(NonNull::new(info).ok_or(EINVAL)?)
            };
            let state = KBox::new(T::start(&request)?, GFP_KERNEL)?;
            // SAFETY: `cb` is valid. The slot owns the state from here on.
            unsafe { Self::slot(cb).write(KBox::into_raw(state)) };
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// Generic netlink calls this as a `dumpit` callback, with the `cb` for which [`Self::start`]
    /// succeeded and [`Self::done`] was not called, and a buffer to fill. It serialises the
    /// callbacks of one dump.
    unsafe extern "C" fn dumpit(
        skb: *mut bindings::sk_buff,
        cb: *mut bindings::netlink_callback,
    ) -> ffi::c_int {
        from_result(|| {
            // SAFETY: By the safety requirement the slot holds a pointer to the state, which nobody
            // else uses now.
            let state = unsafe { &mut **Self::slot(cb) };
            let skb = NonNull::new(skb).ok_or(EINVAL)?;
            let cb = NonNull::new(cb).ok_or(EINVAL)?;
            // SAFETY: These are a `dumpit` callback's arguments, which are used for nothing else.
            let mut batch = unsafe { Batch::new(skb, cb, T::COMMAND) };
            match state.next(&mut batch)? {
                Progress::Complete => Ok(0),
                // Zero would end the dump, and an empty batch would never do so.
                Progress::More if batch.len() == 0 => Err(EMSGSIZE),
                Progress::More => Ok(batch.len() as ffi::c_int),
            }
        })
    }

    /// # Safety
    ///
    /// Generic netlink calls this as a `done` callback, once, with the `cb` for which
    /// [`Self::start`] succeeded, and no other callback afterwards.
    unsafe extern "C" fn done(cb: *mut bindings::netlink_callback) -> ffi::c_int {
        // SAFETY: By the safety requirement the slot holds the pointer from `KBox::into_raw` that
        // `start` put there, and nobody uses it afterwards.
        drop(unsafe { KBox::from_raw(Self::slot(cb).read()) });
        0
    }
}

/// An entry of a family's table of commands (`struct genl_split_ops`).
///
/// # Invariants
///
/// The callbacks are those of one [`Do`], [`Get`] or [`Dump`], with its policy, which is never freed.
#[repr(transparent)]
pub(crate) struct Operation(bindings::genl_split_ops);

// SAFETY: An operation is never written after its construction.
unsafe impl Sync for Operation {}

impl Operation {
    /// A command for callers with `CAP_NET_ADMIN` in the user namespace that owns their socket's
    /// network namespace (`GENL_UNS_ADMIN_PERM`). Others get `EPERM`.
    pub(crate) const fn admin_do<T: Do>() -> Self {
        // INVARIANT: As the type demands.
        Self(bindings::genl_split_ops {
            __bindgen_anon_1: bindings::genl_split_ops__bindgen_ty_1 {
                __bindgen_anon_1: bindings::genl_split_ops__bindgen_ty_1__bindgen_ty_1 {
                    pre_doit: None,
                    doit: Some(DoCallbacks::<T>::doit),
                    post_doit: None,
                },
            },
            policy: policy::as_ptr(T::POLICY),
            maxattr: policy::max_type(T::POLICY),
            cmd: T::COMMAND,
            internal_flags: 0,
            flags: (bindings::GENL_UNS_ADMIN_PERM | bindings::GENL_CMD_CAP_DO) as u8,
            validate: 0,
        })
    }

    /// As [`Self::admin_do`], for a command that is answered.
    pub(crate) const fn admin_get<T: Get>() -> Self {
        // INVARIANT: As the type demands.
        Self(bindings::genl_split_ops {
            __bindgen_anon_1: bindings::genl_split_ops__bindgen_ty_1 {
                __bindgen_anon_1: bindings::genl_split_ops__bindgen_ty_1__bindgen_ty_1 {
                    pre_doit: None,
                    doit: Some(GetCallbacks::<T>::doit),
                    post_doit: None,
                },
            },
            policy: policy::as_ptr(T::POLICY),
            maxattr: policy::max_type(T::POLICY),
            cmd: T::COMMAND,
            internal_flags: 0,
            flags: (bindings::GENL_UNS_ADMIN_PERM | bindings::GENL_CMD_CAP_DO) as u8,
            validate: 0,
        })
    }

    /// As [`Self::admin_do`], for a dump.
    pub(crate) const fn admin_dump<T: Dump>() -> Self {
        // INVARIANT: As the type demands.
        Self(bindings::genl_split_ops {
            __bindgen_anon_1: bindings::genl_split_ops__bindgen_ty_1 {
                __bindgen_anon_2: bindings::genl_split_ops__bindgen_ty_1__bindgen_ty_2 {
                    start: Some(DumpCallbacks::<T>::start),
                    dumpit: Some(DumpCallbacks::<T>::dumpit),
                    done: Some(DumpCallbacks::<T>::done),
                },
            },
            policy: policy::as_ptr(T::POLICY),
            maxattr: policy::max_type(T::POLICY),
            cmd: T::COMMAND,
            internal_flags: 0,
            flags: (bindings::GENL_UNS_ADMIN_PERM | bindings::GENL_CMD_CAP_DUMP) as u8,
            validate: 0,
        })
    }
}
