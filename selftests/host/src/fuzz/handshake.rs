// SPDX-License-Identifier: GPL-2.0

//! Two of ours shake hands, and an adversary keeps, alters, repeats and redirects what they send.
//!
//! The model knows no cryptography: a message is what it was made from, and whether it was altered.
//! From that alone follows what each side must do with it.

use super::Choices;
use crate::bindings::seed_random;
use crate::crypto::Secret;
use crate::protocol::cookie::{mac1_of, mac2_is_valid, CookieSecret, MacKeys, PeerCookie};
use crate::protocol::messages::{
    Initiation, Kind, Response, COOKIE_SECRET_LIFETIME, COOKIE_USE_TIME, INITIATION_INTERVAL,
};
use crate::protocol::noise::{open_initiation, Handshake, Rejected, SessionKeys, StaticIdentity};
use crate::protocol::tai64n::Tai64n;
use std::net::SocketAddr;
use std::sync::OnceLock;

const SECOND: u64 = 1_000_000_000;
/// How many keys each side has.
const KEYS: usize = 2;

/// What a message was made from.
#[derive(Clone, Copy, PartialEq)]
enum Content {
    /// When: in the steps of which timestamps have sixty a second.
    Initiation {
        steps: u64,
    },
    Response {
        to: usize,
        receiver: u32,
        psk: u8,
    },
}

/// A message that was sent; the adversary has all of them.
struct Message {
    bytes: Vec<u8>,
    from: usize,
    /// The keys that either side had then.
    keys: [usize; 2],
    sender: u32,
    content: Content,
}

/// What a side must be doing.
#[derive(Clone, Copy, PartialEq, Debug)]
enum State {
    Idle,
    /// The number of our message, and our index.
    Initiated(usize, u32),
    /// The number of the message, and the index in it as it arrived.
    Accepted(usize, u32),
    /// The number of the response and both indices: local, remote.
    Responded(usize, u32, u32),
    Answered(usize, u32, u32),
}

/// A cookie that a side has: which of the other's secrets it was made with, and when it came.
type KnownCookie = (usize, u64);

struct Side {
    address: SocketAddr,
    key: usize,
    handshake: Handshake,
    cookie: PeerCookie,
    secret: CookieSecret,

    // The model.
    state: State,
    psk: u8,
    /// The last timestamp sent, and the latest one accepted, in steps.
    sent: u64,
    latest: u64,
    accepted_at: Option<u64>,
    unanswered: Option<usize>,
    known_cookie: Option<KnownCookie>,
    /// How many secrets there have been, and when the last one was made.
    secrets: (usize, Option<u64>),
}

/// The keys of each side.
type Identities = [[(StaticIdentity, MacKeys); KEYS]; 2];

/// Made once: that is slow.
static IDENTITIES: OnceLock<Identities> = OnceLock::new();

struct World {
    identities: &'static Identities,
    sides: [Side; 2],
    sent: Vec<Message>,
    /// The keys of a session by the number of its response: initiator to responder, and back.
    sessions: Vec<(usize, Secret<32>, Secret<32>)>,
    now: u64,
    next_index: u32,
}

fn psk(number: u8) -> Secret<32> {
    Secret::new(&[number; 32])
}

impl World {
    fn new() -> Self {
        seed_random(1);
        let pair = |number| {
            let identity = StaticIdentity::new(&Secret::new(&[number; 32])).unwrap();
            let keys = MacKeys::new(identity.public());
            (identity, keys)
        };
        let identities = IDENTITIES.get_or_init(|| [[1, 2].map(pair), [3, 4].map(pair)]);
        let side = |number: usize| {
            let [ours, theirs] = [number, 1 - number];
            let remote = &identities[theirs];
            Side {
                address: SocketAddr::from(([192, 0, 2, ours as u8], 51820)),
                key: 0,
                handshake: Handshake::new(remote[0].0.public(), &psk(0)),
                cookie: PeerCookie::new(),
                secret: CookieSecret::new(),
                state: State::Idle,
                psk: 0,
                sent: 0,
                latest: 0,
                accepted_at: None,
                unanswered: None,
                known_cookie: None,
                secrets: (0, None),
            }
        };
        let sides = [side(0), side(1)];
        Self {
            identities,
            sides,
            sent: Vec::new(),
            sessions: Vec::new(),
            now: 1000 * SECOND,
            next_index: 0,
        }
    }

