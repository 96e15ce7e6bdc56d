# SPDX-License-Identifier: GPL-2.0
"""A WireGuard peer of our own, from the whitepaper and the Noise specification: handshake in both roles, data, cookies.
It shares no code with any driver, so that agreement means something. It also says wrong things when asked to."""

import hashlib
import hmac
import os
import struct
import time

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

CONSTRUCTION = b"Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s"
IDENTIFIER = b"WireGuard v1 zx2c4 Jason@zx2c4.com"
INITIATION, RESPONSE, COOKIE, DATA = 1, 2, 3, 4
SIZE = {INITIATION: 148, RESPONSE: 92, COOKIE: 64}
WINDOW = 8192 - 64
REJECT_AFTER_MESSAGES = 2**64 - 1 - WINDOW - 1


def hash_(*parts):
    return hashlib.blake2s(b"".join(parts)).digest()


def mac(key, data):
    return hashlib.blake2s(data, key=key, digest_size=16).digest()


def kdf(key, data, count):
    """HKDF of the Noise specification with HMAC-BLAKE2s."""
    secret = hmac.new(key, data, hashlib.blake2s).digest()
    out, last = [], b""
    for number in range(1, count + 1):
        last = hmac.new(secret, last + bytes([number]), hashlib.blake2s).digest()
        out.append(last)
    return out


def seal(key, counter, plain, ad=b""):
    return ChaCha20Poly1305(key).encrypt(bytes(4) + struct.pack("<Q", counter), plain, ad)


def unseal(key, counter, cipher, ad=b""):
    return ChaCha20Poly1305(key).decrypt(bytes(4) + struct.pack("<Q", counter), cipher, ad)


def hchacha20(key, nonce):
    s = list(struct.unpack("<16I", b"expand 32-byte k" + key + nonce))

    def quarter(a, b, c, d):
        for x, y, z, r in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
            s[x] = (s[x] + s[y]) & 0xFFFFFFFF
            v = s[z] ^ s[x]
            s[z] = (v << r | v >> (32 - r)) & 0xFFFFFFFF

    for _ in range(10):
        for column in range(4):
            quarter(column, 4 + column, 8 + column, 12 + column)
        for diagonal in range(4):
            quarter(diagonal, 4 + (diagonal + 1) % 4, 8 + (diagonal + 2) % 4, 12 + (diagonal + 3) % 4)
    return struct.pack("<8I", *s[:4], *s[12:])


def xseal(key, nonce, plain, ad):
    return ChaCha20Poly1305(hchacha20(key, nonce[:16])).encrypt(bytes(4) + nonce[16:], plain, ad)


def xunseal(key, nonce, cipher, ad):
    return ChaCha20Poly1305(hchacha20(key, nonce[:16])).decrypt(bytes(4) + nonce[16:], cipher, ad)


class Key:
    def __init__(self, private=None):
        self.secret = X25519PrivateKey.from_private_bytes(private or os.urandom(32))
        raw = serialization.Encoding.Raw
        self.private = self.secret.private_bytes(raw, serialization.PrivateFormat.Raw, serialization.NoEncryption())
        self.public = self.secret.public_key().public_bytes(raw, serialization.PublicFormat.Raw)

    def shared(self, public):
        return self.secret.exchange(X25519PublicKey.from_public_bytes(public))


