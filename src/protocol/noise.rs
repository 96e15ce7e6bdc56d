// SPDX-License-Identifier: GPL-2.0

//! The handshake: `Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s` (whitepaper, section 5.4; Noise
//! specification, revision 34).
//!
//! ```text
//!   <- s                    the initiator knows the responder's static key
//!   ...
//!   -> e, es, s, ss, {t}    initiation, with a timestamp as its payload
//!   <- e, ee, se, psk, {}   response, with nothing
//! ```
//!
//! A [`Handshake`] is one peer's state. Its functions are pure but for fresh ephemeral keys: the caller
//! brings the time, the indices and the lock. Each computes on local values and changes the state
//! only at its end, when everything has worked out, so that no message that fails to authenticate
//! disturbs a handshake under way. Curve operations happen only when a message needs their result;
//! in particular, adding a peer costs none, and the static-static secret is computed once, when first
//! used.

#![forbid(unsafe_code)]

use crate::crypto::{x25519, x25519_clamp, x25519_public, Secret};
use crate::protocol::messages::{
    Initiation, Response, ENCRYPTED_STATIC_LEN, ENCRYPTED_TIMESTAMP_LEN, INITIATION_INTERVAL,
    KEY_LEN, TAG_LEN, TIMESTAMP_LEN,
};
use crate::protocol::tai64n::Tai64n;
use crate::protocol::transcript::{kdf, Transcript, HASH_LEN};

/// A public key.
pub(crate) type PublicKey = [u8; KEY_LEN];

/// A device's own static key pair.
pub(crate) struct StaticIdentity {
    private: Secret<KEY_LEN>,
    public: PublicKey,
}

impl StaticIdentity {
    /// Takes a private key, in any form, and computes its public key: a curve operation.
    ///
    /// `None` if the private key is all zero, which is how user space says that there's none.
    pub(crate) fn new(private: &Secret<KEY_LEN>) -> Option<Self> {
        if private.is_zero() {
            return None;
        }
        let mut clamped = private.duplicate();
        x25519_clamp(&mut clamped);
        let public = x25519_public(&clamped)?;
        Some(Self {
            private: clamped,
            public,
        })
    }

    /// Returns whether this is the identity of a private key, which may be in any form.
    pub(crate) fn is_of(&self, private: &Secret<KEY_LEN>) -> bool {
        let mut clamped = private.duplicate();
        x25519_clamp(&mut clamped);
        !private.is_zero() && self.private == clamped
    }

    /// The private key, clamped.
    pub(crate) fn private(&self) -> &Secret<KEY_LEN> {
        &self.private
    }

    /// The public key.
    pub(crate) fn public(&self) -> &PublicKey {
        &self.public
    }
}

/// A fresh ephemeral key pair.
fn ephemeral_key() -> Option<(Secret<KEY_LEN>, PublicKey)> {
    let mut private = Secret::random();
    x25519_clamp(&mut private);
    let public = x25519_public(&private)?;
    Some((private, public))
}

/// An initiation from which the sender's static key has been read, but that has not been checked
/// further: it may be a replay, and its sender has not yet proved to own that key.
pub(crate) struct OpenedInitiation {
    remote_static: PublicKey,
    remote_ephemeral: PublicKey,
    remote_index: u32,
    encrypted_timestamp: [u8; ENCRYPTED_TIMESTAMP_LEN],
    transcript: Transcript,
}

impl OpenedInitiation {
    /// The static public key that the sender claims to have: says which peer's handshake this is
    /// for.
    pub(crate) fn remote_static(&self) -> &PublicKey {
        &self.remote_static
    }
}

/// Reads the sender's static key out of an initiation: one curve operation.
///
/// `None` if it was not made for this identity, was altered, or has an unusable ephemeral key. The
/// caller finds the peer by [`OpenedInitiation::remote_static`] and goes on with
/// [`Handshake::accept_initiation`].
pub(crate) fn open_initiation(
    identity: &StaticIdentity,
    initiation: &Initiation,
) -> Option<OpenedInitiation> {
    let mut transcript = Transcript::new(&identity.public);
    transcript.mix_ephemeral(&initiation.ephemeral);
    let key = transcript.mix_shared(&x25519(&identity.private, &initiation.ephemeral)?);
    let remote_static =
        transcript.open::<ENCRYPTED_STATIC_LEN, KEY_LEN>(&key, &initiation.encrypted_static)?;
    Some(OpenedInitiation {
        remote_static,
        remote_ephemeral: initiation.ephemeral,
        remote_index: initiation.sender,
        encrypted_timestamp: initiation.encrypted_timestamp,
        transcript,
    })
}

