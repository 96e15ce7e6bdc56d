// SPDX-License-Identifier: GPL-2.0

//! Sealing and opening with a [`DataKey`], in buffers as it wants them, with rubbish where that may be.

use crate::crypto::DataKey;

/// A buffer for a packet to be sealed in.
pub(crate) fn room_for(plain: &[u8]) -> Vec<u8> {
    [
        &[0xaa; DataKey::SCRATCH][..],
        plain,
        &[0xbb; 16 + DataKey::SPARE],
    ]
    .concat()
}

/// A sealed packet in a buffer to be opened from.
pub(crate) fn message_of(sealed: &[u8]) -> Vec<u8> {
    [
        &[0xcc; DataKey::SCRATCH][..],
        sealed,
        &[0xdd; DataKey::SPARE],
    ]
    .concat()
}

/// The packet, sealed.
pub(crate) fn seal(key: &DataKey, counter: u64, plain: &[u8]) -> Vec<u8> {
    let mut buffer = room_for(plain);
    assert!(key.seal_in_place(counter, &mut buffer));
    buffer.truncate(DataKey::SCRATCH + plain.len() + 16);
    buffer.split_off(DataKey::SCRATCH)
}

/// What was sealed, if that is authentic.
pub(crate) fn open(key: &DataKey, counter: u64, sealed: &[u8]) -> Option<Vec<u8>> {
    let mut opened = vec![0xee; DataKey::SCRATCH + sealed.len().checked_sub(16)?];
    key.open(counter, &mut message_of(sealed), &mut opened)
        .then(|| opened.split_off(DataKey::SCRATCH))
}
