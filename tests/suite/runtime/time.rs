//! Timers: never early, in order, gone when dropped.

use std::cell::{Cell, RefCell};
use std::future::{pending, poll_fn, ready};
use std::io;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use proactor::combine::wait;
use proactor::task::{BlockingPool, TaskSet, catch_cancel, spawn_blocking_on};
use proactor::time::{
    Elapsed, Interval, MissedTick, interval, interval_at, sleep, sleep_until, timeout, timeout_at, wait_for,
};
use proactor::{Config, Feature, Runtime, spawn, yield_now};

use crate::kit::*;

tests! {
    t56_timers_without_each_feature,
    t65_a_sleep_is_never_early,
    t240_a_duration_counts_from_the_first_poll,
    t65_a_sleep_until_the_past_takes_one_turn,
    t65_a_sleep_of_zero_takes_one_turn,
    t65_a_sleep_for_ever_stays_pending,
    a_sleep_reports_whether_it_has_elapsed,
    a_sleep_can_move_between_tasks,
    t65_equal_deadlines_fire_in_the_order_of_their_arming,
    t65_deadlines_fire_in_their_order,
    t65_many_timers_all_fire,
    t65_dropped_timers_are_gone_at_once,
    a_forgotten_timer_does_no_harm,
    a_result_in_time_wins,
    a_result_that_is_there_at_expiry_wins,
    a_timeout_of_a_ready_future_arms_no_timer,
    an_elapsed_timeout_drops_its_future_at_once,
    a_timeout_of_zero_gives_one_turn,
    a_timeout_for_ever_never_elapses,
    a_timeout_at_the_past_elapses,
    nested_timeouts_end_in_their_order,
    a_dropped_timeout_takes_its_timer_with_it,
    elapsed_is_an_io_error,
    an_interval_ticks_at_once_and_never_early,
    an_interval_that_bursts_gives_every_tick,
    an_interval_that_skips_stays_on_its_grid,
    an_interval_that_delays_continues_from_the_late_tick,
    a_dropped_tick_is_not_lost,
    an_interval_can_be_reset,
    an_interval_begins_at_its_start_time,
    a_period_of_zero_panics_with_the_cure,
    timers_run_between_two_calls_of_block_on,
    a_timer_may_be_dropped_after_its_runtime,
    t304_time_limits_without_end_wait_and_do_not_overflow,
}