/// Why an initiation was not accepted. The sender does not learn which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rejected {
    /// The sender does not own the static key, or the peer's key is one with which no secret can be
    /// shared.
    NotAuthentic,
    /// The timestamp is not greater than the greatest one seen: it is a replay.
    Replayed,
    /// The last accepted initiation is less than [`INITIATION_INTERVAL`] ago.
    TooSoon,
}

/// The keys of a new session. See [`Handshake::begin_session`].
pub(crate) struct SessionKeys {
    /// Encrypts what we send.
    pub(crate) sending: Secret<KEY_LEN>,
    /// Decrypts what we receive.
    pub(crate) receiving: Secret<KEY_LEN>,
    /// Our index of the session, in the messages that we receive.
    #[cfg_attr(not(test), expect(dead_code, reason = "the caller chose it"))]
    pub(crate) local_index: u32,
    /// The peer's index of the session, in the messages that we send.
    pub(crate) remote_index: u32,
    /// Whether we began the handshake. If not, the session must not be used for sending before
    /// something was received in it, which is what confirms the initiator's key (section 5.1).
    pub(crate) we_initiated: bool,
}

/// How the secret that both static keys share stands.
enum StaticStatic {
    /// Not computed since the identity last changed.
    Unknown,
    /// It came out as all zero: no handshake with this peer is possible.
    Unusable,
    /// Computed with our static key whose public one that is: the device may have another by now, and
    /// [`Handshake::identity_changed`] may still be to come.
    Known(PublicKey, Secret<KEY_LEN>),
}

impl StaticStatic {
    /// The secret, computed the first time: one curve operation.
    fn get(
        &mut self,
        identity: &StaticIdentity,
        remote_static: &PublicKey,
    ) -> Option<&Secret<KEY_LEN>> {
        let is_other = matches!(self, Self::Known(ours, _) if *ours != identity.public);
        if is_other || matches!(self, Self::Unknown) {
            *self = match x25519(&identity.private, remote_static) {
                Some(shared) => Self::Known(identity.public, shared),
                None => Self::Unusable,
            };
        }
        match self {
            Self::Known(_, shared) => Some(shared),
            _ => None,
        }
    }
}

/// How far a handshake is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// There's none, or it has become a session.
    Idle,
    /// We are the initiator and wait for the response.
    InitiationSent,
    /// We are the responder and have not yet responded.
    InitiationReceived,
    /// We are the responder and have all that a session needs.
    ResponseSent,
    /// We are the initiator and have all that a session needs.
    ResponseReceived,
}

/// One peer's handshake, and what must be remembered from one handshake to the next.
///
/// All functions take the device's current identity; when that changes,
/// [`Handshake::identity_changed`] must be called.
pub(crate) struct Handshake {
    remote_static: PublicKey,
    preshared_key: Secret<KEY_LEN>,
    static_static: StaticStatic,
    /// The greatest timestamp accepted so far. Outlives every handshake, or old initiations could be
    /// replayed.
    latest_timestamp: Tai64n,
    /// When the last initiation was accepted.
    last_initiation_ns: Option<u64>,
    /// The timestamp of our last initiation. Outlives every handshake, too: the peer accepts none that is
    /// not greater, even if our clock was set back.
    sent_timestamp: Tai64n,

    state: State,
    /// Our ephemeral private key, in [`State::InitiationSent`].
    ephemeral: Secret<KEY_LEN>,
    /// The peer's ephemeral public key, in [`State::InitiationReceived`].
    remote_ephemeral: PublicKey,
    chaining_key: Secret<KEY_LEN>,
    hash: [u8; HASH_LEN],
    /// Ours, in all states but [`State::Idle`] and [`State::InitiationReceived`].
    local_index: u32,
    /// The peer's, in all states but [`State::Idle`] and [`State::InitiationSent`].
    remote_index: u32,
}

impl Handshake {
    /// The state for a new peer. Computes nothing.
    pub(crate) fn new(remote_static: &PublicKey, preshared_key: &Secret<KEY_LEN>) -> Self {
        Self {
            remote_static: *remote_static,
            preshared_key: preshared_key.duplicate(),
            static_static: StaticStatic::Unknown,
            latest_timestamp: Tai64n::ZERO,
            last_initiation_ns: None,
            sent_timestamp: Tai64n::ZERO,
            state: State::Idle,
            ephemeral: Secret::zero(),
            remote_ephemeral: [0; KEY_LEN],
            chaining_key: Secret::zero(),
            hash: [0; HASH_LEN],
            local_index: 0,
            remote_index: 0,
        }
    }

