// SPDX-License-Identifier: GPL-2.0

//! MACs and cookies: what keeps strangers from making a responder compute (whitepaper, sections
//! 5.3, 5.4.4 and 5.4.7).
//!
//! `mac1` proves that a sender knows the responder's public key; without it a message is ignored.
//! A responder under load also wants `mac2`, keyed by a cookie that it sent to the sender's address
//! before, so that only senders that own their address cost it curve operations, and those can be
//! rate limited.
//!
//! Times are nanoseconds of a monotonic clock, given by the caller, as is the locking.

#![forbid(unsafe_code)]

use core::net::{IpAddr, SocketAddr};

use crate::crypto::{ct_eq, random_bytes, random_nonce, xaead_open, xaead_seal, Blake2s, Secret};
use crate::protocol::messages::{
    CookieReply, Kind, COOKIES_AT_ONCE, COOKIE_INTERVAL, COOKIE_SECRET_LIFETIME, COOKIE_USE_TIME,
    ENCRYPTED_COOKIE_LEN, KEY_LEN, MACS_LEN, MAC_LEN,
};

/// Hashed with a public key to make the key of `mac1`.
const LABEL_MAC1: &[u8; 8] = b"mac1----";
/// Hashed with a public key to make the key under which cookies are sent.
const LABEL_COOKIE: &[u8; 8] = b"cookie--";

/// A cookie: a MAC of a sender's address under the responder's changing secret.
pub(crate) type Cookie = Secret<MAC_LEN>;

/// A handshake message taken apart at its MACs.
struct Parts<'a> {
    /// All before `mac1`: what `mac1` covers.
    body: &'a [u8],
    mac1: &'a [u8; MAC_LEN],
    mac2: &'a [u8; MAC_LEN],
}

impl<'a> Parts<'a> {
    fn of(message: &'a [u8]) -> Option<Self> {
        let (rest, mac2) = message.split_last_chunk()?;
        let (body, mac1) = rest.split_last_chunk()?;
        Some(Self { body, mac1, mac2 })
    }
}

/// The `mac1` of a handshake message; `None` if the message is too short to have one.
pub(crate) fn mac1_of(message: &[u8]) -> Option<&[u8; MAC_LEN]> {
    Parts::of(message).map(|parts| parts.mac1)
}

/// Whether there is something where the `mac2` of a message is: who has no cookie leaves it zero.
pub(crate) fn has_mac2(message: &[u8]) -> bool {
    Parts::of(message).is_some_and(|parts| *parts.mac2 != [0; MAC_LEN])
}

fn mac<const KEY: usize>(key: &Secret<KEY>, pieces: &[&[u8]]) -> [u8; MAC_LEN] {
    let mut mac = Blake2s::keyed(key.expose());
    for piece in pieces {
        mac.update(piece);
    }
    mac.finish()
}

/// The two keys that follow from a responder's public key, computed once.
///
/// A device has those of its own key, to check what it receives; each peer has those of the peer's
/// key, to stamp what is sent to it.
pub(crate) struct MacKeys {
    mac1: Secret<KEY_LEN>,
    /// The beginning of the `mac1` of an initiation: the key and the message's type, which all have, so that a third of the
    /// work is done.
    mac1_of_initiation: Blake2s<MAC_LEN>,
    cookie: Secret<KEY_LEN>,
}

impl MacKeys {
    /// The keys for messages to the owner of a public key.
    pub(crate) fn new(public: &[u8; KEY_LEN]) -> Self {
        let derive = |label: &[u8; 8]| {
            let mut key = Secret::zero();
            let mut hash = Blake2s::new();
            hash.update(label).update(public);
            hash.finish_into(key.expose_mut());
            key
        };
        let mac1 = derive(LABEL_MAC1);
        let mut mac1_of_initiation = Blake2s::keyed(mac1.expose());
        mac1_of_initiation.update(&Kind::Initiation.start());
        Self {
            mac1,
            mac1_of_initiation,
            cookie: derive(LABEL_COOKIE),
        }
    }

    fn mac1(&self, body: &[u8]) -> [u8; MAC_LEN] {
        match body.strip_prefix(&Kind::Initiation.start()) {
            Some(rest) => {
                let mut mac = self.mac1_of_initiation.fork();
                mac.update(rest);
                mac.finish()
            }
            None => mac(&self.mac1, &[body]),
        }
    }

    /// Whether an initiation or response has the right `mac1`: the first thing to check.
    #[must_use]
    pub(crate) fn mac1_is_valid(&self, message: &[u8]) -> bool {
        Parts::of(message).is_some_and(|parts| ct_eq(&self.mac1(parts.body), parts.mac1))
    }

    /// Makes the answer to a message that had no valid `mac2`, as responder under load.
    ///
    /// `receiver` is the sender index and `mac1` the MAC ([`mac1_of`]) of the message answered.
    pub(crate) fn create_reply(
        &self,
        receiver: u32,
        mac1: &[u8; MAC_LEN],
        cookie: &Cookie,
    ) -> CookieReply {
        let nonce = random_nonce();
        let mut encrypted_cookie = [0; ENCRYPTED_COOKIE_LEN];
        xaead_seal(
            &self.cookie,
            &nonce,
            mac1,
            cookie.expose(),
            &mut encrypted_cookie,
        );
        CookieReply {
            receiver,
            nonce,
            encrypted_cookie,
        }
    }
}

