// SPDX-License-Identifier: GPL-2.0

//! The models.

mod queue;
mod rcu;
mod timers;

use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Runs a model in every order that its steps can have, with up to so many changes of the thread where
/// none is forced; `MODEL_PREEMPTIONS` says otherwise.
fn explore(preemptions: usize, model: impl Fn() + Send + Sync + 'static) {
    // The driver has `static`s, which the models must not share.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);

    // To take a model apart in the middle of a step can take for ever.
    std::panic::set_hook(Box::new(|panic| {
        // loom ends threads that are no longer needed by a panic that says nothing.
        if !panic.payload().is::<&str>() && !panic.payload().is::<String>() {
            return;
        }
        let _ = writeln!(std::io::stderr(), "\n{panic}");
        std::process::exit(101);
    }));

    let mut builder = loom::model::Builder::new();
    let wanted = std::env::var("MODEL_PREEMPTIONS").ok();
    builder.preemption_bound = Some(wanted.map_or(preemptions, |n| n.parse().unwrap()));
    builder.max_branches = 20_000;
    let orders = Arc::new(AtomicUsize::new(0));
    let counted = orders.clone();
    builder.check(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        kernel::model::begin_run();
        crate::cpu::begin_run();
        // loom wants to know of `static`s before there is a second thread.
        drop(crate::rcu::RcuArc::new(()));
        model();
    });
    let orders = orders.load(Ordering::Relaxed);
    eprintln!("{orders} orders");
    assert!(orders > 1, "nothing happens at the same time");
}
