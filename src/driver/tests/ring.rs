//! The ring over a scripted kernel, which does what a healthy kernel does rarely or never.

use crate::driver::poll_mode::{Deadline, PollMode};
use crate::driver::proactor::kernel::Reaped;
use crate::driver::slots::arena::Slots;
use crate::driver::slots::key::Key;
use crate::driver::slots::lifecycle::{Event, Lifecycle};
use crate::op::completion::Completion;
use crate::op::{Entry, Op, Readiness};
use crate::sys::call::Call;

use super::scripted::*;

#[test]
fn a_result_is_taken_once_and_its_key_is_never_good_again() {
    let mut bench = Bench::new(8);
    let key = bench.submit::<SINGLE>();
    bench.poll_kernel();
    assert_eq!(bench.lifecycle(key), Some(Lifecycle::InFlight));
    bench.complete(key, 7, 0);
    bench.poll_kernel();
    assert_eq!(bench.take::<SINGLE>(key), Some(7));
    assert_eq!(bench.take::<SINGLE>(key), None);
    let next = bench.submit::<SINGLE>();
    bench.complete(key, 99, 0); // a late completion of the first, in the recycled slot
    bench.poll_kernel();
    assert_eq!(bench.lifecycle(next), Some(Lifecycle::InFlight), "it met the next operation in its slot");
    assert_eq!(bench.slots.live() - bench.own(), 1);
}

#[test]
fn more_operations_than_room_are_all_submitted_in_order() {
    let mut bench = Bench::new(4);
    bench.ring.kernel.errors = vec![libc::EAGAIN; 3]; // the kernel is short of memory for a while
    let keys: Vec<_> = (0..50).map(|_| bench.submit::<SINGLE>().pack()).collect();
    for _ in 0..5 {
        bench.poll_kernel();
    }
    assert_eq!(bench.ring.kernel.submitted, keys);
    assert!(!bench.ring.is_behind());
}

/// The kernel does a limited amount of work for an enter that wants few completions, and then reports that there is more.
#[test]
fn a_drain_asks_for_as_much_as_there_can_be() {
    let mut bench = Bench::new(64);
    for _ in 0..50 {
        bench.submit::<SINGLE>();
    }
    bench.drain();
    assert_eq!(bench.ring.kernel.asked, Some((0, Deadline::Never)));
    bench.ring.kernel.flagged = true;
    bench.drain();
    assert_eq!(bench.ring.kernel.asked, Some((51, Deadline::Now))); // its own read is one more
}

#[test]
fn cancels_survive_a_full_queue() {
    let mut bench = Bench::new(4);
    let keys: Vec<_> = (0..40).map(|_| bench.submit::<SINGLE>()).collect();
    bench.poll_kernel();
    bench.ring.kernel.submitted.clear();
    bench.ring.kernel.errors = vec![libc::EBUSY; 2];
    keys.iter().for_each(|key| bench.abandon(*key));
    for _ in 0..5 {
        bench.poll_kernel();
    }
    let expected: Vec<_> = keys.iter().map(|key| CANCEL | key.pack()).collect();
    assert_eq!(bench.ring.kernel.submitted, expected);
    for key in keys {
        bench.complete(key, -libc::ECANCELED, 0);
    }
    bench.poll_kernel();
    assert_eq!(bench.slots.live() - bench.own(), 0);
    assert_eq!(bench.log.take().len(), 40);
}

#[test]
fn an_operation_that_never_reached_the_kernel_is_taken_apart_at_once() {
    let mut bench = Bench::new(1);
    bench.ring.kernel.errors = vec![libc::EAGAIN; 2];
    let _first = bench.submit::<SINGLE>();
    let waiting = bench.submit::<SINGLE>();
    assert_eq!(bench.lifecycle(waiting), Some(Lifecycle::Queued));
    bench.abandon(waiting);
    assert_eq!(bench.log.take(), [format!("abandoned with {}", -libc::ECANCELED)]);
    bench.poll_kernel();
    bench.poll_kernel();
    assert!(!bench.ring.kernel.submitted.contains(&waiting.pack()));
}

#[test]
fn an_orphan_keeps_its_slot_until_its_own_completion() {
    let mut bench = Bench::new(8);
    let key = bench.submit::<SINGLE>();
    bench.poll_kernel();
    bench.abandon(key);
    // The cancel's own completion comes first, and means nothing.
    bench
        .ring
        .kernel
        .arrived
        .push(Reaped { user_data: CANCEL | key.pack(), completion: Completion::new(-libc::EALREADY) });
    bench.poll_kernel();
    assert_eq!(bench.lifecycle(key), Some(Lifecycle::Orphan));
    assert_eq!(bench.log.take(), [""; 0]);
    bench.complete(key, 64, 0); // it succeeded all the same
    bench.poll_kernel();
    assert_eq!(bench.log.take(), ["abandoned with 64"]);
    assert_eq!(bench.slots.live() - bench.own(), 0);
}

/// Whether two keys name the same place.
fn same_slot(a: Key, b: Key) -> bool {
    a.pack() as u32 == b.pack() as u32
}

