// SPDX-License-Identifier: GPL-2.0

//! Lists of counted values, each in one list at most.

use crate::alloc::Flags;
use crate::error::Error;
use crate::sync::{Arc, ArcBorrow};
use core::ops::Deref;
use pin_init::PinInit;
use std::collections::VecDeque;

/// What links values in C.
pub struct ListLinks;

impl ListLinks {
    #[allow(clippy::new_ret_no_self)]
    pub fn new() -> impl PinInit<Self> {
        Self
    }
}

/// A reference that allows putting the value into a list.
pub struct ListArc<T>(Arc<T>);

impl<T> ListArc<T> {
    pub fn pin_init<E>(init: impl PinInit<T, E>, flags: Flags) -> Result<Self, Error>
    where
        Error: From<E>,
    {
        Arc::pin_init(init, flags).map(Self)
    }

    pub fn clone_arc(&self) -> Arc<T> {
        self.0.clone()
    }
}

impl<T> Deref for ListArc<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

pub struct List<T>(VecDeque<ListArc<T>>);

impl<T> List<T> {
    #[allow(clippy::new_without_default)]
    pub const fn new() -> Self {
        Self(VecDeque::new())
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn push_back(&mut self, item: ListArc<T>) {
        self.0.push_back(item);
    }

    pub fn pop_front(&mut self) -> Option<ListArc<T>> {
        self.0.pop_front()
    }

    pub fn iter(&self) -> impl Iterator<Item = ArcBorrow<'_, T>> {
        self.0.iter().map(|item| ArcBorrow(&item.0))
    }

    pub fn cursor_back(&mut self) -> Cursor<'_, T> {
        Cursor(self)
    }
}

/// A place behind the last.
pub struct Cursor<'a, T>(&'a List<T>);

impl<T> Cursor<'_, T> {
    pub fn peek_prev(&mut self) -> Option<ArcBorrow<'_, T>> {
        self.0 .0.back().map(|item| ArcBorrow(&item.0))
    }
}

#[macro_export]
macro_rules! impl_list_arc_safe {
    ($($ignored:tt)*) => {};
}

#[macro_export]
macro_rules! impl_list_item {
    ($($ignored:tt)*) => {};
}

pub use crate::{impl_list_arc_safe, impl_list_item};
