// SPDX-License-Identifier: GPL-2.0

use crate::net::skb::{DatagramIn, SkBuff};
use crate::protocol::messages::{MAX_QUEUED_HANDSHAKES, UNDER_LOAD_QUEUED};
use crate::queueing::handshakes::{Handshakes, Standing};
use std::marker::PhantomData;

const MILLISECOND: u64 = 1_000_000;

fn message(number: u32) -> SkBuff<DatagramIn> {
    SkBuff(number, PhantomData)
}

fn enqueue(handshakes: &mut Handshakes, standing: Standing, number: u32) -> bool {
    let back = handshakes.enqueue(standing, message(number));
    back.map_err(|skb| assert_eq!(skb.0, number)).is_ok()
}

#[test]
fn proven_senders_come_first() {
    let mut handshakes = Handshakes::new();
    for (number, standing) in [
        Standing::Unproven,
        Standing::Proven,
        Standing::Unproven,
        Standing::Proven,
    ]
    .into_iter()
    .enumerate()
    {
        assert!(enqueue(&mut handshakes, standing, number as u32));
    }
    assert_eq!(handshakes.len(), 4);
    for wanted in [1, 3, 0, 2] {
        let (skb, standing) = handshakes.dequeue().unwrap();
        assert_eq!(skb.0, wanted);
        assert_eq!(standing == Standing::Proven, wanted % 2 == 1);
    }
    assert!(handshakes.dequeue().is_none());
}

#[test]
fn so_many_wait_of_both_kinds() {
    let mut handshakes = Handshakes::new();
    for number in 0..MAX_QUEUED_HANDSHAKES as u32 {
        let standing = match number % 2 {
            0 => Standing::Proven,
            _ => Standing::Unproven,
        };
        assert!(enqueue(&mut handshakes, standing, number));
    }
    assert!(!enqueue(&mut handshakes, Standing::Proven, 7));
    assert!(!enqueue(&mut handshakes, Standing::Unproven, 7));
    assert_eq!(handshakes.dequeue_all().len(), MAX_QUEUED_HANDSHAKES);
    assert_eq!(handshakes.len(), 0);
}

#[test]
fn those_turned_away_are_load_for_a_while() {
    let mut handshakes = Handshakes::new();
    let start = 1 << 40;
    assert_eq!(handshakes.load(start), 0);
    for number in 1..=600 {
        handshakes.turned_away(start);
        assert_eq!(handshakes.load(start), number.min(UNDER_LOAD_QUEUED));
    }
    assert!(enqueue(&mut handshakes, Standing::Unproven, 1));
    assert_eq!(handshakes.load(start), UNDER_LOAD_QUEUED + 1);
    // One in a millisecond is forgotten. A clock that was read before another CPU's changes nothing.
    assert_eq!(
        handshakes.load(start + 100 * MILLISECOND),
        UNDER_LOAD_QUEUED - 99
    );
    handshakes.turned_away(start + 100 * MILLISECOND);
    handshakes.turned_away(start);
    assert_eq!(
        handshakes.load(start + 100 * MILLISECOND),
        UNDER_LOAD_QUEUED - 97
    );
    assert_eq!(handshakes.load(start + 1000 * MILLISECOND), 1);
    assert_eq!(handshakes.load(u64::MAX), 1);
}