#[test]
fn t11_a_cancel_that_waits_for_room_is_given_up_with_its_operation() {
    let mut bench = Bench::new(1);
    let stale = bench.submit::<SINGLE>();
    bench.poll_kernel();
    let _filler = bench.submit::<SINGLE>(); // the queue is full now, and the kernel takes nothing
    bench.ring.kernel.submitted.clear();
    bench.ring.kernel.errors = vec![libc::EAGAIN; 100];
    bench.abandon(stale);
    bench.complete(stale, 5, 0);
    bench.poll_kernel();
    assert_eq!(bench.log.take(), ["abandoned with 5"]);
    let next = bench.submit::<SINGLE>();
    assert!(same_slot(stale, next) && stale != next);
    bench.ring.kernel.errors.clear();
    for _ in 0..4 {
        bench.poll_kernel();
    }
    let submitted = std::mem::take(&mut bench.ring.kernel.submitted);
    assert!(submitted.contains(&next.pack()));
    assert!(submitted.iter().all(|user_data| user_data & CANCEL == 0), "there is nothing to cancel");
    bench.complete(next, 7, 0);
    bench.poll_kernel();
    assert_eq!(bench.take::<SINGLE>(next), Some(7));
}

#[test]
fn t11_a_cancel_that_comes_late_names_nobody() {
    for answer in [0, -libc::ENOENT, -libc::EALREADY] {
        let mut bench = Bench::new(8);
        let stale = bench.submit::<SINGLE>();
        bench.poll_kernel();
        bench.ring.kernel.submitted.clear();
        // The cancel is in the queue when the operation's completion is taken, and its slot used again.
        bench.ring.kernel.errors = vec![libc::EAGAIN];
        bench.abandon(stale);
        bench.complete(stale, 5, 0);
        bench.poll_kernel();
        let next = bench.submit::<SINGLE>();
        assert!(same_slot(stale, next) && stale != next);
        bench.poll_kernel();
        assert_eq!(bench.ring.kernel.submitted, [CANCEL | stale.pack(), next.pack()]);
        // Neither the cancel's own completion nor a second one of what it was for means the next operation.
        let late = [(CANCEL | stale.pack(), answer), (stale.pack(), 9), (stale.pack(), -libc::ECANCELED)];
        for (user_data, result) in late {
            let completion = Completion::new(result);
            bench.ring.kernel.arrived.push(Reaped { user_data, completion });
            bench.poll_kernel();
            assert_eq!(bench.lifecycle(next), Some(Lifecycle::InFlight));
        }
        // Its own cancel does.
        bench.ring.kernel.submitted.clear();
        bench.abandon(next);
        bench.poll_kernel();
        assert_eq!(bench.ring.kernel.submitted, [CANCEL | next.pack()]);
    }
}

#[test]
fn overflowed_completions_are_brought_in_the_same_visit() {
    let mut bench = Bench::new(8);
    let keys: Vec<_> = (0..6).map(|_| bench.submit::<SINGLE>()).collect();
    bench.poll_kernel();
    for (i, key) in keys.iter().enumerate() {
        bench.complete(*key, i as i32, 0);
    }
    bench.ring.kernel.overflowed = bench.ring.kernel.arrived.split_off(2);
    bench.poll_kernel();
    let results: Vec<_> = keys.iter().map(|key| bench.take::<SINGLE>(*key)).collect();
    assert_eq!(results, (0..6).map(Some).collect::<Vec<_>>());
}

#[test]
fn it_never_waits_while_there_is_something_to_do() {
    let mut bench = Bench::new(8);
    let key = bench.submit::<SINGLE>();
    bench.poll_kernel();
    bench.complete(key, 1, 0);
    bench
        .ring
        .poll_kernel(PollMode::Wait(Deadline::Never), &bench.slots, &bench.stats, &mut bench.deferred)
        .unwrap();
    assert_eq!(bench.ring.kernel.waits, 0);
    assert_eq!(bench.take::<SINGLE>(key), Some(1));
    bench
        .ring
        .poll_kernel(PollMode::Wait(Deadline::Never), &bench.slots, &bench.stats, &mut bench.deferred)
        .unwrap();
    assert_eq!(bench.ring.kernel.waits, 1);
}

#[test]
fn large_operations_lie_in_boxes_that_are_used_again() {
    struct Large([u64; 40]);
    impl Op for Large {
        type Output = u64;
        const NAME: &'static str = "large";
        const OPCODE: u8 = 0;
        fn entry(&mut self) -> Entry {
            io_uring::opcode::Nop::new().build()
        }
        fn readiness(&self) -> Readiness<'_> {
            Readiness::Immediate
        }
        fn call(&mut self) -> Call {
            // SAFETY: no argument.
            unsafe { Call::new(libc::SYS_getppid, []) }
        }
        fn complete(self, _: Completion) -> u64 {
            self.0.iter().sum()
        }
    }
    let slots = Slots::new();
    let mut places = Vec::new();
    for i in 0..3 {
        let inserted = slots.insert(Large([i; 40]), None, None);
        // SAFETY: inserted with this type.
        places.push(unsafe { inserted.get::<Large>() });
        inserted.apply(Event::Push);
        inserted.apply(Event::Last);
        // SAFETY: inserted with this type.
        let (op, completion, _) = unsafe { inserted.take::<Large>() }.unwrap();
        assert_eq!(op.complete(completion), i * 40);
    }
    assert!(places.windows(2).all(|pair| pair[0] == pair[1]), "each took the box that the last had left");
}

