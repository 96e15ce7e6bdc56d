// SPDX-License-Identifier: GPL-2.0

//! Timers: they expire once and not before their time, and keep alive what they are for.

#![forbid(unsafe_code)]

use kernel::{
    prelude::*,
    sync::atomic::{Atomic, Relaxed},
    time::{delay::fsleep, Delta},
};

use crate::rcu::RcuArc;
use crate::timer::{self, coarse_boottime_ns, jiffies, new_timer, Timer, TimerExpired};

const MILLISECOND: u64 = 1_000_000;
/// Two ticks at 100 Hz, the slowest clock that Linux has.
const TICKS: u64 = 20 * MILLISECOND;

/// How many alarms have been dropped.
static DROPPED: Atomic<i32> = Atomic::new(0);

struct Counted;

impl Drop for Counted {
    fn drop(&mut self) {
        DROPPED.fetch_add(1, Relaxed);
    }
}

#[pin_data]
struct Alarm {
    #[pin]
    timer: Timer<Alarm, 0>,
    fired: Atomic<i32>,
    /// Whether to ring again, so many times.
    repeat: Atomic<i32>,
    _counted: Counted,
}

impl TimerExpired<0> for Alarm {
    fn expired(this: RcuArc<Self>) {
        this.fired.fetch_add(1, Relaxed);
        if this.repeat.fetch_add(-1, Relaxed) > 0 {
            arm(&this, milliseconds(10));
        }
    }
}

impl Alarm {
    fn new() -> Result<RcuArc<Self>> {
        RcuArc::pin_init(
            try_pin_init!(Self {
                timer <- new_timer!("alarm"),
                fired: Atomic::new(0),
                repeat: Atomic::new(0),
                _counted: Counted,
            }? Error),
            GFP_KERNEL,
        )
    }

    fn fired(&self) -> i32 {
        self.fired.load(Relaxed)
    }
}

/// Has an alarm go off in `delay` at the latest.
fn arm(alarm: &RcuArc<Alarm>, delay: kernel::time::Jiffies) -> bool {
    alarm.timer.reduce(alarm, jiffies().wrapping_add(delay))
}

fn milliseconds(ms: u32) -> kernel::time::Jiffies {
    kernel::time::msecs_to_jiffies(ms)
}

/// Waits until something holds; the limit is for a machine on which nothing moves.
fn soon(holds: impl Fn() -> bool) -> bool {
    let start = coarse_boottime_ns();
    while !holds() {
        if coarse_boottime_ns().saturating_sub(start) > 60_000 * MILLISECOND {
            return false;
        }
        fsleep(Delta::from_millis(5));
    }
    true
}

#[kunit_tests(wireguard_timer)]
mod suite {
    use super::*;

    #[test]
    fn it_expires_once_and_not_too_early() -> Result {
        let alarm = Alarm::new()?;
        assert!(!alarm.timer.is_pending());
        let start = coarse_boottime_ns();
        arm(&alarm, milliseconds(200));
        assert!(soon(|| alarm.fired() == 1));
        let after = coarse_boottime_ns().saturating_sub(start);
        assert!(after >= 200 * MILLISECOND - TICKS);
        assert!(!alarm.timer.is_pending());
        fsleep(Delta::from_millis(300));
        assert_eq!(alarm.fired(), 1);
        // And again, as often as wanted.
        arm(&alarm, milliseconds(10));
        assert!(soon(|| alarm.fired() == 2));
        Ok(())
    }

    #[test]
    fn arming_a_pending_timer_moves_it_to_earlier_only() -> Result {
        let alarm = Alarm::new()?;
        assert!(arm(&alarm, timer::seconds(3600)));
        assert!(alarm.timer.is_pending());
        assert!(!arm(&alarm, milliseconds(10)));
        assert!(!arm(&alarm, timer::seconds(3600)));
        assert!(soon(|| alarm.fired() == 1));
        assert!(!alarm.timer.is_pending());
        Ok(())
    }

    #[test]
    fn a_stopped_timer_does_not_expire() -> Result {
        let alarm = Alarm::new()?;
        // A second in which nothing disturbs us is all that this needs.
        arm(&alarm, timer::seconds(1));
        alarm.timer.stop();
        let fired = alarm.fired();
        assert!(!alarm.timer.is_pending());
        fsleep(Delta::from_millis(1200));
        assert_eq!(alarm.fired(), fired);
        // Stopping what is not pending does nothing.
        alarm.timer.stop();
        Ok(())
    }

    #[test]
    fn it_may_set_itself_again() -> Result {
        let alarm = Alarm::new()?;
        alarm.repeat.store(4, Relaxed);
        arm(&alarm, milliseconds(10));
        assert!(soon(|| alarm.fired() == 5 && !alarm.timer.is_pending()));
        Ok(())
    }

    #[test]
    fn it_keeps_alive_what_it_is_for() -> Result {
        let before = DROPPED.load(Relaxed);
        let alarm = Alarm::new()?;
        alarm.repeat.store(3, Relaxed);
        arm(&alarm, milliseconds(50));
        drop(alarm);
        // The last reference is the timer's, until it has expired for good.
        assert!(soon(|| DROPPED.load(Relaxed) == before + 1));
        Ok(())
    }

    #[test]
    fn a_stopped_timer_lets_go() -> Result {
        let before = DROPPED.load(Relaxed);
        let alarm = Alarm::new()?;
        for seconds in [3600, 3600, 1800] {
            arm(&alarm, timer::seconds(seconds));
        }
        alarm.timer.stop();
        drop(alarm);
        assert!(soon(|| DROPPED.load(Relaxed) == before + 1));
        Ok(())
    }

    #[test]
    fn a_timer_is_of_one_owner_only() -> Result {
        let before = DROPPED.load(Relaxed);
        let alarm = Alarm::new()?;
        let other = Alarm::new()?;
        arm(&alarm, timer::seconds(3600));
        alarm.timer.stop();
        assert!(!alarm.timer.reduce(&other, jiffies()));
        assert!(!alarm.timer.is_pending());
        drop((alarm, other));
        assert!(soon(|| DROPPED.load(Relaxed) == before + 2));
        Ok(())
    }

    #[test]
    fn times() {
        assert_eq!(timer::seconds(1), milliseconds(1000));
        assert_eq!(timer::seconds(180), milliseconds(180_000));
        // A quarter of a second is many ticks: all of what is random, and nothing beyond.
        let limit = milliseconds(250);
        let (mut least, mut most) = (limit, 0);
        for _ in 0..2000 {
            let time = timer::random_below_ms(250);
            least = least.min(time);
            most = most.max(time);
        }
        assert!(least < limit / 4 && most > limit / 4 * 3 && most < limit);
        assert_eq!(timer::random_below_ms(0), 0);
    }
}