    /// The peer's static public key.
    #[cfg(test)]
    pub(crate) fn remote_static(&self) -> &PublicKey {
        &self.remote_static
    }

    /// The preshared key; all zero if there's none.
    pub(crate) fn preshared_key(&self) -> &Secret<KEY_LEN> {
        &self.preshared_key
    }

    /// Sets the preshared key; all zero for none. A handshake under way uses the new one.
    pub(crate) fn set_preshared_key(&mut self, preshared_key: &Secret<KEY_LEN>) {
        self.preshared_key.copy_from(preshared_key);
    }

    /// How far the handshake is.
    #[cfg(test)]
    pub(crate) fn state(&self) -> State {
        self.state
    }

    /// Our index in the handshake under way, if it has one.
    ///
    /// To be released by the caller when a new handshake or none takes its place, unless it became
    /// that of a session.
    #[cfg(test)]
    pub(crate) fn local_index(&self) -> Option<u32> {
        match self.state {
            State::Idle | State::InitiationReceived => None,
            _ => Some(self.local_index),
        }
    }

    /// Ends the handshake under way, if any, and erases its secrets. What guards against replays
    /// stays.
    pub(crate) fn clear(&mut self) {
        self.state = State::Idle;
        self.ephemeral.clear();
        self.remote_ephemeral = [0; KEY_LEN];
        self.chaining_key.clear();
        self.hash = [0; HASH_LEN];
        self.local_index = 0;
        self.remote_index = 0;
    }

    /// To be called when the device's identity has changed or gone: ends the handshake under way and
    /// forgets what was computed with the old one.
    pub(crate) fn identity_changed(&mut self) {
        self.clear();
        self.static_static = StaticStatic::Unknown;
    }

    /// Begins a handshake as the initiator; whatever was under way is replaced. Two curve operations,
    /// or three the first time.
    ///
    /// `local_index` is the index by which the peer shall answer, `now` what the clock says. `None`, with
    /// nothing changed, if the peer's static key is one with which no secret can be shared.
    pub(crate) fn create_initiation(
        &mut self,
        identity: &StaticIdentity,
        local_index: u32,
        now: Tai64n,
    ) -> Option<Initiation> {
        let static_static = self.static_static.get(identity, &self.remote_static)?;

        let mut transcript = Transcript::new(&self.remote_static);
        let (ephemeral, ephemeral_public) = ephemeral_key()?;
        transcript.mix_ephemeral(&ephemeral_public);
        let key = transcript.mix_shared(&x25519(&ephemeral, &self.remote_static)?);
        let encrypted_static = transcript.seal(&key, &identity.public);
        let key = transcript.mix_shared(static_static);
        let timestamp = now.max(self.sent_timestamp.next());
        let encrypted_timestamp = transcript.seal(&key, timestamp.as_bytes());

        self.clear();
        self.sent_timestamp = timestamp;
        self.ephemeral.copy_from(&ephemeral);
        self.chaining_key.copy_from(&transcript.chaining_key);
        self.hash = transcript.hash;
        self.local_index = local_index;
        self.state = State::InitiationSent;
        Some(Initiation {
            sender: local_index,
            ephemeral: ephemeral_public,
            encrypted_static,
            encrypted_timestamp,
        })
    }

    /// Accepts an initiation that came from this peer; whatever was under way is replaced. No curve
    /// operation but the first time.
    ///
    /// `now_ns` is the time of a monotonic clock. Nothing is changed if the initiation is rejected.
    pub(crate) fn accept_initiation(
        &mut self,
        identity: &StaticIdentity,
        opened: OpenedInitiation,
        now_ns: u64,
    ) -> Result<(), Rejected> {
        let OpenedInitiation {
            remote_static,
            remote_ephemeral,
            remote_index,
            encrypted_timestamp,
            mut transcript,
        } = opened;
        if remote_static != self.remote_static {
            return Err(Rejected::NotAuthentic);
        }

        let key = transcript.mix_shared(
            self.static_static
                .get(identity, &self.remote_static)
                .ok_or(Rejected::NotAuthentic)?,
        );
        let timestamp = transcript
            .open::<ENCRYPTED_TIMESTAMP_LEN, TIMESTAMP_LEN>(&key, &encrypted_timestamp)
            .map(Tai64n::from_bytes)
            .ok_or(Rejected::NotAuthentic)?;
        if timestamp <= self.latest_timestamp {
            return Err(Rejected::Replayed);
        }
        if let Some(last) = self.last_initiation_ns {
            if now_ns.saturating_sub(last) < INITIATION_INTERVAL {
                return Err(Rejected::TooSoon);
            }
        }

        self.clear();
        self.latest_timestamp = timestamp;
        self.last_initiation_ns = Some(now_ns);
        self.remote_ephemeral = remote_ephemeral;
        self.remote_index = remote_index;
        self.chaining_key.copy_from(&transcript.chaining_key);
        self.hash = transcript.hash;
        self.state = State::InitiationReceived;
        Ok(())
    }

