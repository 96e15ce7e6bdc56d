// SPDX-License-Identifier: GPL-2.0

//! One of ours and one of another implementation (the crate `boringtun`) shake hands and exchange
//! data, and an adversary alters some of it.

use super::Choices;
use crate::buffers;
use crate::crypto::{DataKey, Secret};
use crate::protocol::cookie::{MacKeys, PeerCookie};
use crate::protocol::messages::{padding, DataHeader, Initiation, Kind, Response};
use crate::protocol::noise::{open_initiation, Handshake, SessionKeys, StaticIdentity};
use crate::protocol::tai64n::Tai64n;
use boringtun::noise::{rate_limiter::RateLimiter, Tunn, TunnResult};
use boringtun::x25519::{PublicKey, StaticSecret};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// We and boringtun.
pub(crate) struct Tunnel {
    pub(crate) identity: StaticIdentity,
    pub(crate) our_keys: MacKeys,
    pub(crate) handshake: Handshake,
    pub(crate) their_keys: MacKeys,
    pub(crate) cookie: PeerCookie,
    pub(crate) boringtun: Tunn,
}

impl Tunnel {
    /// `limit`: from how many handshakes a second on boringtun wants cookies.
    pub(crate) fn new(psk: Option<[u8; 32]>, limit: u64) -> Self {
        let identity = StaticIdentity::new(&Secret::random()).unwrap();
        let private = StaticSecret::from(*Secret::<32>::random().expose());
        let public = PublicKey::from(&private);
        let limiter = Arc::new(RateLimiter::new(&public, limit));
        let theirs = PublicKey::from(*identity.public());
        Self {
            our_keys: MacKeys::new(identity.public()),
            handshake: Handshake::new(public.as_bytes(), &Secret::new(&psk.unwrap_or_default())),
            their_keys: MacKeys::new(public.as_bytes()),
            cookie: PeerCookie::new(),
            boringtun: Tunn::new(private, theirs, psk, None, 7, Some(limiter)),
            identity,
        }
    }

    pub(crate) fn initiation(&mut self) -> [u8; 148] {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        self.initiation_at(now.as_nanos() as u64)
    }

    fn initiation_at(&mut self, unix_ns: u64) -> [u8; 148] {
        let mut message = self
            .handshake
            .create_initiation(&self.identity, 0x1234, Tai64n::from_unix_ns(unix_ns))
            .unwrap()
            .to_bytes();
        self.cookie.stamp(&self.their_keys, &mut message, 0);
        message
    }

    /// What boringtun sends when it gets a message, if it does.
    fn response_to(&mut self, message: &[u8]) -> Option<Vec<u8>> {
        let mut buffer = [0; 2048];
        let from = Some("192.0.2.1".parse().unwrap());
        match self.boringtun.decapsulate(from, message, &mut buffer) {
            TunnResult::WriteToNetwork(answer) => Some(answer.to_vec()),
            _ => None,
        }
    }

    /// The same, and it must.
    pub(crate) fn answer(&mut self, message: &[u8]) -> Vec<u8> {
        self.response_to(message).expect("boringtun's answer")
    }

    /// An initiation of boringtun's.
    pub(crate) fn their_initiation(&mut self) -> Vec<u8> {
        let mut buffer = [0; 2048];
        match self
            .boringtun
            .format_handshake_initiation(&mut buffer, true)
        {
            TunnResult::WriteToNetwork(message) => message.to_vec(),
            other => panic!("boringtun does not initiate: {other:?}"),
        }
    }

    /// Accepts an initiation and responds, if it is authentic.
    pub(crate) fn respond(&mut self, message: &[u8], now: u64) -> Option<Vec<u8>> {
        if !self.our_keys.mac1_is_valid(message) {
            return None;
        }
        let initiation = Initiation::parse(message)?;
        let opened = open_initiation(&self.identity, &initiation)?;
        self.handshake
            .accept_initiation(&self.identity, opened, now)
            .ok()?;
        let mut response = self.handshake.create_response(0x5678).unwrap().to_bytes();
        self.cookie.stamp(&self.their_keys, &mut response, 0);
        Some(response.to_vec())
    }

    /// Takes a response, if it is authentic.
    pub(crate) fn take_response(&mut self, message: &[u8]) -> bool {
        self.our_keys.mac1_is_valid(message)
            && Response::parse(message)
                .is_some_and(|response| self.handshake.consume_response(&self.identity, &response))
    }

    /// A data message of ours.
    pub(crate) fn data(&self, keys: &SessionKeys, counter: u64, packet: &[u8]) -> Vec<u8> {
        let header = DataHeader {
            receiver: keys.remote_index,
            counter,
        };
        let padding = padding(packet.len(), 1420);
        let padded = [packet, &vec![0; padding]].concat();
        let sealed = buffers::seal(&DataKey::new(&keys.sending), counter, &padded);
        [&header.to_bytes()[..], &sealed].concat()
    }

    /// What boringtun takes out of a data message, if anything.
    pub(crate) fn their_packet(&mut self, message: &[u8]) -> Option<Vec<u8>> {
        let mut out = [0; 2048];
        match self.boringtun.decapsulate(None, message, &mut out) {
            TunnResult::WriteToTunnelV4(packet, _) => Some(packet.to_vec()),
            _ => None,
        }
    }

    /// A data message of boringtun's.
    pub(crate) fn their_data(&mut self, packet: &[u8]) -> Vec<u8> {
        let mut out = [0; 2048];
        match self.boringtun.encapsulate(packet, &mut out) {
            TunnResult::WriteToNetwork(message) => message.to_vec(),
            other => panic!("boringtun does not send: {other:?}"),
        }
    }

