// SPDX-License-Identifier: GPL-2.0

//! Reading netlink attributes.
//!
//! A netlink attribute is a header of two native-endian `u16` (length with the header, type), its
//! payload, and padding to a multiple of four bytes. The payload may itself be a stream of
//! attributes. This reads them from plain byte slices: it needs nothing of the kernel, has no
//! `unsafe`, and cannot panic whatever the bytes are.
//!
//! Context: any. It locks nothing; what is read lives as long as the bytes. The only error is [`Malformed`], or [`None`] for
//! a payload of another length.
//!
//! C header: [`include/net/netlink.h`](srctree/include/net/netlink.h)
//!
//! # Examples
//!
//! ```
//! use crate::net::genetlink::Attributes;
//! // Length 8 (with the header), type 3, a number.
//! let bytes = [8, 0, 3, 0, 42, 0, 0, 0];
//! for attribute in Attributes::new(&bytes) {
//!     assert_eq!((attribute.kind(), attribute.u32()), (3, Some(42)));
//! }
//! ```

#![forbid(unsafe_code)]

use core::{ffi::CStr, ops::Range};

/// Length of an attribute's header, in bytes (`NLA_HDRLEN`).
const HEADER_LEN: usize = 4;
/// Attributes start at multiples of this many bytes (`NLA_ALIGNTO`).
const ALIGN: usize = 4;
/// The payload is a stream of attributes (`NLA_F_NESTED`).
const NESTED: u16 = 1 << 15;
/// What the two flag bits leave of the type field (`NLA_TYPE_MASK`).
const TYPE_MASK: u16 = 0x3fff;

/// A stream of attributes that breaks a rule: a type out of range, bytes left over, or an element
/// of an array that is not marked as nested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// One attribute.
#[derive(Clone, Copy)]
pub(crate) struct Attribute<'a> {
    raw_type: u16,
    payload: &'a [u8],
}

impl<'a> Attribute<'a> {
    /// Returns the type, without its flag bits (`nla_type`).
    pub(crate) fn kind(&self) -> u16 {
        self.raw_type & TYPE_MASK
    }

    /// Returns the payload, without padding (`nla_data`, `nla_len`).
    pub(crate) fn payload(&self) -> &'a [u8] {
        self.payload
    }

    /// Returns the payload's first `N` bytes, or `None` if there are fewer.
    fn first<const N: usize>(&self) -> Option<[u8; N]> {
        self.payload().first_chunk().copied()
    }

    /// Reads the payload as a `u8` (`nla_get_u8`).
    pub(crate) fn u8(&self) -> Option<u8> {
        self.first().map(u8::from_ne_bytes)
    }

    /// Reads the payload as a `u16` (`nla_get_u16`).
    pub(crate) fn u16(&self) -> Option<u16> {
        self.first().map(u16::from_ne_bytes)
    }

    /// Reads the payload as a `u32` (`nla_get_u32`).
    pub(crate) fn u32(&self) -> Option<u32> {
        self.first().map(u32::from_ne_bytes)
    }

    /// Reads the payload as a number of four or eight bytes (`nla_get_uint`).
    pub(crate) fn uint(&self) -> Option<u64> {
        match self.payload.len() {
            8 => self.first().map(u64::from_ne_bytes),
            _ => self.u32().map(u64::from),
        }
    }

    /// Returns the payload as an array if it has exactly that length.
    pub(crate) fn array<const N: usize>(&self) -> Option<&'a [u8; N]> {
        self.payload.try_into().ok()
    }

    /// Returns the payload up to its first NUL, or `None` if it has no NUL.
    pub(crate) fn string(&self) -> Option<&'a CStr> {
        CStr::from_bytes_until_nul(self.payload).ok()
    }

    /// Reads the payload as a stream of attributes (`nla_for_each_nested`).
    ///
    /// Whether the attribute is marked as nested does not matter.
    pub(crate) fn attributes(&self) -> Attributes<'a> {
        Attributes::new(self.payload)
    }

    /// Sorts the payload's attributes into a table (`nla_parse_nested` without a policy).
    ///
    /// The attribute must be marked as nested.
    pub(crate) fn table<const N: usize>(&self) -> Result<Table<'a, N>, Malformed> {
        if self.raw_type & NESTED == 0 {
            return Err(Malformed);
        }
        self.attributes().table()
    }
}

