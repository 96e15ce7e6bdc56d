// SPDX-License-Identifier: GPL-2.0

//! What generic netlink checks of a message's attributes before a handler sees them.
//!
//! Context: any. These are constants: what is wrong with them fails the build.
//!
//! C header: [`include/net/netlink.h`](srctree/include/net/netlink.h)

use crate::bindings;

/// What attributes of one type must look like (`struct nla_policy`).
///
/// A table of these is indexed by the attribute type; [`table`] makes one.
///
/// # Invariants
///
/// The member of the C union that `type_` and `validation_type` select is initialised, and a nested
/// policy is a table of `len + 1` entries that is never freed.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(crate) struct Policy(bindings::nla_policy);

// SAFETY: A policy is never written after its construction.
unsafe impl Sync for Policy {}

type Union = bindings::nla_policy__bindgen_ty_1;
type Range = bindings::nla_policy__bindgen_ty_1__bindgen_ty_1;

impl Policy {
    /// No attribute of this type is accepted (`NLA_UNSPEC`, under strict validation).
    const UNKNOWN: Self = Self::simple(bindings::NLA_UNSPEC, 0);

    const fn new(kind: u32, validation: u32, len: u16, value: Union) -> Self {
        // INVARIANT: What the callers below promise. The constants fit: there are under 256.
        Self(bindings::nla_policy {
            type_: kind as u8,
            validation_type: validation as u8,
            len,
            __bindgen_anon_1: value,
        })
    }

    const fn simple(kind: u32, len: u16) -> Self {
        // INVARIANT: `NLA_VALIDATE_NONE` selects no member of the union.
        Self::new(
            kind,
            bindings::nla_policy_validation_NLA_VALIDATE_NONE,
            len,
            pin_init::zeroed(),
        )
    }

    const fn binary(validation: u32, min: i16, max: i16) -> Self {
        // The C side takes a negative bound for a bug.
        assert!(min >= 0 && max >= 0);
        // INVARIANT: `NLA_BINARY` and the callers' validation types select `min` and `max`.
        Self::new(
            bindings::NLA_BINARY,
            validation,
            0,
            Union {
                __bindgen_anon_1: Range { min, max },
            },
        )
    }

    /// Exactly one byte (`NLA_U8`).
    pub(crate) const fn u8() -> Self {
        Self::simple(bindings::NLA_U8, 0)
    }

    /// Exactly two bytes (`NLA_U16`).
    pub(crate) const fn u16() -> Self {
        Self::simple(bindings::NLA_U16, 0)
    }

    /// Exactly four bytes (`NLA_U32`).
    pub(crate) const fn u32() -> Self {
        Self::simple(bindings::NLA_U32, 0)
    }

    /// Exactly eight bytes (`NLA_U64`).
    pub(crate) const fn u64() -> Self {
        Self::simple(bindings::NLA_U64, 0)
    }

    /// Four or eight bytes (`NLA_UINT`).
    pub(crate) const fn uint() -> Self {
        Self::simple(bindings::NLA_UINT, 0)
    }

    /// A `u32` with no bit set outside `mask` (`NLA_POLICY_MASK(NLA_U32, mask)`).
    pub(crate) const fn u32_mask(mask: u32) -> Self {
        // INVARIANT: `NLA_VALIDATE_MASK` selects `mask`.
        Self::new(
            bindings::NLA_U32,
            bindings::nla_policy_validation_NLA_VALIDATE_MASK,
            0,
            Union { mask },
        )
    }

    /// Exactly this many bytes (`NLA_POLICY_EXACT_LEN`).
    pub(crate) const fn exact_len(len: i16) -> Self {
        Self::binary(bindings::nla_policy_validation_NLA_VALIDATE_RANGE, len, len)
    }

    /// At least this many bytes (`NLA_POLICY_MIN_LEN`).
    pub(crate) const fn min_len(len: i16) -> Self {
        Self::binary(bindings::nla_policy_validation_NLA_VALIDATE_MIN, len, 0)
    }

    /// A string of at most `max` bytes and its NUL (`NLA_NUL_STRING`).
    pub(crate) const fn nul_string(max: u16) -> Self {
        Self::simple(bindings::NLA_NUL_STRING, max)
    }

    /// An array: attributes of any type, each with attributes of `elements` inside
    /// (`NLA_POLICY_NESTED_ARRAY`).
    pub(crate) const fn nested_array(elements: &'static [Policy]) -> Self {
        // INVARIANT: `NLA_NESTED_ARRAY` selects `nested_policy`, a table of `len + 1` entries that
        // is `'static`; `Policy` is a transparent wrapper.
        Self::new(
            bindings::NLA_NESTED_ARRAY,
            bindings::nla_policy_validation_NLA_VALIDATE_NONE,
            max_type(elements) as u16,
            Union {
                nested_policy: elements.as_ptr().cast(),
            },
        )
    }
}

/// Builds a table of policies from pairs of attribute type and policy. Other types are rejected.
///
/// For constants: a type that is zero or not below `N` fails the build.
pub(crate) const fn table<const N: usize>(entries: &[(u16, Policy)]) -> [Policy; N] {
    let mut table = [Policy::UNKNOWN; N];
    let mut i = 0;
    while i < entries.len() {
        let (kind, policy) = entries[i];
        assert!(kind != 0, "attribute type 0 cannot be used");
        table[kind as usize] = policy;
        i += 1;
    }
    table
}

/// Returns the highest attribute type of a table (`maxattr`).
pub(super) const fn max_type(table: &[Policy]) -> u32 {
    assert!(table.len() > 1 && table.len() <= u16::MAX as usize);
    (table.len() - 1) as u32
}

/// Returns a table the way C takes it.
pub(super) const fn as_ptr(table: &'static [Policy]) -> *const bindings::nla_policy {
    // `Policy` is a transparent wrapper.
    table.as_ptr().cast()
}
