// SPDX-License-Identifier: GPL-2.0

use super::Numbers;
use crate::protocol::ratelimiter::{RateLimiter, Row};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const MILLISECOND: u64 = 1_000_000;

fn limiter(rows: usize) -> RateLimiter<Vec<Row>> {
    RateLimiter::new(vec![Row::EMPTY; rows])
}

fn v4(number: u32) -> IpAddr {
    Ipv4Addr::from_bits(number).into()
}

#[test]
fn five_at_once_then_one_every_fifty_milliseconds() {
    let mut limiter = limiter(64);
    let from = v4(0x7f00_0001);
    let mut now = 12_345 * MILLISECOND;
    for _ in 0..5 {
        assert!(limiter.allow(0, &from, now));
    }
    for _ in 0..100 {
        assert!(!limiter.allow(0, &from, now));
    }
    for _ in 0..20 {
        now += 50 * MILLISECOND - 1;
        assert!(!limiter.allow(0, &from, now));
        now += 1;
        assert!(limiter.allow(0, &from, now));
        assert!(!limiter.allow(0, &from, now));
    }
    // Refusals have cost nothing; after a pause there are five again, not more.
    now += 10_000 * MILLISECOND;
    let allowed = (0..50).filter(|_| limiter.allow(0, &from, now)).count();
    assert_eq!(allowed, 5);
}

#[test]
fn senders_are_addresses_or_64_bit_prefixes_in_a_namespace() {
    let mut limiter = limiter(1024);
    let mut exhaust = |namespace, from: &str| {
        let from: IpAddr = from.parse().unwrap();
        (0..10)
            .filter(|_| limiter.allow(namespace, &from, 0))
            .count()
    };
    assert_eq!(exhaust(1, "192.0.2.1"), 5);
    assert_eq!(exhaust(1, "192.0.2.2"), 5);
    assert_eq!(exhaust(1, "192.0.2.1"), 0);
    assert_eq!(exhaust(2, "192.0.2.1"), 5);
    assert_eq!(exhaust(1, "2001:db8:1:2::1"), 5);
    assert_eq!(exhaust(1, "2001:db8:1:2:ffff:ffff:ffff:ffff"), 0);
    assert_eq!(exhaust(1, "2001:db8:1:3::1"), 5);
    // The same 64 bits as an IPv4 address seen before.
    assert_eq!(exhaust(1, "0:0:c000:201::"), 5);
    assert_eq!(exhaust(2, "2001:db8:1:2::1"), 5);
    assert_eq!(exhaust(u32::MAX, "0.0.0.0"), 5);
    assert_eq!(exhaust(0, "0.0.0.0"), 5);
    assert_eq!(exhaust(0, "::"), 5);
}

#[test]
fn nobody_gets_more_than_the_rate_whoever_else_sends() {
    // Few places and many senders, so that places change hands all the time. Refused too much is the
    // price of a small table; allowed too much must not happen.
    let mut numbers = Numbers(70);
    let mut limiter = limiter(4);
    let mut allowed: HashMap<IpAddr, Vec<u64>> = HashMap::new();
    let mut now = 0;
    let mut total = 0;
    for _ in 0..200_000 {
        now += numbers.below(MILLISECOND);
        // One in four from the few, who try to get more than their share.
        let number = match numbers.below(4) {
            0 => numbers.below(8),
            _ => numbers.below(10_000),
        };
        let from = match number % 2 {
            0 => v4(number as u32),
            _ => Ipv6Addr::from_bits(u128::from(number) << 64).into(),
        };
        if limiter.allow(0, &from, now) {
            allowed.entry(from).or_default().push(now);
            total += 1;
        }
    }
    assert!(total > 1000, "{total}");
    for times in allowed.values() {
        for (i, start) in times.iter().enumerate() {
            for (j, end) in times.iter().enumerate().skip(i) {
                let tokens = 5 + (end - start) / (50 * MILLISECOND);
                assert!((j - i + 1) as u64 <= tokens);
            }
        }
    }
}

#[test]
fn a_full_table_refuses_new_senders_until_others_are_idle() {
    let mut limiter = limiter(1);
    for number in 0..8 {
        assert!(limiter.allow(0, &v4(number), 0));
    }
    assert!(!limiter.allow(0, &v4(100), 0));
    assert!(!limiter.allow(0, &v4(100), 50 * MILLISECOND - 1));
    // Those inside still have their four.
    assert!((0..4).all(|_| limiter.allow(0, &v4(3), 0)));
    assert!(!limiter.allow(0, &v4(3), 0));
    // Full again after 50 ms, except for the one that took five.
    for number in 100..107 {
        assert!(limiter.allow(0, &v4(number), 50 * MILLISECOND));
    }
    assert!(!limiter.allow(0, &v4(107), 50 * MILLISECOND));
    assert!(limiter.allow(0, &v4(3), 50 * MILLISECOND));
    assert!(!limiter.allow(0, &v4(3), 50 * MILLISECOND));
}

#[test]
fn a_table_of_the_kernels_size_holds_that_many_senders() {
    let mut limiter = limiter(8192);
    let senders = 8192 * 8 / 2;
    let allowed = (0..senders)
        .filter(|&number| limiter.allow(0, &v4(number), 0))
        .count();
    // Half full, a row of eight overflows now and then: about 1% of the senders.
    assert!(allowed as u32 > senders / 100 * 98, "{allowed}");
}

#[test]
fn odd_tables_and_clocks() {
    let mut none = limiter(0);
    assert!(!none.allow(0, &v4(1), 0));
    let mut three = limiter(3);
    for number in 0..24 {
        let _ = three.allow(0, &v4(number), number.into());
    }
    let mut limiter = limiter(16);
    let from = v4(1);
    for now in [u64::MAX, u64::MAX - 1, 0, u64::MAX, 1, u64::MAX / 2] {
        let _ = limiter.allow(0, &from, now);
    }
    // A clock that steps back a little, as seen from another CPU, gives nothing away.
    let mut limiter = self::limiter(16);
    let now = 1000 * MILLISECOND;
    let allowed = (0..50).filter(|i| limiter.allow(0, &from, now - i)).count();
    assert!((4..=5).contains(&allowed), "{allowed}");
}
