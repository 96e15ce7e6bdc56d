// SPDX-License-Identifier: GPL-2.0

//! What stands in for socket buffers where only their order counts: a buffer is a number.

pub(crate) mod skb {
    use std::marker::PhantomData;

    pub(crate) enum DatagramIn {}

    pub(crate) struct SkBuff<K>(pub(crate) u32, pub(crate) PhantomData<K>);
}

pub(crate) mod skb_list {
    use super::skb::SkBuff;
    use std::collections::VecDeque;

    pub(crate) struct SkbList<K>(VecDeque<SkBuff<K>>);

    impl<K> SkbList<K> {
        pub(crate) const fn new() -> Self {
            Self(VecDeque::new())
        }

        pub(crate) fn len(&self) -> usize {
            self.0.len()
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
    }
}