fn t56_timers_without_each_feature<R: Runtime>() {
    let is_about_waits = |feature: &Feature| {
        matches!(
            feature,
            Feature::AbsoluteTimer | Feature::MinWait | Feature::EpollPwait2 | Feature::DeferTaskrun
        )
    };
    for feature in features::<R>().into_iter().filter(is_about_waits) {
        suite_without::<R>(&["time::t65", "time::an_"], &[feature]);
    }
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn t65_a_sleep_is_never_early<R: Runtime>() {
    run::<R>(async {
        for micros in [0, 1, 15, 16, 17, 999, 1_000, 1_001, 5_000, 20_000] {
            let (start, time) = (Instant::now(), Duration::from_micros(micros));
            sleep(time).await;
            assert!(start.elapsed() >= time, "{micros} µs");
            let deadline = Instant::now() + time;
            sleep_until(deadline).await;
            assert!(Instant::now() >= deadline, "{micros} µs");
        }
        // Many at once, while others make the loop turn.
        let sleeps = (0..500).map(|number| async move {
            let (start, time) = (Instant::now(), Duration::from_micros(number * 23));
            sleep(time).await;
            assert!(start.elapsed() >= time);
        });
        join_all(sleeps).await;
    });
}

/// Spins until `time` has certainly passed for all timers that were set before the call.
fn block_for(time: Duration) {
    let end = Instant::now() + time + Duration::from_micros(100); // some ticks of the wheel
    while Instant::now() < end {
        std::hint::spin_loop();
    }
}

/// What blocks the loop afterwards does not delay the deadline: in another task, or, of a sleep, later in the same poll.
fn t240_a_duration_counts_from_the_first_poll<R: Runtime>() {
    const TIME: Duration = Duration::from_millis(300);
    run::<R>(async {
        let (first, second) = (spawn(sleep(TIME)), spawn(timeout(TIME, pending::<()>())));
        let blocking = spawn(async { block_for(TIME) });
        blocking.await.unwrap();
        turns(2).await;
        assert!(first.is_finished() && second.is_finished(), "they count from the end of the blocking work");

        // Later in the same poll.
        let mut slept = sleep(TIME);
        assert!(poll_once(&mut slept).await.is_pending());
        block_for(TIME);
        yield_now().await;
        assert!(poll_once(&mut slept).await.is_ready(), "it counts from the end of the poll");
    });
}

fn t65_a_sleep_until_the_past_takes_one_turn<R: Runtime>() {
    run::<R>(async {
        let mut sleep = sleep_until(Instant::now().checked_sub(ms(5)).unwrap());
        assert!(poll_once(&mut sleep).await.is_pending());
        yield_now().await;
        assert!(poll_once(&mut sleep).await.is_ready());
    });
}

fn t65_a_sleep_of_zero_takes_one_turn<R: Runtime>() {
    run::<R>(async {
        let ran = Rc::new(Cell::new(0));
        let other = ran.clone();
        spawn(async move {
            other.set(1);
            yield_now().await;
            other.set(2);
        });
        sleep(Duration::ZERO).await;
        assert_eq!(ran.get(), 1, "every other task has run once");
    });
}

fn t65_a_sleep_for_ever_stays_pending<R: Runtime>() {
    run::<R>(async {
        assert_eq!(timeout(ms(3), sleep(Duration::MAX)).await, Err(Elapsed));
        let far = Instant::now() + Duration::from_secs(1 << 32);
        assert_eq!(timeout(ms(3), sleep_until(far)).await, Err(Elapsed));
    });
}

fn a_sleep_reports_whether_it_has_elapsed<R: Runtime>() {
    run::<R>(async {
        let mut sleep = sleep(ms(1));
        assert!(!sleep.is_elapsed());
        (&mut sleep).await;
        assert!(sleep.is_elapsed());
        assert!(poll_once(&mut sleep).await.is_ready(), "and stays so");
    });
}

fn a_sleep_can_move_between_tasks<R: Runtime>() {
    run::<R>(async {
        let mut sleep = sleep(ms(5));
        assert!(poll_once(&mut sleep).await.is_pending());
        spawn(sleep).await.unwrap();
    });
}

/// Arms sleeps until these deadlines, from now on, of a task each and in this order, and says in which order they
/// fired, by number. All are armed before the first is due: a machine that was too slow for that gets more time.
async fn firing_order(deadlines: &[Duration]) -> Vec<usize> {
    for delay in [5, 50, 500, 5_000] {
        let start = Instant::now() + ms(delay);
        let order = Rc::new(RefCell::new(Vec::new()));
        let tasks: Vec<_> = deadlines
            .iter()
            .enumerate()
            .map(|(number, after)| {
                let (order, deadline) = (order.clone(), start + *after);
                spawn(async move {
                    sleep_until(deadline).await;
                    order.borrow_mut().push(number);
                })
            })
            .collect();
        yield_now().await;
        let in_time = Instant::now() < start;
        // Until all are due: they fire in one turn.
        while Instant::now() < start + ms(1) {
            std::hint::spin_loop();
        }
        join_all(tasks).await;
        if in_time {
            return order.take();
        }
    }
    panic!("the machine takes more than five seconds to arm some timers");
}

fn t65_equal_deadlines_fire_in_the_order_of_their_arming<R: Runtime>() {
    run::<R>(async {
        assert_eq!(firing_order(&[Duration::ZERO; 200]).await, (0..200).collect::<Vec<_>>());
    });
}

fn t65_deadlines_fire_in_their_order<R: Runtime>() {
    run::<R>(async {
        // Armed back to front.
        let deadlines: Vec<_> = (0..100).rev().map(Duration::from_micros).collect();
        assert_eq!(firing_order(&deadlines).await, (0..100).rev().collect::<Vec<_>>());
    });
}

fn t65_many_timers_all_fire<R: Runtime>() {
    let runtime = R::new().unwrap();
    runtime.block_on(async {
        let start = Instant::now();
        let mut sleeps: Vec<_> = (0..rounds(100_000, 1_000_000) as u64)
            .map(|number| {
                let deadline = start + Duration::from_micros(number.wrapping_mul(7_919) % 50_000);
                (deadline, Box::pin(sleep_until(deadline)))
            })
            .collect();
        for (_, sleep) in &mut sleeps {
            let _ = poll_once(sleep).await;
        }
        for (deadline, sleep) in sleeps {
            sleep.await;
            assert!(Instant::now() >= deadline, "it fired early");
        }
        assert_eq!(runtime.report().live.timers, 0);
    });
    end(runtime);
}

fn t65_dropped_timers_are_gone_at_once<R: Runtime>() {
    let runtime = R::new().unwrap();
    runtime.block_on(async {
        let mut sleeps: Vec<_> = (0..10_000).map(|number| sleep(ms(10_000 + number))).collect();
        for sleep in &mut sleeps {
            assert!(poll_once(sleep).await.is_pending());
        }
        assert_eq!(runtime.report().live.timers, 10_000);
        sleeps.truncate(5_000);
        assert_eq!(runtime.report().live.timers, 5_000);
        drop(sleeps);
        assert_eq!(runtime.report().live.timers, 0);
        sleep(ms(1)).await;
    });
    end(runtime);
}

fn a_forgotten_timer_does_no_harm<R: Runtime>() {
    run::<R>(async {
        let mut lost = sleep(ms(1));
        assert!(poll_once(&mut lost).await.is_pending());
        forget(lost);
        sleep(ms(3)).await;
    });
}

fn a_result_in_time_wins<R: Runtime>() {
    run::<R>(async {
        assert_eq!(timeout(Duration::from_secs(60), async { 1 }).await, Ok(1));
        let slow = async {
            turns(3).await;
            2
        };
        assert_eq!(timeout(Duration::from_secs(60), slow).await, Ok(2));
    });
}

fn a_result_that_is_there_at_expiry_wins<R: Runtime>() {
    run::<R>(async {
        let deadline = Instant::now() + ms(2);
        // Both are due at the same point.
        assert_eq!(timeout_at(deadline, sleep_until(deadline)).await, Ok(()));
        // The limit has long passed when the future is polled for the second time.
        let mut polls = 0;
        let late = poll_fn(|cx| {
            polls += 1;
            if polls == 1 {
                cx.waker().wake_by_ref();
                std::thread::sleep(ms(5));
                return Poll::Pending;
            }
            Poll::Ready("ready")
        });
        assert_eq!(timeout(ms(1), late).await, Ok("ready"));
    });
}

fn a_timeout_of_a_ready_future_arms_no_timer<R: Runtime>() {
    let runtime = R::new().unwrap();
    runtime.block_on(async {
        let mut limited = timeout(Duration::from_secs(60), ready(1));
        assert_eq!(poll_once(&mut limited).await, Poll::Ready(Ok(1)));
        assert_eq!(runtime.report().live.timers, 0);
        let mut limited = timeout(Duration::from_secs(60), pending::<()>());
        assert_eq!(runtime.report().live.timers, 0);
        assert!(poll_once(&mut limited).await.is_pending());
        assert_eq!(runtime.report().live.timers, 1);
    });
    end(runtime);
}

fn an_elapsed_timeout_drops_its_future_at_once<R: Runtime>() {
    let runtime = R::new().unwrap();
    runtime.block_on(async {
        let dropped = Rc::new(Cell::new(0));
        let guard = Counted(dropped.clone());
        let start = Instant::now();
        let limited = timeout(ms(3), async move {
            let _guard = guard;
            pending::<()>().await;
        });
        let mut limited = std::pin::pin!(limited);
        assert_eq!((&mut limited).await, Err(Elapsed));
        assert!(start.elapsed() >= ms(3));
        assert_eq!(dropped.get(), 1, "although the Timeout itself is still there");
        assert_eq!(runtime.report().live.timers, 0);
    });
    end(runtime);
}

fn a_timeout_of_zero_gives_one_turn<R: Runtime>() {
    run::<R>(async {
        assert_eq!(timeout(Duration::ZERO, yield_now()).await, Ok(()));
        assert_eq!(timeout(Duration::ZERO, pending::<()>()).await, Err(Elapsed));
    });
}

fn a_timeout_for_ever_never_elapses<R: Runtime>() {
    run::<R>(async {
        assert_eq!(timeout(Duration::MAX, sleep(ms(3))).await, Ok(()));
    });
}

fn a_timeout_at_the_past_elapses<R: Runtime>() {
    run::<R>(async {
        let past = Instant::now().checked_sub(ms(5)).unwrap();
        assert_eq!(timeout_at(past, pending::<()>()).await, Err(Elapsed));
        assert_eq!(timeout_at(past, ready(1)).await, Ok(1));
    });
}

fn nested_timeouts_end_in_their_order<R: Runtime>() {
    run::<R>(async {
        let inner = timeout(ms(2), pending::<()>());
        assert_eq!(timeout(Duration::from_secs(60), inner).await, Ok(Err(Elapsed)));
        let inner = timeout(Duration::from_secs(60), pending::<()>());
        assert_eq!(timeout(ms(2), inner).await, Err(Elapsed));
    });
}

fn a_dropped_timeout_takes_its_timer_with_it<R: Runtime>() {
    let runtime = R::new().unwrap();
    runtime.block_on(async {
        let mut limited = timeout(Duration::from_secs(60), sleep(Duration::from_secs(60)));
        assert!(poll_once(&mut limited).await.is_pending());
        assert_eq!(runtime.report().live.timers, 2);
        drop(limited);
        assert_eq!(runtime.report().live.timers, 0);
    });
    end(runtime);
}

fn elapsed_is_an_io_error<R: Runtime>() {
    async fn limited() -> io::Result<()> {
        timeout(Duration::from_millis(1), pending::<()>()).await?;
        Ok(())
    }
    run::<R>(async {
        assert_eq!(limited().await.unwrap_err().kind(), io::ErrorKind::TimedOut);
    });
}

fn an_interval_ticks_at_once_and_never_early<R: Runtime>() {
    run::<R>(async {
        let start = Instant::now();
        let mut ticks = interval(ms(2));
        assert_eq!(ticks.period(), ms(2));
        let first = ticks.tick().await;
        assert!(first >= start);
        for number in 1..5 {
            let due = ticks.tick().await;
            assert_eq!(due, first + ms(2) * number);
            assert!(Instant::now() >= due);
        }
    });
}

fn an_interval_that_bursts_gives_every_tick<R: Runtime>() {
    run::<R>(async {
        let mut ticks = interval(ms(1));
        assert_eq!(ticks.missed_tick(), MissedTick::Burst);
        let first = ticks.tick().await;
        std::thread::sleep(ms(5)); // the loop stands still for at least five ticks
        for number in 1..10 {
            assert_eq!(ticks.tick().await, first + ms(1) * number);
        }
    });
}

/// The first tick that a busy machine does not miss.
async fn tick_in_time(ticks: &mut Interval, period: Duration) -> Instant {
    loop {
        let due = ticks.tick().await;
        if Instant::now() < due + period {
            return due;
        }
    }
}

fn an_interval_that_skips_stays_on_its_grid<R: Runtime>() {
    run::<R>(async {
        let mut ticks = interval(ms(5));
        ticks.set_missed_tick(MissedTick::Skip);
        let first = tick_in_time(&mut ticks, ms(5)).await;
        std::thread::sleep(ms(25));
        assert_eq!(ticks.tick().await, first + ms(5), "the late one");
        let next = ticks.tick().await;
        assert!(next >= first + ms(25), "those between are left out");
        assert_eq!((next - first).as_nanos() % ms(5).as_nanos(), 0);
    });
}

fn an_interval_that_delays_continues_from_the_late_tick<R: Runtime>() {
    run::<R>(async {
        let mut ticks = interval(ms(5));
        ticks.set_missed_tick(MissedTick::Delay);
        let first = tick_in_time(&mut ticks, ms(5)).await;
        std::thread::sleep(ms(25));
        let before = Instant::now();
        assert_eq!(ticks.tick().await, first + ms(5), "the late one");
        assert!(ticks.tick().await >= before + ms(5));
    });
}

fn a_dropped_tick_is_not_lost<R: Runtime>() {
    run::<R>(async {
        let start = Instant::now();
        let mut ticks = interval_at(start, ms(2));
        for number in 0..5 {
            // Whether a dropped tick was pending or all but due: the next one gives the same.
            let _ = timeout(Duration::ZERO, pending::<()>()).await;
            let mut dropped = ticks.tick();
            let given = match poll_once(&mut dropped).await {
                Poll::Ready(due) => due,
                Poll::Pending => ticks.tick().await,
            };
            assert_eq!(given, start + ms(2) * number);
        }
    });
}

fn an_interval_can_be_reset<R: Runtime>() {
    run::<R>(async {
        let mut ticks = interval(ms(3));
        let first = ticks.tick().await;
        std::thread::sleep(ms(1));
        let before = Instant::now();
        ticks.reset();
        let next = ticks.tick().await;
        assert!(next >= before + ms(3) && next > first + ms(3));
    });
}

fn an_interval_begins_at_its_start_time<R: Runtime>() {
    run::<R>(async {
        let start = Instant::now() + ms(4);
        let mut ticks = interval_at(start, Duration::from_secs(60));
        assert_eq!(ticks.tick().await, start);
        assert!(Instant::now() >= start);
    });
}

fn a_period_of_zero_panics_with_the_cure<R: Runtime>() {
    run::<R>(async {
        let message = panic_of(|| interval(Duration::ZERO));
        assert!(message.contains("yield_now"), "{message}");
    });
}

fn timers_run_between_two_calls_of_block_on<R: Runtime>() {
    let runtime = R::new().unwrap();
    let start = Instant::now();
    let task = runtime.spawn(sleep(ms(5)));
    runtime.block_on(yield_now());
    runtime.block_on(task).unwrap();
    assert!(start.elapsed() >= ms(5));
    end(runtime);
}

fn a_timer_may_be_dropped_after_its_runtime<R: Runtime>() {
    let runtime = R::new().unwrap();
    let mut kept = sleep(Duration::from_secs(60));
    runtime.block_on(async {
        assert!(poll_once(&mut kept).await.is_pending());
    });
    end(runtime);
    drop(kept);
}

fn t304_time_limits_without_end_wait_and_do_not_overflow<R: Runtime>() {
    const MAX: Duration = Duration::MAX;
    let config = Config::new().pool_keep_alive(MAX).shutdown_deadline(MAX).slow_poll(MAX);
    let runtime = R::with_config(&config).unwrap();
    runtime.block_on(async {
        for policy in [MissedTick::Burst, MissedTick::Delay, MissedTick::Skip] {
            let mut ticks = interval(MAX);
            ticks.set_missed_tick(policy);
            block_for(ms(1));
            ticks.tick().await;
            assert_eq!(timeout(ms(1), ticks.tick()).await, Err(Elapsed));
            ticks.reset();
            assert_eq!(timeout(ms(1), ticks.tick()).await, Err(Elapsed));
        }
        assert_eq!(wait_for(MAX, yield_now()).await, Ok(()));
        let mut tasks = [spawn(yield_now())];
        let done = wait(&mut tasks).timeout(MAX).await;
        drop(done);
        let set = TaskSet::without_results();
        set.spawn(async {
            drop(catch_cancel(pending::<()>()).await);
        });
        yield_now().await;
        assert_eq!(set.shutdown(MAX).await, 0);
        let pool = BlockingPool::new(1);
        let job = spawn_blocking_on(&pool, || 1);
        assert_eq!(job.await.unwrap(), 1);
        assert_eq!(pool.shutdown(MAX), 0);
        assert_eq!(proactor::spawn_blocking(|| 2).await.unwrap(), 2);
    });
    drop(runtime);
}
