// SPDX-License-Identifier: GPL-2.0

use super::Numbers;
use crate::protocol::messages::INITIATION_INTERVAL;
use crate::protocol::tai64n::Tai64n;

#[test]
fn a_known_time() {
    // 1992-06-02 08:07:09 TAI is label 0x400000002a2b2c2d (cr.yp.to/libtai/tai64.html). As this module
    // counts, ten seconds of leap ahead of Unix time.
    let unix = 0x2a2b_2c2d - 10;
    let timestamp = Tai64n::from_unix_ns(unix * 1_000_000_000);
    assert_eq!(
        timestamp.as_bytes(),
        &[0x40, 0, 0, 0, 0x2a, 0x2b, 0x2c, 0x2d, 0, 0, 0, 0]
    );
}

#[test]
fn order_is_that_of_time() {
    let mut numbers = Numbers(30);
    for _ in 0..10_000 {
        let (one, other) = (numbers.next(), numbers.next());
        let (earlier, later) = (one.min(other), one.max(other));
        assert!(Tai64n::from_unix_ns(earlier) <= Tai64n::from_unix_ns(later));
    }
    assert!(Tai64n::ZERO < Tai64n::from_unix_ns(0));
    let bytes = *Tai64n::from_unix_ns(12_345_678_901).as_bytes();
    assert!(Tai64n::from_bytes(bytes) == Tai64n::from_unix_ns(12_345_678_901));
}

#[test]
fn no_clock_oracle_but_always_growing() {
    let mut numbers = Numbers(31);
    let mut same = 0;
    for _ in 0..10_000 {
        let now = numbers.below(1 << 62);
        let timestamp = Tai64n::from_unix_ns(now);
        let nanoseconds = u32::from_be_bytes(*timestamp.as_bytes().last_chunk().unwrap());
        assert_eq!(nanoseconds % (1 << 24), 0);
        assert!(nanoseconds < 1_000_000_000);
        assert!(timestamp < Tai64n::from_unix_ns(now + INITIATION_INTERVAL));
        same += u32::from(timestamp == Tai64n::from_unix_ns(now + 1_000_000));
    }
    // A millisecond later it is mostly the same timestamp.
    assert!(same > 9_000);
}

#[test]
fn the_next_one() {
    let mut numbers = Numbers(32);
    let mut carried = 0;
    for _ in 0..10_000 {
        let timestamp = Tai64n::from_unix_ns(numbers.below(1 << 62));
        let next = timestamp.next();
        assert!(timestamp < next);
        // It is one that a clock gives, and of those the first: the last of a second is 59 steps in.
        let [before, after] = [timestamp, next].map(|timestamp| {
            let (seconds, nanoseconds) = timestamp.as_bytes().split_at(8);
            let seconds = u64::from_be_bytes(seconds.try_into().unwrap());
            let nanoseconds = u32::from_be_bytes(nanoseconds.try_into().unwrap());
            assert_eq!(nanoseconds % (1 << 24), 0);
            u128::from(seconds) * 60 + u128::from(nanoseconds >> 24)
        });
        assert_eq!(after, before + 1);
        carried += u32::from(after % 60 == 0);
    }
    assert!(carried > 0);
    assert!(Tai64n::ZERO < Tai64n::ZERO.next());
    // What no clock gives is not made up from outside, but must not panic.
    let last = Tai64n::from_bytes([0xff; 12]);
    assert!(last.next() < last);
}
