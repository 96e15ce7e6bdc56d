// SPDX-License-Identifier: GPL-2.0

//! `src/queueing/queue.rs`: what comes of each job is delivered once, in the order in which the jobs were put in, by one at a
//! time; and nothing stays in a queue.

use super::explore;
use crate::cpu::SoftirqsDisabled;
use crate::queueing::queue::{Job, Next, OrderedQueue, Refused};
use kernel::alloc::{flags::GFP_KERNEL, limit_allocations};
use kernel::prelude::*;
use kernel::sync::Arc;
use kernel::task::preempted_by;
use kernel::workqueue::{Queues, WorkItem};
use loom::cell::UnsafeCell;
use loom::thread;

/// How many CPUs put in jobs. Each has a worker, too.
const CPUS: usize = 2;

/// The number of a job, and the CPU that put it in.
type Number = (u8, u8);

/// Numbers of jobs, as they come.
struct Trace(UnsafeCell<Vec<Number>>);

impl Trace {
    fn new() -> Self {
        Self(UnsafeCell::new(Vec::new()))
    }

    fn note(&self, numbers: &[Number]) {
        // SAFETY: loom checks that there is one at a time.
        self.0
            .with_mut(|trace| unsafe { &mut *trace }.extend(numbers));
    }

    fn take(&self) -> Vec<Number> {
        // SAFETY: As above.
        self.0
            .with_mut(|trace| core::mem::take(unsafe { &mut *trace }))
    }
}

/// Some jobs, as one.
struct Numbers {
    numbers: Vec<Number>,
    world: Arc<World>,
}

impl Job for Numbers {
    type Input = Self;
    type Output = Self;

    fn load(input: &Self) -> usize {
        input.numbers.len()
    }

    fn enter(input: &mut Self) {
        input.world.entered.note(&input.numbers);
    }

    fn join(first: &mut Self, mut second: Self) -> core::result::Result<(), Self> {
        if first.numbers.len() + second.numbers.len() > 2 {
            return Err(second);
        }
        first.numbers.append(&mut second.numbers);
        Ok(())
    }

    fn is_much(input: &Self) -> bool {
        input.world.settles && input.numbers.iter().any(|(_, cpu)| *cpu == 0)
    }

    fn work(input: Self) -> Self {
        thread::yield_now();
        input
    }
}

struct World {
    queue: core::pin::Pin<KBox<OrderedQueue<Numbers>>>,
    workers: Queues,
    budget: usize,
    /// Whether what CPU 0 puts in is much.
    settles: bool,
    entered: Trace,
    delivered: Trace,
    /// What was delivered by which CPU.
    deliverers: Trace,
}

// SAFETY: loom tells when the traces are used by two at a time.
unsafe impl Send for World {}
// SAFETY: As above.
unsafe impl Sync for World {}

const OWNER: u64 = 0;
const HELPER: u64 = 1;

impl WorkItem<OWNER> for World {
    type Pointer = Arc<Self>;

    fn run(this: Arc<Self>) {
        Self::own(&this);
    }
}

impl WorkItem<HELPER> for World {
    type Pointer = Arc<Self>;

    fn run(this: Arc<Self>) {
        Self::help(&this, usize::MAX);
    }
}

/// How a CPU puts in a job.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    /// Does and delivers it at once, if nothing is in the queue; as the next one, if something is.
    Alone,
    /// Comes as an owner, if the queue is at home here, else as a helper for one job.
    Here,
    /// Has an owner come later, if one is to be called.
    Later,
    /// Sends a helper.
    Give,
    /// Puts in nothing, and comes.
    Come,
}
use Step::{Alone, Come, Give, Here, Later};

impl World {
    fn deliver(output: Numbers) -> usize {
        output.world.delivered.note(&output.numbers);
        let here = kernel::cpu::CpuId::current().as_u32() as u8;
        let by = |(_, cpu): &Number| (*cpu, here);
        let by: Vec<_> = output.numbers.iter().map(by).collect();
        output.world.deliverers.note(&by);
        1
    }

    fn schedule(this: &Arc<Self>, home: u32) {
        // One that waits already comes later than this.
        let _ = this.workers.enqueue_on::<_, OWNER>(home, this.clone());
    }

    fn own(this: &Arc<Self>) {
        if this.queue.run(this.budget, Self::deliver) == Next::Schedule {
            Self::schedule(this, kernel::cpu::CpuId::current().as_u32());
        }
    }

    fn help(this: &Arc<Self>, most: usize) {
        this.queue.help(most, |home| Self::schedule(this, home));
    }

