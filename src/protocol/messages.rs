// SPDX-License-Identifier: GPL-2.0

//! The messages on the wire (whitepaper, section 5.4) and the protocol's constants (section 6.1).
//!
//! Everything is little endian. A message is parsed from a byte slice whose length must fit exactly,
//! into a struct of plain byte arrays, and serialised back into an array; nothing here is aligned,
//! cast or trusted. Durations are in nanoseconds, like the kernel's clocks.

#![forbid(unsafe_code)]

/// Length of a Curve25519 public or private key, in bytes.
pub(crate) const KEY_LEN: usize = 32;
/// Length of the Poly1305 tag behind every encrypted field, in bytes.
pub(crate) const TAG_LEN: usize = 16;
/// Length of `mac1`, of `mac2` and of a cookie, in bytes.
pub(crate) const MAC_LEN: usize = 16;
/// Length of `mac1` and `mac2` together: the end of every handshake message that has them.
pub(crate) const MACS_LEN: usize = 2 * MAC_LEN;
/// Length of a TAI64N timestamp, in bytes.
pub(crate) const TIMESTAMP_LEN: usize = 12;
/// Length of the XChaCha20-Poly1305 nonce of a cookie reply, in bytes.
pub(crate) const COOKIE_NONCE_LEN: usize = 24;
/// Length of the encrypted static public key in an initiation, in bytes.
pub(crate) const ENCRYPTED_STATIC_LEN: usize = KEY_LEN + TAG_LEN;
/// Length of the encrypted timestamp in an initiation, in bytes.
pub(crate) const ENCRYPTED_TIMESTAMP_LEN: usize = TIMESTAMP_LEN + TAG_LEN;
/// Length of the encrypted cookie in a cookie reply, in bytes.
pub(crate) const ENCRYPTED_COOKIE_LEN: usize = MAC_LEN + TAG_LEN;

/// Length of a handshake initiation (section 5.4.2), in bytes.
pub(crate) const INITIATION_LEN: usize = 148;
/// Length of a handshake response (section 5.4.3), in bytes.
pub(crate) const RESPONSE_LEN: usize = 92;
/// Length of a cookie reply (section 5.4.7), in bytes.
pub(crate) const COOKIE_REPLY_LEN: usize = 64;
/// Length of a data message's header (section 5.4.6), in bytes.
pub(crate) const DATA_HEADER_LEN: usize = 16;
/// Length of the shortest data message, a keepalive: header and tag, in bytes.
pub(crate) const DATA_MIN_LEN: usize = DATA_HEADER_LEN + TAG_LEN;
/// The inner packet is zero-padded to a multiple of this many bytes.
pub(crate) const PADDING_MULTIPLE: usize = 16;

/// Nanoseconds in a second.
pub(crate) const NSEC_PER_SEC: u64 = 1_000_000_000;