/// Whether a message has the `mac2` that belongs to a cookie.
#[must_use]
pub(crate) fn mac2_is_valid(cookie: &Cookie, message: &[u8]) -> bool {
    // Without one there is nothing to compute.
    has_mac2(message)
        && Parts::of(message)
            .is_some_and(|parts| ct_eq(&mac(cookie, &[parts.body, parts.mac1]), parts.mac2))
}

/// The secret from which a responder makes cookies. It changes every two minutes, so nothing needs
/// to be kept per sender.
pub(crate) struct CookieSecret {
    /// The beginning of all cookies: the secret, which is the key, and a byte, so that half of the work is done.
    start: Blake2s<MAC_LEN>,
    /// When it was made; `None` as long as no cookie was needed.
    born: Option<u64>,
    /// When a reply was last wanted, and how many nanoseconds of replies were allowed then.
    wanted_at: u64,
    allowance: u64,
}

impl CookieSecret {
    /// What replies cost that are sent at once.
    const MOST: u64 = COOKIES_AT_ONCE * COOKIE_INTERVAL;

    /// A secret yet to be made.
    pub(crate) fn new() -> Self {
        Self {
            start: Blake2s::new(),
            born: None,
            wanted_at: 0,
            allowance: Self::MOST,
        }
    }

    /// The cookie that belongs to a sender's address and port now.
    pub(crate) fn cookie_for(&mut self, sender: &SocketAddr, now_ns: u64) -> Cookie {
        // Another CPU may have made it after the caller looked at the clock: not negative.
        let is_young = |born| now_ns.saturating_sub(born) < COOKIE_SECRET_LIFETIME;
        if !self.born.is_some_and(is_young) {
            let mut secret = Secret::<KEY_LEN>::zero();
            random_bytes(secret.expose_mut());
            // The key's block is not hashed before there is something behind it.
            self.start.begin(secret.expose()).update(&[0]);
            self.born = Some(now_ns);
        }
        let mut mac = self.start.fork();
        match sender.ip() {
            IpAddr::V4(ip) => mac.update(&ip.octets()),
            IpAddr::V6(ip) => mac.update(&ip.octets()),
        };
        mac.update(&sender.port().to_be_bytes());
        // Written where it stays, like all cookies: see [`crate::crypto::with_wiped_stack`].
        let mut cookie = Cookie::zero();
        mac.finish_into(cookie.expose_mut());
        cookie
    }

    /// Counts a cookie that is wanted; `false` if it is not to be sent: senders of forged addresses can have a responder do
    /// no more than so much.
    #[must_use]
    pub(crate) fn may_reply(&mut self, now_ns: u64) -> bool {
        let allowed = self.allowed(now_ns);
        let left = allowed.checked_sub(COOKIE_INTERVAL);
        self.wanted_at = self.wanted_at.max(now_ns);
        self.allowance = left.unwrap_or(allowed);
        left.is_some()
    }

    /// Returns whether [`Self::may_reply`] would say so now.
    pub(crate) fn could_reply(&self, now_ns: u64) -> bool {
        self.allowed(now_ns) >= COOKIE_INTERVAL
    }

    fn allowed(&self, now_ns: u64) -> u64 {
        // Another CPU may have looked at the clock later, and come first: not negative.
        let since = now_ns.saturating_sub(self.wanted_at);
        self.allowance.saturating_add(since).min(Self::MOST)
    }
}

/// What we know, as a sender, of one peer's cookies.
pub(crate) struct PeerCookie {
    /// The `mac1` of the last message that we sent and that has had no cookie reply.
    unanswered_mac1: Option<[u8; MAC_LEN]>,
    /// The last cookie.
    cookie: Cookie,
    /// When it came; `None` if none has.
    born: Option<u64>,
}

impl PeerCookie {
    /// Nothing sent, nothing received.
    pub(crate) const fn new() -> Self {
        Self {
            unanswered_mac1: None,
            cookie: Cookie::zero(),
            born: None,
        }
    }

    /// Fills in both MACs of a message about to be sent, `keys` being those of its receiver.
    ///
    /// `mac2` stays zero without a cookie that is fresh. A message too short to have MACs is left
    /// alone.
    pub(crate) fn stamp(&mut self, keys: &MacKeys, message: &mut [u8], now_ns: u64) {
        let Some((body, macs)) = message.split_last_chunk_mut::<MACS_LEN>() else {
            return;
        };
        let mac1 = keys.mac1(body);
        let mac2 = match self.born {
            Some(born) if now_ns.saturating_sub(born) < COOKIE_USE_TIME => {
                mac(&self.cookie, &[body, &mac1])
            }
            _ => [0; MAC_LEN],
        };
        for (byte, value) in macs.iter_mut().zip(mac1.into_iter().chain(mac2)) {
            *byte = value;
        }
        self.unanswered_mac1 = Some(mac1);
    }

    /// Takes a cookie reply, `keys` being those of the peer that sent it.
    ///
    /// `false` if we sent nothing to which it could be the answer, or it is not authentic. Each
    /// message gets at most one answer.
    pub(crate) fn consume_reply(
        &mut self,
        keys: &MacKeys,
        reply: &CookieReply,
        now_ns: u64,
    ) -> bool {
        let Some(mac1) = &self.unanswered_mac1 else {
            return false;
        };
        let mut cookie = Cookie::zero();
        let authentic = xaead_open(
            &keys.cookie,
            &reply.nonce,
            mac1,
            &reply.encrypted_cookie,
            cookie.expose_mut(),
        );
        if authentic {
            self.unanswered_mac1 = None;
            self.cookie.copy_from(&cookie);
            self.born = Some(now_ns);
        }
        authentic
    }
}