    /// What we take out of a data message, padding included, if it is authentic.
    pub(crate) fn open(&self, keys: &SessionKeys, message: &[u8]) -> Option<Vec<u8>> {
        if Kind::of_message(message) != Some(Kind::Data) {
            return None;
        }
        let (start, rest) = message.split_first_chunk()?;
        let header = DataHeader::parse(start)?;
        if header.receiver != keys.local_index {
            return None;
        }
        buffers::open(&DataKey::new(&keys.receiving), header.counter, rest)
    }
}

/// An IPv4 packet of at least a header.
fn packet(length: usize, fill: u8) -> Vec<u8> {
    let mut packet = vec![fill; length.max(20)];
    packet[0] = 0x45;
    let length = packet.len() as u16;
    packet[2..4].copy_from_slice(&length.to_be_bytes());
    packet
}

/// The input is what happens, one thing after the other.
pub fn boringtun(input: &[u8]) {
    let mut choices = Choices(input);
    let psk = match choices.byte() {
        Some(number) if number & 1 != 0 => Some([number; 32]),
        _ => None,
    };
    let mut tunnel = Tunnel::new(psk, u64::MAX);
    let mut session: Option<(SessionKeys, u64)> = None;
    let (mut ours, mut now) = (1_000_000_000, 0);
    let mut step = || -> Option<()> {
        let what = choices.byte()?;
        let mut alter = |message: &mut [u8]| {
            let (Some(at), Some(bits @ 1..)) = (choices.byte(), choices.byte()) else {
                return false;
            };
            let at = usize::from(at) % message.len();
            message[at] ^= bits;
            // The second MAC means something under load only.
            Kind::of_message(message) == Some(Kind::Data) || at < message.len() - 16
        };
        ours += 1_000_000_000;
        now += 1_000_000_000;
        match what & 7 {
            // We initiate.
            0 => {
                let initiation = tunnel.initiation_at(ours);
                if what & 8 != 0 {
                    let mut altered = initiation;
                    if alter(&mut altered) {
                        assert!(tunnel.response_to(&altered).is_none());
                    }
                }
                let response = tunnel.answer(&initiation);
                if what & 16 != 0 {
                    let mut altered = response.clone();
                    if alter(&mut altered) {
                        assert!(!tunnel.take_response(&altered));
                    }
                }
                assert!(tunnel.take_response(&response));
                let keys = tunnel.handshake.begin_session().unwrap();
                assert!(keys.we_initiated);
                // Shows boringtun that we have the keys.
                let keepalive = tunnel.data(&keys, 0, &[]);
                assert!(tunnel.their_packet(&keepalive).is_none());
                session = Some((keys, 1));
            }
            // boringtun does.
            1 => {
                let initiation = tunnel.their_initiation();
                if what & 8 != 0 {
                    let mut altered = initiation.clone();
                    if alter(&mut altered) {
                        assert!(tunnel.respond(&altered, now).is_none());
                    }
                }
                let response = tunnel.respond(&initiation, now).expect("our response");
                assert!(tunnel.respond(&initiation, now + (1 << 40)).is_none());
                if what & 16 != 0 {
                    let mut altered = response.clone();
                    if alter(&mut altered) {
                        assert!(tunnel.response_to(&altered).is_none());
                    }
                }
                let keepalive = tunnel.answer(&response);
                let keys = tunnel.handshake.begin_session().unwrap();
                assert!(!keys.we_initiated);
                assert_eq!(tunnel.open(&keys, &keepalive).as_deref(), Some(&[][..]));
                session = Some((keys, 0));
            }
            // Data, ours and boringtun's.
            2..=4 => {
                let packet = packet(usize::from(what) << 2, what);
                let (keys, counter) = session.as_mut()?;
                let message = tunnel.data(keys, *counter, &packet);
                *counter += 1;
                let mut altered = message.clone();
                if what & 8 != 0 && alter(&mut altered) {
                    assert!(tunnel.their_packet(&altered).is_none());
                }
                assert_eq!(tunnel.their_packet(&message).as_deref(), Some(&packet[..]));
                // A second time it is a replay.
                assert!(tunnel.their_packet(&message).is_none());
            }
            5 | 6 => {
                let packet = packet(usize::from(what) << 2, what);
                let (keys, _) = session.as_ref()?;
                let message = tunnel.their_data(&packet);
                let mut altered = message.clone();
                if what & 8 != 0 && alter(&mut altered) {
                    assert!(tunnel.open(keys, &altered).is_none());
                }
                let opened = tunnel.open(keys, &message).expect("boringtun's data");
                let (start, rest) = opened.split_at(packet.len());
                assert!(start == packet && rest.iter().all(|&byte| byte == 0));
            }
            // Anything at all, of a kind and a length that there is.
            _ => {
                let kind = what >> 3 & 3;
                let length = [148, 92, 64, 80][usize::from(kind)];
                let mut message = vec![0; length];
                for byte in &mut message {
                    *byte = choices.byte().unwrap_or(what);
                }
                message[..4].copy_from_slice(&[kind + 1, 0, 0, 0]);
                assert!(tunnel.respond(&message, now).is_none());
                assert!(!tunnel.take_response(&message));
                if let Some((keys, _)) = &session {
                    assert!(tunnel.open(keys, &message).is_none());
                }
            }
        }
        Some(())
    };
    while step().is_some() {}
}