/// Sending this many messages with one key asks for a new handshake.
pub(crate) const REKEY_AFTER_MESSAGES: u64 = 1 << 60;
/// How far behind the greatest accepted counter another one is still accepted.
pub(crate) const REPLAY_WINDOW: u64 = 8192 - 64;
/// A key's counter never reaches this: below `u64::MAX` by the replay window, so that no sum wraps.
pub(crate) const REJECT_AFTER_MESSAGES: u64 = u64::MAX - REPLAY_WINDOW - 1;
/// Sending with a key of this age asks for a new handshake (initiator only), in nanoseconds.
pub(crate) const REKEY_AFTER_TIME: u64 = 120 * NSEC_PER_SEC;
/// A key of this age is dead, in nanoseconds.
pub(crate) const REJECT_AFTER_TIME: u64 = 180 * NSEC_PER_SEC;
/// How long initiations are repeated, if each follows after [`REKEY_TIMEOUT`], in nanoseconds.
pub(crate) const REKEY_ATTEMPT_TIME: u64 = 90 * NSEC_PER_SEC;
/// An unanswered initiation is repeated after this time plus jitter, in nanoseconds.
pub(crate) const REKEY_TIMEOUT: u64 = 5 * NSEC_PER_SEC;
/// Upper bound of the random time added to [`REKEY_TIMEOUT`], in nanoseconds.
pub(crate) const REKEY_TIMEOUT_JITTER_MAX: u64 = NSEC_PER_SEC / 3;
/// An initiation is repeated once more than this before it is given up.
pub(crate) const MAX_HANDSHAKE_ATTEMPTS: u64 = REKEY_ATTEMPT_TIME / REKEY_TIMEOUT;
/// Having received but nothing sent for this time, a keepalive is sent, in nanoseconds.
pub(crate) const KEEPALIVE_TIMEOUT: u64 = 10 * NSEC_PER_SEC;
/// Key material is erased this long after the last session began, in nanoseconds.
pub(crate) const ERASE_KEYS_AFTER: u64 = 3 * REJECT_AFTER_TIME;
/// At most one initiation per peer is accepted in this time, in nanoseconds.
pub(crate) const INITIATION_INTERVAL: u64 = NSEC_PER_SEC / 50;
/// A responder's cookie secret lives this long, in nanoseconds.
pub(crate) const COOKIE_SECRET_LIFETIME: u64 = 120 * NSEC_PER_SEC;
/// A responder under load sends one cookie in this time in the long run, in nanoseconds ...
pub(crate) const COOKIE_INTERVAL: u64 = NSEC_PER_SEC / 10_000;
/// ... and at most this many at once: one for each message that may wait.
pub(crate) const COOKIES_AT_ONCE: u64 = MAX_QUEUED_HANDSHAKES as u64;
/// A received cookie is used this long: the secret's lifetime less 5 s for the way, in nanoseconds.
pub(crate) const COOKIE_USE_TIME: u64 = COOKIE_SECRET_LIFETIME - 5 * NSEC_PER_SEC;
/// Packets held per peer while it has no session, when more come.
pub(crate) const MAX_STAGED_PACKETS: usize = 128;
/// From this many on no more is queued per peer: buffers to be encrypted; messages to be decrypted.
pub(crate) const MAX_QUEUED_PACKETS: usize = 1024;
/// Handshake messages queued per device.
pub(crate) const MAX_QUEUED_HANDSHAKES: usize = 4096;
/// From this many handshake messages on, queued for one device or turned away, all are under load.
pub(crate) const UNDER_LOAD_QUEUED: usize = MAX_QUEUED_HANDSHAKES / 8;
/// They stay under load for this long after that was last so, in nanoseconds.
pub(crate) const UNDER_LOAD_TIME: u64 = NSEC_PER_SEC;
/// Peers per device.
pub(crate) const MAX_PEERS: usize = 1 << 20;
/// DS field of handshake messages: AF41, no ECN.
pub(crate) const HANDSHAKE_DS: u8 = 0x88;

/// What a message claims to be. Its length and reserved bytes have been checked, nothing else has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// First message of a handshake, from initiator to responder.
    Initiation = 1,
    /// Second message of a handshake, from responder to initiator.
    Response = 2,
    /// Answer of a responder under load to a handshake message without a valid `mac2`.
    CookieReply = 3,
    /// An encrypted packet or keepalive.
    Data = 4,
}

impl Kind {
    /// Classifies a message by its first four bytes and its whole length.
    ///
    /// The second argument is separate because the message need not lie in one piece. `None` for an
    /// unknown type, a reserved byte that is not zero, or a length that this type cannot have.
    #[inline]
    pub(crate) fn of(start: [u8; 4], len: usize) -> Option<Self> {
        // One comparison for the type and the reserved bytes behind it.
        let (kind, fits) = match u32::from_le_bytes(start) {
            1 => (Self::Initiation, len == INITIATION_LEN),
            2 => (Self::Response, len == RESPONSE_LEN),
            3 => (Self::CookieReply, len == COOKIE_REPLY_LEN),
            4 => (Self::Data, len >= DATA_MIN_LEN),
            _ => return None,
        };
        fits.then_some(kind)
    }