/// A stream of attributes, in the order in which they stand (`nla_for_each_attr`).
///
/// It ends at the first attribute that does not fit into the bytes that are left.
#[derive(Clone)]
pub(crate) struct Attributes<'a> {
    stream: &'a [u8],
    position: usize,
}

impl<'a> Attributes<'a> {
    /// Reads attributes from bytes.
    pub(crate) fn new(stream: &'a [u8]) -> Self {
        Self {
            stream,
            position: 0,
        }
    }

    /// Sorts the attributes into a table; of several of one type, the last counts
    /// (`nla_parse` without a policy, but strict about types and trailing bytes).
    pub(crate) fn table<const N: usize>(mut self) -> Result<Table<'a, N>, Malformed> {
        let mut table = Table([None; N]);
        for attribute in self.by_ref() {
            match table.0.get_mut(usize::from(attribute.kind())) {
                Some(slot) if attribute.kind() != 0 => *slot = Some(attribute),
                _ => return Err(Malformed),
            }
        }
        if self.position < self.stream.len() {
            return Err(Malformed);
        }
        Ok(table)
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Attribute<'a>;

    fn next(&mut self) -> Option<Attribute<'a>> {
        let found = locate(self.stream, self.position)?;
        self.position = found.next;
        Some(Attribute {
            raw_type: found.raw_type,
            payload: self.stream.get(found.payload)?,
        })
    }
}

/// Attributes by their type, which is below `N`.
pub(crate) struct Table<'a, const N: usize>([Option<Attribute<'a>>; N]);

impl<'a, const N: usize> Table<'a, N> {
    /// Returns the attribute of a type, if the stream had one.
    pub(crate) fn get(&self, kind: u16) -> Option<Attribute<'a>> {
        self.0.get(usize::from(kind)).copied().flatten()
    }
}

/// A step of the way from a message to attributes inside it.
#[derive(Clone, Copy)]
pub(crate) enum Step {
    /// To the attributes of this type.
    Kind(u16),
    /// To the elements of an array: attributes of any type.
    Each,
}

/// Calls `visit` with the payload of each attribute to which `path` leads.
///
/// That is every one, also those that a [`Table`] forgets for a later one of the same type. An
/// empty path leads nowhere. Recurses as deep as `path` is long, whatever the stream holds.
pub(crate) fn visit_mut(stream: &mut [u8], path: &[Step], visit: &mut dyn FnMut(&mut [u8])) {
    let Some((step, path)) = path.split_first() else {
        return;
    };
    let mut position = 0;
    while let Some(found) = locate(stream, position) {
        position = found.next;
        let wanted = match *step {
            Step::Kind(kind) => kind == found.raw_type & TYPE_MASK,
            Step::Each => true,
        };
        match stream.get_mut(found.payload) {
            Some(payload) if wanted && path.is_empty() => visit(payload),
            Some(payload) if wanted => visit_mut(payload, path, visit),
            _ => (),
        }
    }
}

/// Where an attribute is in a stream.
struct Location {
    raw_type: u16,
    payload: Range<usize>,
    next: usize,
}

/// Reads the header of the attribute at `position` (`nla_ok`, `nla_next`), or returns `None` if
/// there is none that fits.
fn locate(stream: &[u8], position: usize) -> Option<Location> {
    let rest = stream.get(position..)?;
    let &[l0, l1, t0, t1] = rest.first_chunk::<HEADER_LEN>()?;
    let len = usize::from(u16::from_ne_bytes([l0, l1]));
    if len < HEADER_LEN || len > rest.len() {
        return None;
    }
    Some(Location {
        raw_type: u16::from_ne_bytes([t0, t1]),
        // Both ends are inside the stream: neither sum can overflow.
        payload: position + HEADER_LEN..position + len,
        // The last attribute's padding may be missing.
        next: position + len.next_multiple_of(ALIGN).min(rest.len()),
    })
}
