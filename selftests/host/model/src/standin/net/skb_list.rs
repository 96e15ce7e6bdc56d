// SPDX-License-Identifier: GPL-2.0

//! Lists of packets.

use super::{drop_reason::DropReason, skb::SkBuff};
use std::collections::VecDeque;

pub(crate) struct SkbList<K>(VecDeque<SkBuff<K>>);

impl<K> SkbList<K> {
    pub(crate) const fn new() -> Self {
        Self(VecDeque::new())
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn push_back(&mut self, skb: SkBuff<K>) {
        self.0.push_back(skb);
    }

    pub(crate) fn pop_front(&mut self) -> Option<SkBuff<K>> {
        self.0.pop_front()
    }

    pub(crate) fn append(&mut self, other: &mut Self) {
        self.0.append(&mut other.0);
    }

    pub(crate) fn drop_for(self, reason: DropReason) {
        self.0.into_iter().for_each(|skb| skb.drop_for(reason));
    }

    pub(crate) fn for_each(&mut self, f: impl FnMut(&mut SkBuff<K>)) {
        self.0.iter_mut().for_each(f);
    }
}