    /// How long a handshake message is; `None` for data.
    pub(crate) const fn handshake_len(self) -> Option<usize> {
        match self {
            Self::Initiation => Some(INITIATION_LEN),
            Self::Response => Some(RESPONSE_LEN),
            Self::CookieReply => Some(COOKIE_REPLY_LEN),
            Self::Data => None,
        }
    }

    /// [`Kind::of`] for a message in one piece.
    #[inline]
    pub(crate) fn of_message(message: &[u8]) -> Option<Self> {
        Self::of(*message.first_chunk()?, message.len())
    }

    /// The first four bytes of a message of this kind.
    #[inline]
    pub(crate) const fn start(self) -> [u8; 4] {
        [self as u8, 0, 0, 0]
    }
}

/// Takes arrays off the front of a slice. Nothing is read past the end.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    #[inline]
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*array)
    }

    #[inline]
    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }
}

/// Puts arrays one behind the other into an array.
///
/// The layouts below fill their arrays exactly, which the tests check; bytes that did not fit would
/// be dropped rather than panic.
struct Writer<'a>(&'a mut [u8]);

impl Writer<'_> {
    #[inline]
    fn array<const N: usize>(self, bytes: &[u8; N]) -> Self {
        match self.0.split_first_chunk_mut::<N>() {
            Some((array, rest)) => {
                *array = *bytes;
                Writer(rest)
            }
            None => Writer(&mut []),
        }
    }

    #[inline]
    fn u32(self, value: u32) -> Self {
        self.array(&value.to_le_bytes())
    }
}

/// A handshake initiation (section 5.4.2).
pub(crate) struct Initiation {
    /// The index by which the sender wants to be answered.
    pub(crate) sender: u32,
    /// The initiator's ephemeral public key.
    pub(crate) ephemeral: [u8; KEY_LEN],
    /// The initiator's static public key, encrypted.
    pub(crate) encrypted_static: [u8; ENCRYPTED_STATIC_LEN],
    /// The TAI64N timestamp, encrypted.
    pub(crate) encrypted_timestamp: [u8; ENCRYPTED_TIMESTAMP_LEN],
}

impl Initiation {
    /// Parses a message; `None` unless [`Kind::of_message`] calls it an initiation.
    ///
    /// The MACs are not part of the struct: they are checked over the bytes, see [`crate::protocol::cookie`].
    pub(crate) fn parse(message: &[u8]) -> Option<Self> {
        if Kind::of_message(message)? != Kind::Initiation {
            return None;
        }
        let mut reader = Reader(message);
        reader.array::<4>()?;
        Some(Self {
            sender: reader.u32()?,
            ephemeral: reader.array()?,
            encrypted_static: reader.array()?,
            encrypted_timestamp: reader.array()?,
        })
    }

    /// The message, its two MACs still zero.
    pub(crate) fn to_bytes(&self) -> [u8; INITIATION_LEN] {
        let mut message = [0; INITIATION_LEN];
        Writer(&mut message)
            .array(&Kind::Initiation.start())
            .u32(self.sender)
            .array(&self.ephemeral)
            .array(&self.encrypted_static)
            .array(&self.encrypted_timestamp);
        message
    }
}

/// A handshake response (section 5.4.3).
pub(crate) struct Response {
    /// The index by which the sender wants to be reached from now on.
    pub(crate) sender: u32,
    /// The index that the initiation gave.
    pub(crate) receiver: u32,
    /// The responder's ephemeral public key.
    pub(crate) ephemeral: [u8; KEY_LEN],
    /// Nothing, encrypted: just the tag.
    pub(crate) encrypted_nothing: [u8; TAG_LEN],
}

