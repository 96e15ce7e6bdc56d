// SPDX-License-Identifier: GPL-2.0

//! Error numbers.

use crate::alloc::AllocError;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Error(i32);

pub type Result<T = (), E = Error> = core::result::Result<T, E>;

pub mod code {
    use super::Error;

    pub const ENOMEM: Error = Error(12);
    pub const EINVAL: Error = Error(22);
    pub const ENOSPC: Error = Error(28);
    pub const ELOOP: Error = Error(40);
    pub const EBADMSG: Error = Error(74);
    pub const EDESTADDRREQ: Error = Error(89);
    pub const EPROTONOSUPPORT: Error = Error(93);
    pub const ENOKEY: Error = Error(126);
}

impl From<AllocError> for Error {
    fn from(_: AllocError) -> Self {
        code::ENOMEM
    }
}

impl From<core::convert::Infallible> for Error {
    fn from(never: core::convert::Infallible) -> Self {
        match never {}
    }
}
