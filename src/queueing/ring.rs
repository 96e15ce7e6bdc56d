// SPDX-License-Identifier: GPL-2.0

//! A ring of values.

#![forbid(unsafe_code)]

use core::mem::take;
use kernel::prelude::*;

/// A ring buffer. Its memory grows with the number of values, in a step of its own (`reserve`), and is given back when there
/// are none.
pub(crate) struct Ring<T> {
    places: KVec<Option<T>>,
    first: usize,
    len: usize,
}

impl<T> Ring<T> {
    /// How many places are kept.
    const FEW: usize = 4;

    /// An empty ring, without memory.
    pub(crate) const fn new() -> Self {
        Self {
            places: KVec::new(),
            first: 0,
            len: 0,
        }
    }

    /// Returns how many values there are.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Where the value of an index is, or will be.
    fn place(&self, index: usize) -> usize {
        let place = self.first + index;
        match place.checked_sub(self.places.len()) {
            Some(place) => place,
            None => place,
        }
    }

    /// Returns the value of an index; zero is that of the first.
    pub(crate) fn get(&self, index: usize) -> Option<&T> {
        if index >= self.len {
            return None;
        }
        self.places.get(self.place(index))?.as_ref()
    }

    /// Likewise, to be changed.
    pub(crate) fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        if index >= self.len {
            return None;
        }
        let place = self.place(index);
        self.places.get_mut(place)?.as_mut()
    }

    /// Returns the value that was appended last.
    pub(crate) fn last_mut(&mut self) -> Option<&mut T> {
        self.get_mut(self.len.checked_sub(1)?)
    }

    /// Makes sure of a place for another value. Errors: `ENOMEM`.
    pub(crate) fn reserve(&mut self) -> Result {
        if self.len < self.places.len() {
            return Ok(());
        }
        let wanted = self.len.saturating_mul(2).max(Self::FEW);
        let mut places = KVec::with_capacity(wanted, GFP_ATOMIC)?;
        for index in 0..wanted {
            let place = self.place(index);
            places.push(self.places.get_mut(place).and_then(take), GFP_ATOMIC)?;
        }
        (self.places, self.first) = (places, 0);
        Ok(())
    }

    /// Appends a value, after [`Self::reserve`].
    pub(crate) fn push_back(&mut self, value: T) {
        let place = self.place(self.len);
        if let Some(free) = self.places.get_mut(place) {
            *free = Some(value);
            self.len += 1;
        }
    }

    /// Takes the first value out.
    pub(crate) fn pop_front(&mut self) -> Option<T> {
        let first = self.first;
        let value = self.places.get_mut(first).and_then(take)?;
        self.first = self.place(1);
        self.len -= 1;
        if self.len == 0 && self.places.len() > Self::FEW {
            *self = Self::new();
        }
        Some(value)
    }
}
