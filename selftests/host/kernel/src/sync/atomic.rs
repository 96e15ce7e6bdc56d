// SPDX-License-Identifier: GPL-2.0

//! Atomic numbers, flags and pointers, with the memory orders that are used.

#[cfg(feature = "loom")]
use loom::sync::atomic as primitive;
#[cfg(not(feature = "loom"))]
use std::sync::atomic as primitive;
use std::sync::atomic::Ordering;

/// A memory order.
pub trait Order {
    const LOAD: Ordering;
    const STORE: Ordering;
    const BOTH: Ordering;
}

macro_rules! orders {
    ($($name:ident $load:ident $store:ident $both:ident)*) => {$(
        pub struct $name;

        impl Order for $name {
            const LOAD: Ordering = Ordering::$load;
            const STORE: Ordering = Ordering::$store;
            const BOTH: Ordering = Ordering::$both;
        }
    )*};
}

orders! {
    Relaxed Relaxed Relaxed Relaxed
    Acquire Acquire Relaxed Acquire
    Release Relaxed Release Release
    Full SeqCst SeqCst SeqCst
}

/// What can be atomic.
pub trait AtomicType: Copy {
    type Primitive;

    fn make(self) -> Self::Primitive;
    fn load(from: &Self::Primitive, order: Ordering) -> Self;
    fn store(to: &Self::Primitive, value: Self, order: Ordering);
    fn swap(to: &Self::Primitive, value: Self, order: Ordering) -> Self;
    fn exchange(to: &Self::Primitive, old: Self, new: Self, order: Ordering) -> Result<Self, Self>;
}

macro_rules! impl_atomic_type {
    ($type:ty, $primitive:ty $(, $parameter:ident)?) => {
        impl$(<$parameter>)? AtomicType for $type {
            type Primitive = $primitive;

            fn make(self) -> Self::Primitive {
                <$primitive>::new(self)
            }

            fn load(from: &Self::Primitive, order: Ordering) -> Self {
                from.load(order)
            }

            fn store(to: &Self::Primitive, value: Self, order: Ordering) {
                to.store(value, order);
            }

            fn swap(to: &Self::Primitive, value: Self, order: Ordering) -> Self {
                to.swap(value, order)
            }

            fn exchange(
                to: &Self::Primitive,
                old: Self,
                new: Self,
                order: Ordering,
            ) -> Result<Self, Self> {
                to.compare_exchange(old, new, order, Ordering::Relaxed)
            }
        }
    };
}

impl_atomic_type!(i32, primitive::AtomicI32);
impl_atomic_type!(i64, primitive::AtomicI64);
impl_atomic_type!(u32, primitive::AtomicU32);
impl_atomic_type!(usize, primitive::AtomicUsize);
impl_atomic_type!(bool, primitive::AtomicBool);
impl_atomic_type!(*mut T, primitive::AtomicPtr<T>, T);

/// What can be added to.
pub trait AtomicAdd: AtomicType {
    fn fetch_add(to: &Self::Primitive, value: Self, order: Ordering) -> Self;
    fn fetch_sub(to: &Self::Primitive, value: Self, order: Ordering) -> Self;
}

macro_rules! impl_atomic_add {
    ($($type:ty)*) => {$(
        impl AtomicAdd for $type {
            fn fetch_add(to: &Self::Primitive, value: Self, order: Ordering) -> Self {
                to.fetch_add(value, order)
            }

            fn fetch_sub(to: &Self::Primitive, value: Self, order: Ordering) -> Self {
                to.fetch_sub(value, order)
            }
        }
    )*};
}

impl_atomic_add!(i32 i64);

/// An atomic value.
pub struct Atomic<T: AtomicType> {
    initial: T,
    lazy: lazy::Lazy<T::Primitive>,
}

impl<T: AtomicType> Atomic<T> {
    #[cfg(not(feature = "loom"))]
    pub const fn new(value: T) -> Self {
        Self::lazy(value)
    }

