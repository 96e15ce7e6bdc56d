// SPDX-License-Identifier: GPL-2.0

//! The ring, against a queue of the standard library.

use crate::numbers::Numbers;
use crate::queueing::ring::Ring;
use std::collections::VecDeque;

#[test]
fn it_is_a_queue() {
    let mut numbers = Numbers(1);
    for most in [1, 3, 4, 5, 8, 40] {
        let mut ring = Ring::new();
        let mut queue = VecDeque::new();
        for step in 0..2000u32 {
            if queue.len() < most && numbers.below(2) == 0 {
                ring.reserve().unwrap();
                ring.push_back(step);
                queue.push_back(step);
            } else {
                assert_eq!(ring.pop_front(), queue.pop_front());
            }
            assert_eq!(ring.len(), queue.len());
            assert_eq!(ring.last_mut(), queue.back_mut());
            for index in 0..2 * most {
                assert_eq!(ring.get(index), queue.get(index));
                assert_eq!(ring.get_mut(index), queue.get_mut(index));
            }
        }
    }
}
