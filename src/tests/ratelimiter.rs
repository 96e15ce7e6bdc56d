// SPDX-License-Identifier: GPL-2.0

//! The rate limiter: five at once, then twenty in a second, for each address by itself.

#![forbid(unsafe_code)]

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use kernel::prelude::*;

use super::Numbers;
use crate::protocol::ratelimiter::{RateLimiter, Row};

const MILLISECOND: u64 = 1_000_000;

fn limiter(rows: usize) -> Result<RateLimiter<KVVec<Row>>> {
    Ok(RateLimiter::new(KVVec::from_elem(
        Row::EMPTY,
        rows,
        GFP_KERNEL,
    )?))
}

fn v4(number: u32) -> IpAddr {
    Ipv4Addr::from_bits(number).into()
}

fn v6(prefix: u64, rest: u64) -> IpAddr {
    Ipv6Addr::from_bits(u128::from(prefix) << 64 | u128::from(rest)).into()
}

/// How many of ten messages are let through at one time.
fn of_ten(limiter: &mut RateLimiter<KVVec<Row>>, namespace: u32, from: IpAddr) -> usize {
    (0..10)
        .filter(|_| limiter.allow(namespace, &from, 0))
        .count()
}

#[kunit_tests(wireguard_ratelimiter)]
mod suite {
    use super::*;

    #[test]
    fn five_at_once_then_one_every_fifty_milliseconds() -> Result {
        let mut limiter = limiter(64)?;
        let from = v4(0x7f00_0001);
        let mut now = 12_345 * MILLISECOND;
        assert!((0..5).all(|_| limiter.allow(0, &from, now)));
        assert!((0..100).all(|_| !limiter.allow(0, &from, now)));
        for _ in 0..20 {
            now += 50 * MILLISECOND - 1;
            assert!(!limiter.allow(0, &from, now));
            now += 1;
            assert!(limiter.allow(0, &from, now));
            assert!(!limiter.allow(0, &from, now));
        }
        // Refusals have cost nothing; after a pause there are five again, not more.
        now += 10_000 * MILLISECOND;
        assert_eq!((0..50).filter(|_| limiter.allow(0, &from, now)).count(), 5);
        Ok(())
    }

    #[test]
    fn senders_are_addresses_or_64_bit_prefixes_in_a_namespace() -> Result {
        let mut limiter = limiter(1024)?;
        let mut taken = |namespace, from| of_ten(&mut limiter, namespace, from);
        assert_eq!(taken(1, v4(9)), 5);
        assert_eq!(taken(1, v4(10)), 5);
        assert_eq!(taken(1, v4(9)), 0);
        assert_eq!(taken(2, v4(9)), 5);
        assert_eq!(taken(1, v6(9, 1)), 5);
        assert_eq!(taken(1, v6(9, u64::MAX)), 0);
        assert_eq!(taken(1, v6(10, 1)), 5);
        assert_eq!(taken(2, v6(9, 1)), 5);
        assert_eq!(taken(0, v4(0)), 5);
        assert_eq!(taken(0, v6(0, 0)), 5);
        assert_eq!(taken(u32::MAX, v4(0)), 5);
        Ok(())
    }

    #[test]
    fn a_full_table_refuses_new_senders_until_others_are_idle() -> Result {
        let mut limiter = limiter(1)?;
        assert!((0..8).all(|number| limiter.allow(0, &v4(number), 0)));
        assert!(!limiter.allow(0, &v4(100), 0));
        assert!(!limiter.allow(0, &v4(100), 50 * MILLISECOND - 1));
        // Those inside still have their four.
        assert!((0..4).all(|_| limiter.allow(0, &v4(3), 0)));
        assert!(!limiter.allow(0, &v4(3), 0));
        // Full again after 50 ms, except for the one that took five.
        assert!((100..107).all(|number| limiter.allow(0, &v4(number), 50 * MILLISECOND)));
        assert!(!limiter.allow(0, &v4(107), 50 * MILLISECOND));
        assert!(limiter.allow(0, &v4(3), 50 * MILLISECOND));
        Ok(())
    }

    /// A small table whose places change hands all the time: refused too much is its price, allowed
    /// too much must not happen.
    #[test]
    fn nobody_gets_more_than_the_rate_whoever_else_sends() -> Result {
        let mut numbers = Numbers(70);
        let mut limiter = limiter(2)?;
        let mut times: [KVec<u64>; 8] = [const { KVec::new() }; 8];
        let mut now = 0;
        for _ in 0..20_000 {
            now += numbers.below(MILLISECOND);
            // One in four from the few, who try to get more than their share.
            let number = match numbers.below(4) {
                0 => numbers.below(8),
                _ => numbers.below(10_000),
            };
            if limiter.allow(0, &v4(number as u32), now) {
                if let Some(times) = times.get_mut(number as usize) {
                    times.push(now, GFP_KERNEL)?;
                }
            }
        }
        let mut allowed = 0;
        for times in &times {
            allowed += times.len();
            for (i, start) in times.iter().enumerate() {
                for (j, end) in times.iter().enumerate().skip(i) {
                    let tokens = 5 + (end - start) / (50 * MILLISECOND);
                    assert!((j - i + 1) as u64 <= tokens);
                }
            }
        }
        assert!(allowed > 100);
        Ok(())
    }

    #[test]
    fn odd_tables_and_clocks() -> Result {
        let from = v4(1);
        assert!(!limiter(0)?.allow(0, &from, 0));
        let mut ends = limiter(3)?;
        for now in [u64::MAX, u64::MAX - 1, 0, u64::MAX, 1, u64::MAX / 2] {
            let _ = ends.allow(0, &from, now);
        }
        // A clock that steps back a little, as seen from another CPU, gives nothing away.
        let mut limiter = limiter(16)?;
        let now = 1000 * MILLISECOND;
        let allowed = (0..50).filter(|i| limiter.allow(0, &from, now - i)).count();
        assert!((4..=5).contains(&allowed));
        Ok(())
    }
}