    /// Makes loom's object at once, so that loom knows whose it was first; but not for a `static`.
    #[cfg(feature = "loom")]
    pub const fn new(value: T) -> Self {
        fn eager<T: AtomicType>(value: T) -> Atomic<T> {
            let atomic = Atomic::lazy(value);
            atomic.primitive();
            atomic
        }
        core::intrinsics::const_eval_select((value,), Self::lazy, eager::<T>)
    }

    const fn lazy(value: T) -> Self {
        Self {
            initial: value,
            lazy: lazy::Lazy::new(),
        }
    }

    fn primitive(&self) -> &T::Primitive {
        self.lazy.get(|| self.initial.make())
    }

    pub fn load<O: Order>(&self, _: O) -> T {
        T::load(self.primitive(), O::LOAD)
    }

    pub fn store<O: Order>(&self, value: T, _: O) {
        T::store(self.primitive(), value, O::STORE);
    }

    pub fn xchg<O: Order>(&self, value: T, _: O) -> T {
        T::swap(self.primitive(), value, O::BOTH)
    }

    pub fn cmpxchg<O: Order>(&self, old: T, new: T, _: O) -> Result<T, T> {
        T::exchange(self.primitive(), old, new, O::BOTH)
    }

    /// Not a pointer, but what is done with it.
    pub fn as_ptr(&self) -> Place<'_, T> {
        Place(self)
    }
}

impl<T: AtomicAdd> Atomic<T> {
    pub fn fetch_add<O: Order>(&self, value: T, _: O) -> T {
        T::fetch_add(self.primitive(), value, O::BOTH)
    }

    pub fn fetch_sub<O: Order>(&self, value: T, _: O) -> T {
        T::fetch_sub(self.primitive(), value, O::BOTH)
    }
}

/// Where an atomic value is.
pub struct Place<'a, T: AtomicType>(&'a Atomic<T>);

impl<T: AtomicType> Place<'_, T> {
    /// `READ_ONCE()`. What is done by means of a pointer that was read comes after the reading, as in
    /// `rcu_dereference()`. Rust has no name for that order; the next stronger one has.
    ///
    /// # Safety
    ///
    /// None is needed here.
    pub unsafe fn read_volatile(self) -> T {
        self.0.load(Acquire)
    }
}

/// `static`s and constants are made by no thread, so their primitives are made when first used.
#[cfg(not(feature = "loom"))]
mod lazy {
    use std::sync::OnceLock;

    pub(super) struct Lazy<P>(OnceLock<P>);

    impl<P> Lazy<P> {
        pub(super) const fn new() -> Self {
            Self(OnceLock::new())
        }

        pub(super) fn get(&self, make: impl FnOnce() -> P) -> &P {
            self.0.get_or_init(make)
        }
    }
}

/// As above, and again in every run of a model. loom's threads take turns on one of the system's.
#[cfg(feature = "loom")]
mod lazy {
    use std::cell::UnsafeCell;

    pub(super) struct Lazy<P>(UnsafeCell<Option<(u64, Box<P>)>>);

    // SAFETY: loom's threads take turns.
    unsafe impl<P> Send for Lazy<P> {}
    // SAFETY: As above; no turn ends while the cell is used.
    unsafe impl<P> Sync for Lazy<P> {}

    impl<P> Lazy<P> {
        pub(super) const fn new() -> Self {
            Self(UnsafeCell::new(None))
        }

        pub(super) fn get(&self, make: impl FnOnce() -> P) -> &P {
            let run = crate::model::run_number();
            // SAFETY: As above.
            let place = unsafe { &mut *self.0.get() };
            // A primitive of an earlier run means nothing to loom now.
            if place.as_ref().is_none_or(|(of, _)| *of != run) {
                *place = None;
            }
            &place.get_or_insert_with(|| (run, Box::new(make()))).1
        }
    }
}