    fn index(&mut self) -> u32 {
        self.next_index += 0x0101_0101;
        self.next_index
    }

    /// The cookie that a side gives to the other one now, and the number of its secret.
    fn cookie_of(&mut self, side: usize) -> (crate::protocol::cookie::Cookie, usize) {
        let address = self.sides[1 - side].address;
        let side = &mut self.sides[side];
        let (count, born) = side.secrets;
        if born.is_none_or(|born| self.now - born >= COOKIE_SECRET_LIFETIME) {
            side.secrets = (count + 1, Some(self.now));
        }
        (side.secret.cookie_for(&address, self.now), side.secrets.0)
    }

    /// Completes a message with its MACs, and gives it to the adversary.
    fn send(&mut self, from: usize, sender: u32, content: Content, mut bytes: Vec<u8>) {
        let keys = [self.sides[0].key, self.sides[1].key];
        let to = 1 - from;
        let (cookie, secret) = self.cookie_of(to);
        let side = &mut self.sides[from];
        let mac_keys = &self.identities[to][keys[to]].1;
        side.cookie.stamp(mac_keys, &mut bytes, self.now);
        side.unanswered = Some(self.sent.len());
        let valid = side
            .known_cookie
            .is_some_and(|(of, at)| of == secret && self.now - at < COOKIE_USE_TIME);
        assert_eq!(mac2_is_valid(&cookie, &bytes), valid, "mac2");
        self.sent.push(Message {
            bytes,
            from,
            keys,
            sender,
            content,
        });
    }

    fn initiate(&mut self, from: usize, seconds: u64) {
        let sender = self.index();
        let side = &mut self.sides[from];
        let identity = &self.identities[from][side.key].0;
        let timestamp = Tai64n::from_unix_ns(seconds * SECOND);
        let message = side
            .handshake
            .create_initiation(identity, sender, timestamp)
            .unwrap();
        side.state = State::Initiated(self.sent.len(), sender);
        // The clock may have been set back, or stand still.
        side.sent = (seconds * 60).max(side.sent + 1);
        let content = Content::Initiation { steps: side.sent };
        self.send(from, sender, content, message.to_bytes().to_vec());
    }

    fn respond(&mut self, from: usize) {
        let sender = self.index();
        let side = &mut self.sides[from];
        let response = side.handshake.create_response(sender);
        let State::Accepted(to, receiver) = side.state else {
            assert!(response.is_none(), "a response to nothing");
            return;
        };
        let response = response.expect("a response");
        assert_eq!((response.sender, response.receiver), (sender, receiver));
        side.state = State::Responded(self.sent.len(), sender, receiver);
        let psk = side.psk;
        let content = Content::Response { to, receiver, psk };
        self.send(from, sender, content, response.to_bytes().to_vec());
    }