    /// Responds to the initiation accepted before: three curve operations.
    ///
    /// `local_index` is the index of the session to come. `None`, with nothing changed, if there's no
    /// such initiation or a shared secret is all zero.
    pub(crate) fn create_response(&mut self, local_index: u32) -> Option<Response> {
        if self.state != State::InitiationReceived {
            return None;
        }

        let mut transcript = Transcript::resume(&self.chaining_key, &self.hash);
        let (ephemeral, ephemeral_public) = ephemeral_key()?;
        transcript.mix_ephemeral(&ephemeral_public);
        transcript.mix_shared(&x25519(&ephemeral, &self.remote_ephemeral)?);
        transcript.mix_shared(&x25519(&ephemeral, &self.remote_static)?);
        let key = transcript.mix_psk(&self.preshared_key);
        let encrypted_nothing = transcript.seal(&key, &[]);

        self.chaining_key.copy_from(&transcript.chaining_key);
        self.hash = transcript.hash;
        self.local_index = local_index;
        self.state = State::ResponseSent;
        Some(Response {
            sender: local_index,
            receiver: self.remote_index,
            ephemeral: ephemeral_public,
            encrypted_nothing,
        })
    }

    /// Takes the response to our initiation: two curve operations.
    ///
    /// `false`, with nothing changed, if we wait for none or this is not the one: the right one may
    /// still come.
    #[must_use]
    pub(crate) fn consume_response(
        &mut self,
        identity: &StaticIdentity,
        response: &Response,
    ) -> bool {
        if self.state != State::InitiationSent || response.receiver != self.local_index {
            return false;
        }
        let Some(transcript) = self.check_response(identity, response) else {
            return false;
        };

        self.ephemeral.clear();
        self.chaining_key.copy_from(&transcript.chaining_key);
        self.hash = transcript.hash;
        self.remote_index = response.sender;
        self.state = State::ResponseReceived;
        true
    }

    /// The transcript as it stands after a response, if that is authentic.
    fn check_response(&self, identity: &StaticIdentity, response: &Response) -> Option<Transcript> {
        let mut transcript = Transcript::resume(&self.chaining_key, &self.hash);
        transcript.mix_ephemeral(&response.ephemeral);
        transcript.mix_shared(&x25519(&self.ephemeral, &response.ephemeral)?);
        transcript.mix_shared(&x25519(&identity.private, &response.ephemeral)?);
        let key = transcript.mix_psk(&self.preshared_key);
        transcript.open::<TAG_LEN, 0>(&key, &response.encrypted_nothing)?;
        Some(transcript)
    }

    /// Turns a completed handshake into the keys of a session (section 5.4.5), once; its secrets are
    /// erased. `None` if there's none.
    pub(crate) fn begin_session(&mut self) -> Option<SessionKeys> {
        let we_initiated = match self.state {
            State::ResponseReceived => true,
            State::ResponseSent => false,
            _ => return None,
        };

        let mut keys = SessionKeys {
            sending: Secret::zero(),
            receiving: Secret::zero(),
            local_index: self.local_index,
            remote_index: self.remote_index,
            we_initiated,
        };
        // The first key is the one from initiator to responder.
        let (first, second) = if we_initiated {
            (&mut keys.sending, &mut keys.receiving)
        } else {
            (&mut keys.receiving, &mut keys.sending)
        };
        kdf(&mut self.chaining_key, &[], [second]);
        first.copy_from(&self.chaining_key);
        self.clear();
        Some(keys)
    }
}

#[cfg(CONFIG_KUNIT = "y")]
#[path = "../tests/noise.rs"]
mod kunit;

// Where the host's tests are built: it needs what is private here.
#[cfg(test)]
#[path = "../../selftests/host/src/tests/published.rs"]
mod published;
