// SPDX-License-Identifier: GPL-2.0

//! Memory for the payload of packets that follow each other in a TCP flow: each is decrypted to behind the one before.

#![forbid(unsafe_code)]

use core::mem::replace;
use kernel::prelude::*;

use crate::{
    crypto::DataKey,
    data::segment::MOST_HEADERS,
    device::{engine::Engine, local::Local},
    net::skb::PageFrag,
};

/// What is put aside at a time, in bytes: an array of these is copied without a call.
const CHUNK: usize = 64;

/// How many of these at most: the scratch of decryption, and headers.
const MOST_CHUNKS: usize = (DataKey::SCRATCH + MOST_HEADERS).div_ceil(CHUNK);

/// Memory for payload, each packet's behind that of the one before.
pub(super) struct PayloadBuffer {
    frag: PageFrag,
    /// Where the next one's goes.
    pub(super) at: usize,
    /// What was in front of that before something was decrypted over it.
    aside: [[u8; CHUNK]; MOST_CHUNKS],
}

impl PayloadBuffer {
    /// What stands in front of the first payload.
    pub(super) const BEFORE: usize = CHUNK * MOST_CHUNKS;

    /// Allocates memory for a packet of `len` bytes, and for more. Errors: `ENOMEM`.
    pub(super) fn alloc(engine: &Engine, len: usize) -> Result<Self> {
        let least = len.saturating_add(Self::BEFORE);
        let frag = engine.local()?.page_frag_with_rest(least)?;
        Ok(Self {
            frag,
            at: Self::BEFORE,
            aside: [[0; CHUNK]; MOST_CHUNKS],
        })
    }

    /// Returns whether there is room for a packet of `len` bytes.
    pub(super) fn has_room_for(&self, len: usize) -> bool {
        self.at.saturating_add(len) <= self.frag.len()
    }

    /// Returns where a packet of `len` bytes is to be decrypted to, so that its payload goes where the next one's goes.
    #[inline]
    pub(super) fn destination(
        &mut self,
        headers_len: usize,
        len: usize,
    ) -> Option<Destination<'_>> {
        let before = headers_len + DataKey::SCRATCH;
        let chunks = before.div_ceil(CHUNK);
        let start = self.at.checked_sub(chunks * CHUNK)?;
        let end = self.at.checked_sub(headers_len)?.checked_add(len)?;
        let bytes = self.frag.bytes().get_mut(start..end)?;
        let aside = self.aside.get_mut(..chunks)?;
        // A packet that is shorter than these headers is of another flow.
        let replaced = bytes.get(..chunks * CHUNK)?;
        for (to, from) in aside.iter_mut().zip(replaced.chunks_exact(CHUNK)) {
            to.copy_from_slice(from);
        }
        Some(Destination {
            bytes,
            offset: chunks * CHUNK - before,
            aside,
        })
    }

    /// Returns whether nothing has been decrypted.
    pub(super) fn is_empty(&self) -> bool {
        self.at == Self::BEFORE
    }

    /// Splits what is free off from what has been decrypted. `None` if nothing is.
    pub(super) fn split_off(&mut self) -> Option<Self> {
        let first = self.frag.split_to(self.at)?;
        Some(Self {
            frag: replace(&mut self.frag, first),
            at: Self::BEFORE,
            aside: [[0; CHUNK]; MOST_CHUNKS],
        })
    }

    /// Returns what has been decrypted, to which what is free is accounted, too.
    pub(super) fn into_frag(mut self) -> PageFrag {
        self.frag.shorten(self.at);
        self.frag
    }

    /// Gives the memory back, in which nothing has been decrypted.
    pub(super) fn give_back(self, local: &Local) {
        local.keep_rest(self.frag);
    }
}

/// Where a packet is decrypted to. Its headers, and the scratch in front of them, are where the payload of the
/// packet before ends, which is put back afterwards.
pub(super) struct Destination<'a> {
    /// From the first byte that was put aside.
    bytes: &'a mut [u8],
    /// Where the scratch begins.
    offset: usize,
    aside: &'a [[u8; CHUNK]],
}

impl Destination<'_> {
    /// The scratch, and the packet behind it.
    #[inline]
    pub(super) fn bytes(&mut self) -> &mut [u8] {
        self.bytes.get_mut(self.offset..).unwrap_or_default()
    }

    /// Puts back what the headers, and the scratch in front of them, have overwritten.
    #[inline]
    pub(super) fn restore(self) {
        for (to, from) in self.bytes.chunks_exact_mut(CHUNK).zip(self.aside) {
            to.copy_from_slice(from);
        }
    }
}
