// SPDX-License-Identifier: GPL-2.0

//! Handshakes as another implementation made them: written by `selftests/kunit/vectors.py`.

#![forbid(unsafe_code)]

use super::hex;

/// A handshake, from the keys of both sides to the session, and a cookie for its initiation.
pub(crate) struct Vector {
    /// Not clamped.
    pub(crate) initiator_private: [u8; 32],
    pub(crate) initiator_public: [u8; 32],
    pub(crate) responder_private: [u8; 32],
    pub(crate) responder_public: [u8; 32],
    /// The initiator's, private.
    pub(crate) ephemeral: [u8; 32],
    pub(crate) psk: [u8; 32],
    /// What the initiation says.
    pub(crate) timestamp: [u8; 12],
    pub(crate) initiator_index: u32,
    pub(crate) responder_index: u32,
    /// The whole message, `mac1` in it and no `mac2`.
    pub(crate) initiation: [u8; 148],
    /// After the initiation, on both sides.
    pub(crate) chaining_key: [u8; 32],
    /// As above.
    pub(crate) hash: [u8; 32],
    pub(crate) response: [u8; 92],
    /// From the initiator to the responder.
    pub(crate) first_key: [u8; 32],
    /// From the responder to the initiator.
    pub(crate) second_key: [u8; 32],
    /// The responder's answer under load.
    pub(crate) cookie_reply: [u8; 64],
    /// What the initiation then has.
    pub(crate) mac2: [u8; 16],
}

/// Without a preshared key, and with one.
pub(crate) static VECTORS: [Vector; 2] = [
    Vector {
        initiator_private: hex("9947b671805c3f9a817afbb544a5a040ca31879e71fed748bd8184ea08f940a0"),
        initiator_public: hex("3df4d328e0770243ef1aef23e69aa5d5010e2806d88f3a9d510151616ed58d66"),
        responder_private: hex("802aebb9a40a01a3a4513ff439ad937fbfecead6b8a04490cd2c1b2f096fb570"),
        responder_public: hex("d85301067a5e76991bb8d1050738f5adbd6009a969f19cd8f0e6d862c036c961"),
        ephemeral: hex("c7fa203ae186b184b8da40b68ee9b8bcd4bbbbbd266dbadc678f7b68f913008c"),
        psk: hex("0000000000000000000000000000000000000000000000000000000000000000"),
        timestamp: hex("400000006553f10a00000000"),
        initiator_index: 0x4f5b_2f33,
        responder_index: 0xe410_7abe,
        initiation: hex(
            "01000000332f5b4f81d28948383df783b5c8cd7d69cb70f7d888b486fa57ecd11e561d59a7089a45\
             3adedd7a69270c4f13ed87f2cc2cb23b80a5b3b43684c0762baac41119ef225c890bd880a85dc2a0\
             634ddace41d67b8318b7d141fac560452e524078375b3e6361b22085f59d9566b40764838c9e489d\
             20bb60a988df59bba905277f00000000000000000000000000000000",
        ),
        chaining_key: hex("6222376f942eb23f8fc999e43a0c2db05ff821775d1fad669113b9b2caecaf95"),
        hash: hex("2136ec85febef37b8b131b714c6b9b9d42a48e7f713ae92f4d2d378cf19a4789"),
        response: hex(
            "02000000be7a10e4332f5b4f6df8aeaba580b575b23c5bf12386101966c8a254d4a692487c5069a6\
             93911530fbc86fcf26906b70996b7ff1315b04248b823211c3fc8938d0df5407fc3922a000000000\
             000000000000000000000000",
        ),
        first_key: hex("bd76a9839e5925526e7ac30c976e3bac71997ddb980ca94532e3a1725701a840"),
        second_key: hex("9dd9248aa3a5773ec84ba835469553560fa761f4602d86dde3183498fa431737"),
        cookie_reply: hex(
            "03000000332f5b4f1bf93b67701a37790e4dff3cb34b606c7e8ad97b9c4d99cd473663d5c561f1f9\
             f68c2369e9d52147b6219ac705e1e44dbd17061822220f1f",
        ),
        mac2: hex("f1c369038f2d5ecec97a50db05ef301f"),
    },
    Vector {
        initiator_private: hex("e53170b486882e6450e29e60112ecc353e2704af93fd0f521477ae31e213e01c"),
        initiator_public: hex("d2f50222ee534c85f3052dd8d797a1a35e17dbf4f312e1e5f3939c8534d16600"),
        responder_private: hex("caa23d471226496bae5f98fddc350ea249877d9582042b1a1e6f5068b20115b6"),
        responder_public: hex("ad07b0f64503f29e3e87c4e9cd3848eb67c5763f6f1bf0021ba2956347eee455"),
        ephemeral: hex("f501ca1f9a063dc50d8389cf6331ad41e2d7eac372918c9931aaf8b1320ff30f"),
        psk: hex("c8b89c3f76e62291571254ca2bee734d712d8e07d763ef5409d27456230ed5d8"),
        timestamp: hex("400000006553f10b00000000"),
        initiator_index: 0xe1a1_30fe,
        responder_index: 0x2045_fa71,
        initiation: hex(
            "01000000fe30a1e1e36811de843db5b279df9b9d007aea5b8a5b46d5811cdabbe9213104a4180c41\
             e80bccb821f1065287ce999a7e821922115b0272bf7bb37bcc59e091f820f4299bbd068d6a3e9ccb\
             a7f5b1cbac1cc580ffb89542a2d6a8f88ebf19ec931aedb8c37b30c4e96342d4bc20c8db718ed288\
             597694ee55b283efc403463400000000000000000000000000000000",
        ),
        chaining_key: hex("80267806e76ece49a2d55388484cabca81b9aea08cf5f1fcf92d8e91c50f3070"),
        hash: hex("936c7b4bfa2f738ea14e9da9511c7bf068dc5c88c263943922d36adde0c1ff27"),
        response: hex(
            "0200000071fa4520fe30a1e1b39855f7b5654d9bd29fbf968ae932bc91de8b8162a3f744ad8360c7\
             2414743e489567c12c23abf2466b42c79b08c68782bc842ef91a9b4528240b643de2514f00000000\
             000000000000000000000000",
        ),
        first_key: hex("45e8b057c3f4ae9ed27700e55c2affa80fdf9a570504a323a1cd1047da54b9e5"),
        second_key: hex("ec695f98e98ed3966f0e9ed2ca29a25f77b05de61847ab871f1f4dbfe584e806"),
        cookie_reply: hex(
            "03000000fe30a1e16020869e43165ac4907b666e40248ab66c7aaa15083158f63ee51715a8f88ec7\
             16dd29a3b68e138f05144f72f29223bb4e15022142f52f8d",
        ),
        mac2: hex("708b281ac6db80c0af119234aef19a75"),
    },
];