    fn step(this: &Arc<Self>, cpu: u8, number: u8, step: Step) {
        let mut input = Some(Numbers {
            numbers: vec![(number, cpu)],
            world: this.clone(),
        });
        match step {
            Come => return Self::own(this),
            Alone => match this
                .queue
                .run_bypass(&mut input, || (), this.budget, Self::deliver)
            {
                Some(Next::Nothing) => return,
                Some(Next::Schedule) => return Self::schedule(this, cpu.into()),
                None => (),
            },
            Here | Later | Give => (),
        }
        let input = input.expect("what was not passed by");
        let enqueued = this.queue.enqueue(input, usize::MAX).ok().expect("room");
        match step {
            Give => drop(
                this.workers
                    .enqueue_on::<_, HELPER>(1 - u32::from(cpu), this.clone()),
            ),
            Later if enqueued.next == Next::Nothing => (),
            Later => Self::schedule(this, enqueued.home),
            _ if enqueued.home == u32::from(cpu) => Self::own(this),
            _ => Self::help(this, 1),
        }
    }
}

fn run(preemptions: usize, crowded: usize, budget: usize, steps: [Vec<Step>; CPUS]) {
    run_with(preemptions, crowded, budget, false, steps);
}

fn run_with(
    preemptions: usize,
    crowded: usize,
    budget: usize,
    settles: bool,
    steps: [Vec<Step>; CPUS],
) {
    explore(preemptions, move || {
        let queue = KBox::pin_init(OrderedQueue::new(crowded), GFP_KERNEL);
        let world = Arc::pin_init(
            World {
                queue: queue.unwrap(),
                workers: Queues::new(CPUS),
                budget,
                settles,
                entered: Trace::new(),
                delivered: Trace::new(),
                deliverers: Trace::new(),
            },
            GFP_KERNEL,
        );
        let world: Arc<World> = world.unwrap();
        let workers: Vec<_> = (0..CPUS as u32)
            .map(|cpu| {
                let world = world.clone();
                thread::spawn(move || world.workers.work(cpu))
            })
            .collect();
        let on = |cpu: u8, steps: Vec<Step>| {
            let world = world.clone();
            move || {
                kernel::cpu::move_to(cpu.into());
                for (number, step) in (0..).zip(steps) {
                    let softirqs = SoftirqsDisabled::new();
                    World::step(&world, cpu, number, step);
                    drop(softirqs);
                }
            }
        };
        let [first, second] = steps.clone();
        let other = (!second.is_empty()).then(|| thread::spawn(on(1, second)));
        on(0, first)();
        if let Some(other) = other {
            other.join().unwrap();
        }
        world.workers.end();
        for worker in workers {
            worker.join().unwrap();
        }
        assert!(world.queue.is_idle(), "the queue is not idle");
        let entered = world.entered.take();
        assert_eq!(
            entered,
            world.delivered.take(),
            "delivered in another order"
        );
        let jobs = steps.iter().flatten().filter(|step| **step != Come);
        assert_eq!(entered.len(), jobs.count(), "some are lost");
        if settles {
            // Once CPU 0 has delivered what it put in, nobody else delivers for the rest of the period.
            let deliverers = world.deliverers.take();
            let settled = deliverers.iter().position(|by| *by == (0, 0));
            let after = deliverers.iter().skip(settled.unwrap_or(usize::MAX));
            assert!(after.clone().all(|(_, by)| *by == 0), "{deliverers:?}");
        }
    });
}

fn run_all(preemptions: usize, steps: [Vec<Step>; CPUS]) {
    run(preemptions, usize::MAX, usize::MAX, steps);
}

#[test]
fn lone_jobs_of_two_cpus() {
    run_all(1, [vec![Alone], vec![Alone]]);
}

#[test]
fn jobs_for_later_and_a_lone_one() {
    run_all(1, [vec![Later, Later], vec![Alone]]);
}

#[test]
fn jobs_that_another_cpu_helps_with() {
    run_all(1, [vec![Give, Give, Give], vec![]]);
}

#[test]
fn one_that_is_helped_with_and_one_from_elsewhere() {
    run_all(1, [vec![Give], vec![Here]]);
    run_all(1, [vec![Give], vec![Later]]);
}

#[test]
fn one_that_is_helped_with_and_one_here() {
    run_all(1, [vec![Give, Here], vec![]]);
    run_all(1, [vec![Give, Alone, Later], vec![]]);
}

#[test]
fn an_owner_comes_uncalled() {
    run_all(1, [vec![Come, Give], vec![Come]]);
    run_all(1, [vec![Come], vec![Later]]);
}

#[test]
fn a_crowded_queue_moves() {
    run(1, 0, usize::MAX, [vec![Later], vec![Here, Later]]);
}