    /// Delivers a message, altered by `alter` at a byte; if `forge`, with a first MAC that is right
    /// again. Does with it what the driver does.
    fn deliver(&mut self, number: usize, side: usize, alter: Option<(usize, u8)>, forge: bool) {
        let message = &self.sent[number];
        let mut bytes = message.bytes.clone();
        let end = bytes.len() - 32;
        let mut altered = None;
        if let Some((at, bits)) = alter.filter(|&(_, bits)| bits != 0) {
            let at = at % bytes.len();
            bytes[at] ^= bits;
            altered = Some(at);
        }
        let (identity, mac_keys) = &self.identities[side][self.sides[side].key];
        if forge {
            PeerCookie::new().stamp(mac_keys, &mut bytes, 0);
        }

        // A message has one length that fits its type, so none turns into another one.
        let kind = Kind::of_message(&bytes);
        let is_known = matches!(kind, Some(Kind::Initiation | Kind::Response));
        assert_eq!(is_known, altered.is_none_or(|at| at >= 4));
        if !is_known {
            return;
        }
        let is_for_us = message.from != side && message.keys[side] == self.sides[side].key;
        let is_stamped = is_for_us && altered.is_none_or(|at| at >= end + 16);
        assert_eq!(mac_keys.mac1_is_valid(&bytes), forge || is_stamped, "mac1");
        if !forge && !is_stamped {
            return;
        }
        let altered = altered.filter(|&at| at < end);
        let sender = match altered {
            Some(at @ 4..8) => message.sender ^ u32::from(alter.unwrap().1) << (8 * (at - 4)),
            _ => message.sender,
        };
        let altered = altered.filter(|at| !(4..8).contains(at));

        let us = &mut self.sides[side];
        match message.content {
            Content::Initiation { steps } => {
                let opened = open_initiation(identity, &Initiation::parse(&bytes).unwrap());
                let opens = is_for_us && altered.is_none_or(|at| at >= 88);
                assert_eq!(opened.is_some(), opens, "an initiation opens");
                let Some(opened) = opened else { return };
                let result = us.handshake.accept_initiation(identity, opened, self.now);
                let authentic = message.keys[1 - side] == self.sides[1 - side].key;
                let us = &mut self.sides[side];
                let wait = |at| self.now - at < INITIATION_INTERVAL;
                let expected = if altered.is_some() || !authentic {
                    Err(Rejected::NotAuthentic)
                } else if steps <= us.latest {
                    Err(Rejected::Replayed)
                } else if us.accepted_at.is_some_and(wait) {
                    Err(Rejected::TooSoon)
                } else {
                    us.latest = steps;
                    us.accepted_at = Some(self.now);
                    us.state = State::Accepted(number, sender);
                    Ok(())
                };
                assert_eq!(result, expected);
            }
            Content::Response { to, receiver, psk } => {
                let response = Response::parse(&bytes).unwrap();
                let taken = us.handshake.consume_response(identity, &response);
                let expected = is_for_us
                    && altered.is_none()
                    && us.state == State::Initiated(to, receiver)
                    && psk == us.psk;
                assert_eq!(taken, expected, "a response is taken");
                if let (true, State::Initiated(_, local)) = (taken, us.state) {
                    us.state = State::Answered(number, local, sender);
                }
            }
        }
    }

    fn begin_session(&mut self, side: usize) {
        let us = &mut self.sides[side];
        let session = us.handshake.begin_session();
        let (number, local, remote, initiated) = match us.state {
            State::Responded(number, local, remote) => (number, local, remote, false),
            State::Answered(number, local, remote) => (number, local, remote, true),
            state => {
                assert!(session.is_none(), "a session of {state:?}");
                return;
            }
        };
        us.state = State::Idle;
        let SessionKeys {
            sending,
            receiving,
            local_index,
            remote_index,
            we_initiated,
        } = session.expect("a session");
        let seen = (local_index, remote_index, we_initiated);
        assert_eq!(seen, (local, remote, initiated));
        let (there, back) = match initiated {
            true => (sending, receiving),
            false => (receiving, sending),
        };
        assert!(there != back && !there.is_zero() && !back.is_zero());
        // Both sides of a session have the same keys, and no two sessions have.
        for (other, first, second) in &self.sessions {
            assert_eq!(*first == there, *other == number);
            assert_eq!(*second == back, *other == number);
        }
        self.sessions.push((number, there, back));
    }