def tai64n(seconds=None):
    nanoseconds = time.time_ns() if seconds is None else int(seconds * 10**9)
    return struct.pack(">QI", 2**62 + 10 + nanoseconds // 10**9, nanoseconds % 10**9)


def with_macs(body, receiver_public, cookie=None):
    """The message with its two macs appended."""
    message = body + mac(hash_(b"mac1----", receiver_public), body)
    return message + (mac(cookie, message) if cookie else bytes(16))


def remac(message, receiver_public):
    """The same message with mac1 made right again for what it now says."""
    return with_macs(message[:-32], receiver_public)[:-16] + message[-16:]


def flipped(message, byte, bit=None):
    changed = bytearray(message)
    changed[byte] ^= 1 << (byte % 8 if bit is None else bit)
    return bytes(changed)


class Session:
    def __init__(self, send_key, receive_key, index, remote_index):
        self.send_key, self.receive_key, self.index, self.remote_index = send_key, receive_key, index, remote_index
        self.counter = 0

    def data(self, plain=b"", counter=None, pad=True):
        if counter is None:
            counter, self.counter = self.counter, self.counter + 1
        if pad:
            plain += bytes(-len(plain) % 16)
        return struct.pack("<IIQ", DATA, self.remote_index, counter) + seal(self.send_key, counter, plain)

    def open(self, message):
        kind, index, counter = struct.unpack_from("<IIQ", message)
        if kind != DATA or index != self.index:
            raise ValueError("not a data message of this session")
        return unseal(self.receive_key, counter, message[16:])


class Peer:
    """One end of a tunnel: our key, their public key, the preshared key."""

    def __init__(self, key, remote_public, psk=bytes(32)):
        self.key, self.remote_public, self.psk = key, remote_public, psk
        self.cookie = None
        self.sent_initiation = None

    def initiation(self, timestamp=None, index=None, ephemeral_public=None, es=None):
        """Message 1. A low-order ephemeral key comes with the shared secret that it forces."""
        ephemeral = Key()
        self.index = struct.unpack("<I", os.urandom(4))[0] if index is None else index
        public = ephemeral_public or ephemeral.public
        chain = hash_(CONSTRUCTION)
        digest = hash_(hash_(chain, IDENTIFIER), self.remote_public)
        digest = hash_(digest, public)
        (chain,) = kdf(chain, public, 1)
        chain, key = kdf(chain, ephemeral.shared(self.remote_public) if es is None else es, 2)
        static = seal(key, 0, self.key.public, digest)
        digest = hash_(digest, static)
        chain, key = kdf(chain, self.key.shared(self.remote_public), 2)
        stamp = seal(key, 0, timestamp or tai64n(), digest)
        digest = hash_(digest, stamp)
        self.ephemeral, self.chain, self.digest = ephemeral, chain, digest
        message = with_macs(struct.pack("<II", INITIATION, self.index) + public + static + stamp, self.remote_public, self.cookie)
        self.sent_initiation = message
        return message

    def consume_response(self, message):
        """Message 2 as the initiator reads it: a Session, or an exception."""
        kind, sender, receiver = struct.unpack_from("<III", message)
        if kind != RESPONSE or len(message) != 92 or receiver != self.index:
            raise ValueError("not the response to this initiation")
        if message[60:76] != mac(hash_(b"mac1----", self.key.public), message[:60]):
            raise ValueError("the response's mac1 is wrong")
        public, nothing = message[12:44], message[44:60]
        digest = hash_(self.digest, public)
        (chain,) = kdf(self.chain, public, 1)
        (chain,) = kdf(chain, self.ephemeral.shared(public), 1)
        (chain,) = kdf(chain, self.key.shared(public), 1)
        chain, tau, key = kdf(chain, self.psk, 3)
        digest = hash_(digest, tau)
        unseal(key, 0, nothing, digest)
        send, receive = kdf(chain, b"", 2)
        return Session(send, receive, self.index, sender)

    def consume_initiation(self, message):
        """Message 1 as the responder reads it; remembers what the response needs. Returns the timestamp."""
        kind, self.remote_index = struct.unpack_from("<II", message)
        if kind != INITIATION or len(message) != 148:
            raise ValueError("not an initiation")
        if message[116:132] != mac(hash_(b"mac1----", self.key.public), message[:116]):
            raise ValueError("the initiation's mac1 is wrong")
        public, static, stamp = message[8:40], message[40:88], message[88:116]
        chain = hash_(CONSTRUCTION)
        digest = hash_(hash_(hash_(chain, IDENTIFIER), self.key.public), public)
        (chain,) = kdf(chain, public, 1)
        chain, key = kdf(chain, self.key.shared(public), 2)
        if unseal(key, 0, static, digest) != self.remote_public:
            raise ValueError("an initiation from somebody else")
        digest = hash_(digest, static)
        chain, key = kdf(chain, self.key.shared(self.remote_public), 2)
        timestamp = unseal(key, 0, stamp, digest)
        self.digest, self.chain, self.remote_ephemeral = hash_(digest, stamp), chain, public
        self.received_mac1, self.received_mac2 = message[116:132], message[132:148]
        return timestamp

    def response(self, index=None, ephemeral_public=None, ee=None, se=None):
        """Message 2: (message, Session)."""
        ephemeral = Key()
        index = struct.unpack("<I", os.urandom(4))[0] if index is None else index
        public = ephemeral_public or ephemeral.public
        digest = hash_(self.digest, public)
        (chain,) = kdf(self.chain, public, 1)
        (chain,) = kdf(chain, ephemeral.shared(self.remote_ephemeral) if ee is None else ee, 1)
        (chain,) = kdf(chain, ephemeral.shared(self.remote_public) if se is None else se, 1)
        chain, tau, key = kdf(chain, self.psk, 3)
        digest = hash_(digest, tau)
        nothing = seal(key, 0, b"", digest)
        receive, send = kdf(chain, b"", 2)
        body = struct.pack("<III", RESPONSE, index, self.remote_index) + public + nothing
        return with_macs(body, self.remote_public, self.cookie), Session(send, receive, index, self.remote_index)

    def cookie_reply(self, mac1, cookie, index=None, key=None):
        """Message 3, from us under load."""
        nonce = os.urandom(24)
        sealed = xseal(key or hash_(b"cookie--", self.key.public), nonce, cookie, mac1)
        return struct.pack("<II", COOKIE, self.remote_index if index is None else index) + nonce + sealed

    def consume_cookie_reply(self, message, mac1=None):
        kind, receiver = struct.unpack_from("<II", message)
        if kind != COOKIE or len(message) != 64:
            raise ValueError("not a cookie reply")
        return receiver, xunseal(hash_(b"cookie--", self.remote_public), message[8:32], message[32:], mac1 or self.sent_initiation[-32:-16])


# What DH with a point of small order gives is always zero (RFC 7748, section 6.1; the list is from cr.yp.to/ecdh.html).
LOW_ORDER = [bytes.fromhex(h) for h in (
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
)]

__all__ = [name for name in dir() if not name.startswith("_")]