impl Response {
    /// Parses a message; `None` unless [`Kind::of_message`] calls it a response.
    pub(crate) fn parse(message: &[u8]) -> Option<Self> {
        if Kind::of_message(message)? != Kind::Response {
            return None;
        }
        let mut reader = Reader(message);
        reader.array::<4>()?;
        Some(Self {
            sender: reader.u32()?,
            receiver: reader.u32()?,
            ephemeral: reader.array()?,
            encrypted_nothing: reader.array()?,
        })
    }

    /// The message, its two MACs still zero.
    pub(crate) fn to_bytes(&self) -> [u8; RESPONSE_LEN] {
        let mut message = [0; RESPONSE_LEN];
        Writer(&mut message)
            .array(&Kind::Response.start())
            .u32(self.sender)
            .u32(self.receiver)
            .array(&self.ephemeral)
            .array(&self.encrypted_nothing);
        message
    }
}

/// A cookie reply (section 5.4.7).
pub(crate) struct CookieReply {
    /// The index that the message gave to which this is the answer.
    pub(crate) receiver: u32,
    /// A random nonce.
    pub(crate) nonce: [u8; COOKIE_NONCE_LEN],
    /// The cookie, encrypted, with the `mac1` of the message answered as additional data.
    pub(crate) encrypted_cookie: [u8; ENCRYPTED_COOKIE_LEN],
}

impl CookieReply {
    /// Parses a message; `None` unless [`Kind::of_message`] calls it a cookie reply.
    pub(crate) fn parse(message: &[u8]) -> Option<Self> {
        if Kind::of_message(message)? != Kind::CookieReply {
            return None;
        }
        let mut reader = Reader(message);
        reader.array::<4>()?;
        Some(Self {
            receiver: reader.u32()?,
            nonce: reader.array()?,
            encrypted_cookie: reader.array()?,
        })
    }

    /// The message.
    pub(crate) fn to_bytes(&self) -> [u8; COOKIE_REPLY_LEN] {
        let mut message = [0; COOKIE_REPLY_LEN];
        Writer(&mut message)
            .array(&Kind::CookieReply.start())
            .u32(self.receiver)
            .array(&self.nonce)
            .array(&self.encrypted_cookie);
        message
    }
}

/// The header of a data message (section 5.4.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DataHeader {
    /// The receiver's index of the session.
    pub(crate) receiver: u32,
    /// The nonce: how many messages this key has sent before.
    pub(crate) counter: u64,
}

impl DataHeader {
    /// Reads the header of a message that [`Kind::of`] has called data.
    #[inline]
    pub(crate) fn parse(header: &[u8; DATA_HEADER_LEN]) -> Option<Self> {
        let mut reader = Reader(header);
        if reader.array()? != Kind::Data.start() {
            return None;
        }
        Some(Self {
            receiver: reader.u32()?,
            counter: reader.array().map(u64::from_le_bytes)?,
        })
    }

    /// The header's bytes.
    #[inline]
    pub(crate) fn to_bytes(self) -> [u8; DATA_HEADER_LEN] {
        let mut header = [0; DATA_HEADER_LEN];
        Writer(&mut header)
            .array(&Kind::Data.start())
            .u32(self.receiver)
            .array(&self.counter.to_le_bytes());
        header
    }
}

/// How many zero bytes go behind an inner packet of `len` bytes.
///
/// Up to the next multiple of 16, but never past `mtu`, so that padding never makes the outer packet
/// too long for the path. A packet longer than the MTU (of a route with a larger one) is padded as
/// its last MTU-sized unit would be. An `mtu` of zero means no limit.
#[inline]
pub(crate) fn padding(len: usize, mtu: usize) -> usize {
    if mtu == 0 {
        return len.wrapping_neg() % PADDING_MULTIPLE;
    }
    let unit = if len > mtu {
        len.checked_rem(mtu).unwrap_or(0)
    } else {
        len
    };
    let padded = unit.checked_next_multiple_of(PADDING_MULTIPLE);
    padded.map_or(0, |padded| padded.min(mtu).saturating_sub(unit))
}
