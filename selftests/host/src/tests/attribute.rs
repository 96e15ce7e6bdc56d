// SPDX-License-Identifier: GPL-2.0

use super::Numbers;
use crate::attribute::{Attributes, Malformed, Table};
use crate::fuzz::check_attributes;

const NESTED: u16 = 0x8000;

/// Writes an attribute, with its padding.
fn put(stream: &mut Vec<u8>, raw_type: u16, payload: &[u8]) {
    stream.extend((payload.len() as u16 + 4).to_ne_bytes());
    stream.extend(raw_type.to_ne_bytes());
    stream.extend(payload);
    stream.resize(stream.len().next_multiple_of(4), 0);
}

/// Overwrites a buffer with attributes in attributes, the last one perhaps cut short.
fn nest(stream: &mut [u8], depth: u32, numbers: &mut Numbers) {
    let mut at = 0;
    while at + 4 <= stream.len() {
        let left = stream.len() - at;
        let len = if depth > 0 && left > 12 {
            8 + numbers.below(left as u64 - 7)
        } else {
            4 + numbers.below(12)
        };
        let len = (len as usize).min(left);
        stream[at..at + 2].copy_from_slice(&(len as u16).to_ne_bytes());
        let kind = [3u16, 2, 1, 5][numbers.below(4) as usize] | NESTED;
        stream[at + 2..at + 4].copy_from_slice(&kind.to_ne_bytes());
        if depth > 0 {
            nest(&mut stream[at + 4..at + len], depth - 1, numbers);
        }
        at += (len + 3) & !3;
    }
}

#[test]
fn reads_random_bytes_as_the_kernel_does() {
    let mut numbers = Numbers(20);
    let (mut tables, mut secrets) = (0, 0);
    for round in 0..200_000 {
        let mut stream = vec![0; numbers.below(160) as usize];
        stream.fill_with(|| {
            let bound = if numbers.below(4) == 0 { 256 } else { 12 };
            numbers.below(bound) as u8
        });
        if round % 2 == 0 {
            nest(&mut stream, 2, &mut numbers);
        }

        let (is_table, wiped) = check_attributes(&mut stream);
        tables += u32::from(is_table);
        secrets += wiped;
    }
    assert!(tables > 10_000 && secrets > 10_000, "{tables} {secrets}");
}

#[test]
fn numbers_arrays_and_strings() {
    let mut stream = Vec::new();
    put(&mut stream, 1, &[7]);
    put(&mut stream, 2, &0x1234u16.to_ne_bytes());
    put(&mut stream, 3, &0x1234_5678u32.to_ne_bytes());
    put(&mut stream, 4, b"wg0\0wg1");
    put(&mut stream, 5, b"wg0");
    put(&mut stream, 6, b"");
    let table: Table<'_, 7> = Attributes::new(&stream).table().unwrap();
    let get = |kind| table.get(kind).unwrap();

    assert_eq!(get(1).u8(), Some(7));
    assert_eq!(get(1).u16(), None);
    assert_eq!(get(2).u16(), Some(0x1234));
    assert_eq!(get(2).u32(), None);
    assert_eq!(get(3).u32(), Some(0x1234_5678));
    assert_eq!(get(3).array(), Some(&0x1234_5678u32.to_ne_bytes()));
    assert_eq!(get(3).array::<3>(), None);
    assert_eq!(get(3).array::<5>(), None);
    assert_eq!(get(4).string(), Some(c"wg0"));
    assert_eq!(get(5).string(), None);
    assert_eq!(get(6).string(), None);
    assert_eq!(get(6).u8(), None);
    assert_eq!(get(6).array(), Some(&[]));
}

#[test]
fn elements_of_an_array_must_be_marked_as_nested() {
    let mut inner = Vec::new();
    put(&mut inner, 1, b"inside");
    let mut stream = Vec::new();
    put(&mut stream, 1 | NESTED, &inner);
    put(&mut stream, 1, &inner);
    let both: Vec<_> = Attributes::new(&stream).collect();

    let marked: Table<'_, 2> = both[0].table().unwrap();
    assert_eq!(marked.get(1).unwrap().payload(), b"inside");
    assert_eq!(both[1].table::<2>().err(), Some(Malformed));
    assert_eq!(both[1].attributes().next().unwrap().payload(), b"inside");
}