#[test]
fn a_queue_with_much_in_it_stays_at_home() {
    let run = |steps| run_with(1, usize::MAX, usize::MAX, true, steps);
    run([vec![Alone], vec![Alone]]);
    run([vec![Here], vec![Alone]]);
    run([vec![Later], vec![Here]]);
}

#[test]
fn an_owner_with_a_small_budget_comes_again() {
    run(1, usize::MAX, 1, [vec![Here, Give], vec![]]);
    run(1, usize::MAX, 1, [vec![Alone], vec![Here]]);
}

/// What there is no memory for, or no room, comes back, and the rest goes on.
#[test]
fn a_full_queue_gives_back() {
    explore(1, || {
        let queue = Arc::pin_init(OrderedQueue::<Unit>::new(usize::MAX), GFP_KERNEL).unwrap();
        let other = queue.clone();
        let other = thread::spawn(move || assert!(other.load_to_work_on() <= 2));
        limit_allocations(Some(0));
        let refused = queue.enqueue((), 2);
        assert!(matches!(refused, Err(Refused::NoMemory(()))));
        limit_allocations(None);
        assert!(queue
            .enqueue((), 2)
            .is_ok_and(|enqueued| enqueued.next == Next::Schedule));
        assert!(queue
            .enqueue((), 2)
            .is_ok_and(|enqueued| enqueued.next == Next::Nothing));
        assert!(matches!(queue.enqueue((), 2), Err(Refused::Full(()))));
        assert_eq!(queue.load_to_work_on(), 2);
        other.join().unwrap();
        let mut delivered = 0;
        let next = queue.run(usize::MAX, |()| {
            delivered += 1;
            1
        });
        assert!(next == Next::Nothing && delivered == 2 && queue.is_idle());
    });
}

/// A packet that delivering leads back to its own peer must not be sent; one that another task sends on the same CPU,
/// before delivering has ended there (PREEMPT_RT), or another CPU, is innocent.
#[test]
fn who_delivers_is_the_task_and_not_its_cpu() {
    const OTHER_TASK: usize = 100;
    explore(2, || {
        let queue = Arc::pin_init(OrderedQueue::<Unit>::new(usize::MAX), GFP_KERNEL).unwrap();
        let other = queue.clone();
        let other = thread::spawn(move || {
            kernel::cpu::move_to(1);
            assert!(!other.is_delivering_here(), "another CPU");
        });
        let mut delivered = 0;
        let mut deliver = |()| {
            delivered += 1;
            assert!(queue.is_delivering_here(), "what delivering leads to");
            preempted_by(OTHER_TASK, || {
                assert!(!queue.is_delivering_here(), "another task on this CPU")
            });
            assert!(queue.is_delivering_here(), "and then the same again");
            1
        };
        let alone = queue.run_bypass(&mut Some(()), || (), usize::MAX, &mut deliver);
        assert!(alone == Some(Next::Nothing));
        assert!(queue.enqueue((), 1).is_ok());
        assert!(queue.run(usize::MAX, deliver) == Next::Nothing && delivered == 2);
        assert!(!queue.is_delivering_here(), "afterwards");
        other.join().unwrap();
    });
}

/// What might overtake something that is held back where it was delivered waits in the queue, at home.
#[test]
fn what_is_held_back_is_not_passed_by() {
    explore(1, || {
        let queue = Arc::pin_init(OrderedQueue::<Unit>::new(usize::MAX), GFP_KERNEL).unwrap();
        let other = queue.clone();
        let other = thread::spawn(move || assert!(other.load_to_work_on() <= 1));
        HELD.set(true);
        assert!(queue
            .run_bypass(&mut Some(()), || (), usize::MAX, |()| 1)
            .is_none());
        assert!(queue
            .enqueue((), 1)
            .is_ok_and(|enqueued| enqueued.home == 0));
        assert!(queue.run(usize::MAX, |()| 1) == Next::Nothing);
        HELD.set(false);
        assert!(queue
            .run_bypass(&mut Some(()), || (), usize::MAX, |()| 1)
            .is_some());
        other.join().unwrap();
    });
}

std::thread_local! {
    static HELD: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

struct Unit;

impl Job for Unit {
    type Input = ();
    type Output = ();

    fn load((): &()) -> usize {
        1
    }

    fn enter((): &mut ()) {}

    fn join((): &mut (), (): ()) -> core::result::Result<(), ()> {
        Err(())
    }

    fn is_much((): &()) -> bool {
        false
    }

    fn is_held((): &(), _: u32) -> bool {
        HELD.get()
    }

    fn work((): ()) {}
}