    /// A side answers a message with a cookie, and the other one takes it.
    fn answer_with_cookie(&mut self, number: usize, alter: Option<(usize, u8)>) {
        let (to, from) = (self.sent[number].from, 1 - self.sent[number].from);
        let (cookie, secret) = self.cookie_of(from);
        let message = &self.sent[number];
        let keys = &self.identities[from][self.sides[from].key].1;
        let mut reply =
            keys.create_reply(message.sender, mac1_of(&message.bytes).unwrap(), &cookie);
        let mut altered = false;
        if let Some((at, bits)) = alter.filter(|&(_, bits)| bits != 0) {
            let sealed = reply.encrypted_cookie.len();
            let all = reply.nonce.iter_mut().chain(&mut reply.encrypted_cookie);
            *all.skip(at % (24 + sealed)).next().unwrap() ^= bits;
            altered = true;
        }
        let us = &mut self.sides[to];
        let taken = us.cookie.consume_reply(keys, &reply, self.now);
        assert_eq!(taken, us.unanswered == Some(number) && !altered, "a cookie");
        if taken {
            us.unanswered = None;
            us.known_cookie = Some((secret, self.now));
        }
    }

    /// A side gets another private key, and the other one is told; what it knew of the peer with the
    /// former key is gone.
    fn change_key(&mut self, side: usize, key: usize) {
        let us = &mut self.sides[side];
        us.key = key;
        us.handshake.identity_changed();
        us.state = State::Idle;
        let them = &mut self.sides[1 - side];
        let public = self.identities[side][key].0.public();
        them.handshake = Handshake::new(public, &psk(them.psk));
        them.cookie = PeerCookie::new();
        them.state = State::Idle;
        (them.sent, them.latest, them.accepted_at) = (0, 0, None);
        (them.unanswered, them.known_cookie) = (None, None);
    }
}

/// The input is what happens, one thing after the other.
pub fn handshake(input: &[u8]) {
    let mut choices = Choices(input);
    let mut world = World::new();
    let mut seconds = 1;
    let mut step = || -> Option<()> {
        let what = choices.byte()?;
        let side = usize::from(what & 1);
        let more = what >> 5;
        match what >> 1 & 15 {
            0..=2 => {
                seconds += u64::from(more.min(2));
                world.initiate(side, seconds);
            }
            3..=8 => {
                // The newest message, or an older one; as it is, or not.
                let count = world.sent.len();
                let back = usize::from(choices.byte()?) % count.max(1);
                let number = count.checked_sub(1 + back)?;
                let alter = match more & 3 {
                    0 => Some((choices.byte()?.into(), choices.byte()?)),
                    _ => None,
                };
                world.deliver(number, side, alter, more & 4 != 0);
            }
            9 | 10 => world.respond(side),
            11 => world.begin_session(side),
            12 => {
                let number = world.sent.len().checked_sub(1)?;
                let alter = match more & 3 {
                    0 => Some((choices.byte()?.into(), choices.byte()?)),
                    _ => None,
                };
                world.answer_with_cookie(number.saturating_sub((more >> 2).into()), alter);
            }
            13 => {
                let number = more & 1;
                world.sides[side].handshake.set_preshared_key(&psk(number));
                world.sides[side].psk = number;
            }
            14 => match more {
                0..=2 => {
                    world.sides[side].handshake.clear();
                    world.sides[side].state = State::Idle;
                }
                _ => world.change_key(side, usize::from(more) % KEYS),
            },
            _ => {
                const STEPS: [u64; 8] = [
                    1,
                    INITIATION_INTERVAL - 1,
                    INITIATION_INTERVAL,
                    SECOND,
                    COOKIE_USE_TIME - 1,
                    COOKIE_USE_TIME,
                    COOKIE_SECRET_LIFETIME,
                    1 << 50,
                ];
                world.now += STEPS[usize::from(more)];
            }
        }
        Some(())
    };
    while step().is_some() {}
}