#[test]
fn slots_never_move_and_keys_are_never_used_twice() {
    let mut bench = Bench::new(8);
    let first = bench.submit::<SINGLE>();
    // SAFETY: inserted with this type.
    let place = unsafe { bench.slots.find(first).unwrap().get::<Probe<SINGLE>>() };
    let mut seen = std::collections::HashSet::new();
    for _ in 0..1_000 {
        let key = bench.submit::<SINGLE>();
        assert!(seen.insert(key.pack()), "a key was given twice");
        if seen.len().is_multiple_of(2) {
            bench.poll_kernel();
            bench.complete(key, 0, 0);
            bench.poll_kernel();
            bench.take::<SINGLE>(key);
        }
    }
    // SAFETY: inserted with this type.
    assert_eq!(unsafe { bench.slots.find(first).unwrap().get::<Probe<SINGLE>>() }, place);
}

#[test]
fn t40_the_read_of_the_event_descriptor_is_made_again_whatever_ended_it() {
    for result in [8, 0, -libc::ECANCELED, -libc::EINTR, -libc::EAGAIN, -libc::ENOMEM] {
        let mut bench = Bench::new(4);
        for _ in 0..3 {
            let own = bench.ring.own_operation().unwrap();
            bench.complete(own, result, 0);
            bench.poll_kernel(); // takes the completion
            bench.poll_kernel(); // and this hands the next read over
            let next = bench.ring.own_operation().unwrap();
            assert_ne!(next, own);
            assert_eq!(bench.lifecycle(next), Some(Lifecycle::InFlight), "after {result}");
            assert!(bench.ring.kernel.submitted.contains(&next.pack()));
            assert_eq!(bench.slots.live(), 1);
        }
    }
}

#[test]
fn t43_forty_refusals_in_a_row_lose_nothing() {
    // More than a ring takes without a pause, for entries and for cancels.
    let mut bench = Bench::new(4);
    for errno in [libc::EAGAIN, libc::EBUSY, libc::ENOMEM] {
        bench.ring.kernel.submitted.clear();
        bench.ring.kernel.errors = vec![errno; 40];
        let keys: Vec<_> = (0..20).map(|_| bench.submit::<SINGLE>()).collect();
        for _ in 0..50 {
            bench.poll_kernel();
        }
        assert_eq!(bench.ring.kernel.errors, [0; 0], "it has tried that often");
        let submitted: Vec<_> = keys.iter().map(|key| key.pack()).collect();
        assert_eq!(bench.ring.kernel.submitted, submitted);
        bench.ring.kernel.submitted.clear();
        bench.ring.kernel.errors = vec![errno; 40];
        keys.iter().for_each(|key| bench.abandon(*key));
        for _ in 0..50 {
            bench.poll_kernel();
        }
        let cancels: Vec<_> = keys.iter().map(|key| CANCEL | key.pack()).collect();
        assert_eq!(bench.ring.kernel.submitted, cancels);
        for key in &keys {
            bench.complete(*key, -libc::ECANCELED, 0);
        }
        bench.poll_kernel();
        assert_eq!(bench.log.take().len(), keys.len());
    }
}

#[test]
fn t40_a_wait_begins_only_when_the_read_of_the_wake_up_is_with_the_kernel() {
    let mut bench = Bench::new(8);
    for result in [-libc::ECANCELED, -libc::EINTR, -libc::EAGAIN, -libc::EIO, 8] {
        let ended = bench.ring.own_operation().unwrap();
        bench.complete(ended, result, 0);
        bench.poll_kernel();
        // A wait now: the read was begun anew, and is handed over with it.
        let waits = bench.ring.kernel.waits;
        bench
            .ring
            .poll_kernel(PollMode::Wait(Deadline::Never), &bench.slots, &bench.stats, &mut bench.deferred)
            .unwrap();
        let own = bench.ring.own_operation().unwrap();
        assert_ne!(own, ended);
        assert_eq!(bench.ring.kernel.waits, waits + 1);
        assert_eq!(bench.ring.kernel.submitted, [own.pack()], "{result}");
        bench.ring.kernel.submitted.clear();
    }
    // No room for it: then there is no wait either.
    let ended = bench.ring.own_operation().unwrap();
    bench.complete(ended, 8, 0);
    bench.poll_kernel();
    bench.ring.kernel.room = 0;
    let waits = bench.ring.kernel.waits;
    bench
        .ring
        .poll_kernel(PollMode::Wait(Deadline::Never), &bench.slots, &bench.stats, &mut bench.deferred)
        .unwrap();
    assert_eq!(bench.ring.kernel.waits, waits);
    bench.ring.kernel.room = 8;
    bench.poll_kernel();
}
