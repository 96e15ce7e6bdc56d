// SPDX-License-Identifier: GPL-2.0

//! Memory for the payload of packets that follow each other in a TCP flow: each is decrypted to behind the one before.

#![forbid(unsafe_code)]

use kernel::prelude::*;

use crate::{
    crypto::DataKey, data::segment::MOST_HEADERS, device::engine::Engine, net::skb::PageFrag,
};

/// Memory for payload, each packet's behind that of the one before.
pub(super) struct PayloadBuffer {
    frag: PageFrag,
    /// Where the next one's goes.
    pub(super) at: usize,
}

impl PayloadBuffer {
    /// What stands in front of the first payload: the scratch of decryption, and headers.
    pub(super) const BEFORE: usize = DataKey::SCRATCH + MOST_HEADERS;

    /// Allocates memory for so many bytes, or for as many as there can be. Errors: `ENOMEM`.
    pub(super) fn alloc(engine: &Engine, bytes: usize) -> Result<Self> {
        let len = bytes.saturating_add(Self::BEFORE).min(PageFrag::MAX);
        let frag = engine.local()?.page_frag(len)?;
        Ok(Self {
            frag,
            at: Self::BEFORE,
        })
    }

    /// Returns whether there is room for a packet of `len` bytes.
    pub(super) fn has_room_for(&self, len: usize) -> bool {
        self.at.saturating_add(len) <= self.frag.len()
    }

    /// Returns where a packet of `len` bytes is to be decrypted to, so that its payload goes where the next one's goes.
    pub(super) fn destination(
        &mut self,
        headers_len: usize,
        len: usize,
    ) -> Option<Destination<'_>> {
        let start = self.at.checked_sub(headers_len + DataKey::SCRATCH)?;
        let end = start.checked_add(DataKey::SCRATCH + len)?;
        Destination::new(self.frag.bytes().get_mut(start..end)?, headers_len)
    }

    /// Splits what has been decrypted, if anything, from what is free.
    pub(super) fn split(mut self) -> (Option<PageFrag>, Option<Self>) {
        if self.at == Self::BEFORE {
            return (None, Some(self));
        }
        match self.frag.split_to(self.at) {
            Some(frag) => {
                self.at = Self::BEFORE;
                (Some(frag), Some(self))
            }
            None => (Some(self.frag), None),
        }
    }
}

/// Where a packet is decrypted to. Its headers, and the scratch in front of them, are where the payload of the
/// packet before ends, which is put back afterwards.
pub(super) struct Destination<'a> {
    pub(super) bytes: &'a mut [u8],
    scratch: [u8; DataKey::SCRATCH],
    headers: [u8; MOST_HEADERS],
    headers_len: usize,
}

impl<'a> Destination<'a> {
    fn new(bytes: &'a mut [u8], headers_len: usize) -> Option<Self> {
        let mut headers = [0; MOST_HEADERS];
        let (scratch, rest) = bytes.split_first_chunk()?;
        headers
            .get_mut(..headers_len)?
            .copy_from_slice(rest.get(..headers_len)?);
        let scratch = *scratch;
        Some(Self {
            bytes,
            scratch,
            headers,
            headers_len,
        })
    }

    /// Puts back what the headers, and the scratch in front of them, have overwritten.
    pub(super) fn restore(&mut self) {
        if let Some((scratch, rest)) = self.bytes.split_first_chunk_mut() {
            *scratch = self.scratch;
            let headers = self.headers.get(..self.headers_len);
            if let (Some(to), Some(from)) = (rest.get_mut(..self.headers_len), headers) {
                to.copy_from_slice(from);
            }
        }
    }
}
