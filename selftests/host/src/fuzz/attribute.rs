// SPDX-License-Identifier: GPL-2.0

//! The reader of netlink attributes against the kernel's rule.

use crate::attribute::{visit_mut, Attributes, Step, Table};

const TYPE_MASK: u16 = 0x3fff;
const NESTED: u16 = 0x8000;

/// The rule itself, that of the kernel's `nla_for_each_attr()`: type, start and end of the payload of
/// each attribute, and how many bytes are left over.
fn rule(stream: &[u8]) -> (Vec<(u16, usize, usize)>, usize) {
    let (mut found, mut left, mut at) = (Vec::new(), stream.len() as i64, 0);
    while left >= 4 {
        let len = i64::from(u16::from_ne_bytes([stream[at], stream[at + 1]]));
        if len < 4 || len > left {
            break;
        }
        let kind = u16::from_ne_bytes([stream[at + 2], stream[at + 3]]);
        found.push((kind, at + 4, at + len as usize));
        let whole = (len + 3) & !3;
        left -= whole;
        at += whole as usize;
    }
    (found, left.max(0) as usize)
}

/// The input is a stream of attributes.
pub fn attribute(stream: &[u8]) {
    check(&mut stream.to_vec());
}

/// Reads a stream in every way, and wipes what is at 3, any, 2 in it. Returns whether it made a
/// table, and how many payloads were wiped.
pub(crate) fn check(stream: &mut [u8]) -> (bool, usize) {
    let (expected, left) = rule(stream);
    let start = stream.as_ptr() as usize;
    let found: Vec<_> = Attributes::new(stream)
        .map(|a| {
            let at = a.payload().as_ptr() as usize - start;
            (a.kind(), at, at + a.payload().len())
        })
        .collect();
    let wanted: Vec<_> = expected
        .iter()
        .map(|e| (e.0 & TYPE_MASK, e.1, e.2))
        .collect();
    assert_eq!(found, wanted);

    for (a, e) in Attributes::new(stream).zip(&expected) {
        let payload = &stream[e.1..e.2];
        assert_eq!(a.u8(), payload.first().copied());
        let long = |len| payload.get(..len).map(<[u8]>::to_vec);
        assert_eq!(a.u16().map(|n| n.to_ne_bytes().to_vec()), long(2));
        assert_eq!(a.u32().map(|n| n.to_ne_bytes().to_vec()), long(4));
        let number = match *payload {
            [a, b, c, d, e, f, g, h] => Some(u64::from_ne_bytes([a, b, c, d, e, f, g, h])),
            [a, b, c, d, ..] => Some(u32::from_ne_bytes([a, b, c, d]).into()),
            _ => None,
        };
        assert_eq!(a.uint(), number);
        let exact = (payload.len() == 32).then_some(payload);
        assert_eq!(a.array::<32>().map(|a| &a[..]), exact);
        let end = payload.iter().position(|&byte| byte == 0);
        let text = end.map(|end| &payload[..end]);
        assert_eq!(a.string().map(|text| text.to_bytes()), text);
        // Elements of arrays are tables of their own, if they are marked as such.
        let (inner, left) = rule(payload);
        let fits = left == 0 && inner.iter().all(|i| (1..9).contains(&(i.0 & TYPE_MASK)));
        assert_eq!(a.table::<9>().is_ok(), fits && e.0 & NESTED != 0);
        assert_eq!(a.attributes().count(), inner.len());
    }

    // A table takes the last of each type, and nothing that it does not know.
    let table: Result<Table<'_, 9>, _> = Attributes::new(stream).table();
    let known = |e: &(u16, usize, usize)| (1..9).contains(&(e.0 & TYPE_MASK));
    let fits = left == 0 && expected.iter().all(known);
    assert_eq!(table.is_ok(), fits, "{stream:?}");
    if let Ok(table) = table {
        for kind in 0..12 {
            let last = expected.iter().rev().find(|e| e.0 & TYPE_MASK == kind);
            assert_eq!(
                table.get(kind).map(|a| a.payload()),
                last.map(|e| &stream[e.1..e.2])
            );
        }
    }

    // What has to be wiped is found wherever it stands, also where a table forgets it.
    let mut wanted = Vec::new();
    for a in expected.iter().filter(|a| a.0 & TYPE_MASK == 3) {
        for b in rule(&stream[a.1..a.2]).0 {
            let inner = rule(&stream[a.1 + b.1..a.1 + b.2]).0;
            for c in inner.iter().filter(|c| c.0 & TYPE_MASK == 2) {
                wanted.push((a.1 + b.1 + c.1, c.2 - c.1));
            }
        }
    }
    let mut found = Vec::new();
    let path = [Step::Kind(3), Step::Each, Step::Kind(2)];
    visit_mut(stream, &path, &mut |secret| {
        found.push((secret.as_ptr() as usize - start, secret.len()));
        secret.fill(0);
    });
    assert_eq!(found, wanted);
    (fits, found.len())
}
