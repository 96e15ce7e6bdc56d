// SPDX-License-Identifier: GPL-2.0

//! Memory for the payload of packets that follow each other in a TCP flow: each is decrypted to behind the one before.

#![forbid(unsafe_code)]

use kernel::prelude::*;

use crate::{
    crypto::DataKey, data::segment::MOST_HEADERS, device::engine::Engine, net::skb::Piece,
};

/// Memory for payload, each packet's behind that of the one before.
pub(super) struct Room {
    piece: Piece,
    /// Where the next one's goes.
    pub(super) at: usize,
}

impl Room {
    /// What stands in front of the first payload: the scratch of decryption, and headers.
    pub(super) const BEFORE: usize = DataKey::SCRATCH + MOST_HEADERS;

    /// Allocates room for so many bytes, or for as many as there can be. Errors: `ENOMEM`.
    pub(super) fn alloc(engine: &Engine, bytes: usize) -> Result<Self> {
        let len = bytes.saturating_add(Self::BEFORE).min(Piece::MAX);
        let piece = engine.local()?.piece(len)?;
        Ok(Self {
            piece,
            at: Self::BEFORE,
        })
    }

    /// Returns whether there is a place for a packet of `len` bytes.
    pub(super) fn has_place(&self, len: usize) -> bool {
        self.at.saturating_add(len) <= self.piece.len()
    }

    /// Returns where a packet of `len` bytes is to be decrypted to, so that its payload goes where the next one's goes.
    pub(super) fn place(&mut self, headers_len: usize, len: usize) -> Option<Place<'_>> {
        let start = self.at.checked_sub(headers_len + DataKey::SCRATCH)?;
        let end = start.checked_add(DataKey::SCRATCH + len)?;
        Place::new(self.piece.bytes().get_mut(start..end)?, headers_len)
    }

    /// Splits what has been decrypted, if anything, from what is free.
    pub(super) fn split(mut self) -> (Option<Piece>, Option<Self>) {
        if self.at == Self::BEFORE {
            return (None, Some(self));
        }
        match self.piece.split_to(self.at) {
            Some(piece) => {
                self.at = Self::BEFORE;
                (Some(piece), Some(self))
            }
            None => (Some(self.piece), None),
        }
    }
}

/// Where a packet is decrypted to. Its headers, and the scratch in front of them, are where the payload of the
/// packet before ends, which is put back afterwards.
pub(super) struct Place<'a> {
    pub(super) bytes: &'a mut [u8],
    scratch: [u8; DataKey::SCRATCH],
    headers: [u8; MOST_HEADERS],
    headers_len: usize,
}

impl<'a> Place<'a> {
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
