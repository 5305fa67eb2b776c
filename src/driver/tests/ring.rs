//! The ring over a scripted kernel: what a healthy kernel does rarely or never. And over the real one: what no
//! operation of the crate asks of it.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use crate::driver::feature::{Feature, FeatureSet};
use crate::driver::poll_mode::{Deadline, Deferred, PollMode};
use crate::driver::proactor::kernel::{Kernel, Reaped, RingConfig};
use crate::driver::proactor::ring::Ring;
use crate::driver::proactor::uring::Uring;
use crate::driver::slots::arena::Slots;
use crate::driver::slots::key::Key;
use crate::driver::slots::lifecycle::{Action, Event, Lifecycle};
use crate::driver::slots::slot_ref::SlotRef;
use crate::driver::stats::Stats;
use crate::op::completion::Completion;
use crate::op::{Entry, Kind, MultishotStep, Op, Readiness};
use crate::sys::call::Call;
use crate::task::threads::inbox::Shared;

const F_MORE: u32 = 1 << 1;
const F_NOTIF: u32 = 1 << 3;
const CANCEL: u64 = 1 << 63;

/// Does what the test says, and notes what it was asked.
#[derive(Default)]
struct Scripted {
    room: usize,
    queued: Vec<u64>,
    submitted: Vec<u64>,
    arrived: Vec<Reaped>,
    overflowed: Vec<Reaped>,
    /// Errors that the next enters answer with, before submitting anything.
    errors: Vec<i32>,
    waits: usize,
    /// There is work that waits for an enter, or the flag for it stays up.
    flagged: bool,
    /// The arguments of the last enter.
    asked: Option<(u32, Deadline)>,
}

impl Kernel for Scripted {
    unsafe fn push(&mut self, entry: &Entry) -> bool {
        let fits = self.queued.len() < self.room;
        if fits {
            self.queued.push(entry.get_user_data());
        }
        fits
    }

    fn unsubmitted(&mut self) -> usize {
        self.queued.len()
    }

    fn submit(&mut self) -> io::Result<()> {
        if let Some(errno) = self.errors.pop() {
            return Err(io::Error::from_raw_os_error(errno));
        }
        self.submitted.append(&mut self.queued);
        Ok(())
    }

    fn enter(&mut self, want: u32, deadline: Deadline) -> io::Result<()> {
        self.asked = Some((want, deadline));
        assert!(want == 0 || self.arrived.is_empty(), "waited while completions lay in the queue");
        self.waits += usize::from(want > 0 && deadline != Deadline::Now);
        self.submit()?;
        self.arrived.append(&mut self.overflowed);
        Ok(())
    }

    fn reap(&mut self, take: impl FnMut(Reaped)) {
        self.arrived.drain(..).for_each(take);
    }

    fn has_work(&mut self) -> bool {
        self.flagged || !self.arrived.is_empty() || !self.overflowed.is_empty()
    }

    fn overflowed(&mut self) -> bool {
        !self.overflowed.is_empty()
    }

    fn disown(self) {}
}

/// Notes what becomes of it.
#[derive(Clone, Default)]
struct Log(Rc<RefCell<Vec<String>>>);

impl Log {
    fn note(&self, what: impl Into<String>) {
        self.0.borrow_mut().push(what.into());
    }

    fn take(&self) -> Vec<String> {
        self.0.take()
    }
}

struct Probe<const KIND: u8>(Log, [u8; 40]);

impl<const KIND: u8> Drop for Probe<KIND> {
    fn drop(&mut self) {
        assert!(self.1.iter().all(|byte| *byte == self.1[0]), "somebody wrote into the operation");
    }
}

/// The item after which a multishot operation is to end.
const STOP: i32 = 99;

const SINGLE: u8 = 0;
const MULTISHOT: u8 = 1;
const ZERO_COPY: u8 = 2;

impl<const KIND: u8> Op for Probe<KIND> {
    type Output = i32;
    const NAME: &'static str = "probe";
    const OPCODE: u8 = 0;
    const KIND: Kind = match KIND {
        SINGLE => Kind::Single,
        MULTISHOT => Kind::Multishot,
        _ => Kind::ZeroCopy,
    };

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

    fn complete(self, completion: Completion) -> i32 {
        completion.result
    }

    fn abandoned(self, completion: Completion) {
        self.0.note(format!("abandoned with {}", completion.result));
    }

    fn multishot_step(&mut self, completion: Completion) -> MultishotStep {
        self.0.note(format!("item {}", completion.result));
        MultishotStep { wake: None, stop: completion.result == STOP }
    }
}

struct Bench {
    ring: Ring<Scripted>,
    slots: Slots,
    stats: Stats,
    deferred: Deferred,
    log: Log,
    next: Cell<u8>,
}

impl Bench {
    fn new(room: usize) -> Self {
        let kernel = Scripted { room, ..Scripted::default() };
        let mut ring = Ring::new(kernel, Shared::new().unwrap(), true);
        let (slots, stats, mut deferred) = (Slots::new(), Stats::default(), Deferred::default());
        // Its own operation first, so that it does not stand among those of the test.
        ring.poll_kernel(PollMode::NoWait, &slots, &stats, &mut deferred).unwrap();
        ring.kernel.submitted.clear();
        Bench { ring, slots, stats, deferred, log: Log::default(), next: Cell::new(0) }
    }

    fn submit<const KIND: u8>(&mut self) -> Key {
        self.next.set(self.next.get().wrapping_add(1));
        let op = Probe::<KIND>(self.log.clone(), [self.next.get(); 40]);
        let inserted = self.slots.insert(op, None, None);
        self.ring.submit(inserted, io_uring::opcode::Nop::new().build(), &self.stats);
        inserted.key()
    }

    fn complete(&mut self, key: Key, result: i32, flags: u32) {
        self.ring
            .kernel
            .arrived
            .push(Reaped { user_data: key.pack(), completion: Completion { result, flags } });
    }

    fn poll_kernel(&mut self) {
        self.ring.poll_kernel(PollMode::NoWait, &self.slots, &self.stats, &mut self.deferred).unwrap();
        for key in std::mem::take(&mut self.deferred.reclaim) {
            self.slots.find(key).unwrap().reclaim();
        }
    }

    fn drain(&mut self) {
        self.ring.poll_kernel(PollMode::Drain, &self.slots, &self.stats, &mut self.deferred).unwrap();
    }

    fn lifecycle(&self, key: Key) -> Option<Lifecycle> {
        self.slots.find(key).map(SlotRef::lifecycle)
    }

    /// Drops the operation's future, as the driver does.
    fn abandon(&mut self, key: Key) {
        let Some(operation) = self.slots.find(key) else { return };
        match operation.apply(Event::Abandon) {
            Action::SendCancel => self.ring.cancel(key),
            Action::ReclaimCancelled => {
                operation.keep(Completion::CANCELED);
                operation.reclaim();
            }
            Action::Reclaim => operation.reclaim(),
            _ => {}
        }
    }

    fn take<const KIND: u8>(&mut self, key: Key) -> Option<i32> {
        // SAFETY: the tests name the kind with which they submitted.
        let taken = unsafe { self.slots.find(key)?.take::<Probe<KIND>>() };
        taken.map(|(op, completion, _)| op.complete(completion))
    }

    fn own(&self) -> usize {
        usize::from(self.ring.own_operation().is_some())
    }
}

impl Drop for Bench {
    /// Ends what a test has left in flight: slots would rather leak than free it.
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        self.ring.kernel.errors.clear();
        let own = self.ring.own_operation();
        for key in self.slots.keys() {
            if own != Some(key)
                && !matches!(self.lifecycle(key), Some(Lifecycle::Orphan | Lifecycle::OrphanNotifying))
            {
                self.abandon(key);
            }
        }
        for key in self.slots.keys() {
            self.complete(key, -libc::ECANCELED, 0);
        }
        self.poll_kernel();
        assert_eq!(self.slots.live(), 0);
    }
}

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

/// The kernel does a certain amount of work for who wants less, and says afterwards that there is more.
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
fn multishot_hands_over_items_until_the_last() {
    let mut bench = Bench::new(8);
    let key = bench.submit::<MULTISHOT>();
    bench.poll_kernel();
    bench.complete(key, 1, F_MORE);
    bench.complete(key, 2, F_MORE);
    bench.poll_kernel();
    assert_eq!(bench.log.take(), ["item 1", "item 2"]);
    bench.abandon(key);
    bench.complete(key, 3, F_MORE); // what comes before the cancel takes effect is kept as well
    bench.complete(key, -libc::ECANCELED, 0);
    bench.poll_kernel();
    let cancelled = -libc::ECANCELED;
    assert_eq!(
        bench.log.take(),
        ["item 3".to_owned(), format!("item {cancelled}"), format!("abandoned with {cancelled}")]
    );
}

#[test]
fn what_the_last_completion_brings_is_accounted_for_in_its_turn() {
    let mut bench = Bench::new(8);
    let (first, second) = (bench.submit::<MULTISHOT>(), bench.submit::<MULTISHOT>());
    bench.poll_kernel();
    bench.complete(first, 1, 0); // the last of one, with bytes, in front of another's
    bench.complete(second, 2, F_MORE);
    bench.poll_kernel();
    assert_eq!(bench.log.take(), ["item 1", "item 2", "abandoned with 1"]);
}

#[test]
fn multishot_is_taken_apart_when_it_ends_by_itself() {
    let mut bench = Bench::new(8);
    for last in [7, 0, -libc::ENOBUFS] {
        let key = bench.submit::<MULTISHOT>();
        bench.poll_kernel();
        bench.complete(key, last, 0);
        bench.poll_kernel();
        assert_eq!(bench.log.take(), [format!("item {last}"), format!("abandoned with {last}")]);
        assert_eq!((bench.slots.live(), bench.slots.multishot()), (1, 0), "the ring's own is left");
    }
}

#[test]
fn multishot_that_has_brought_enough_is_to_end() {
    let mut bench = Bench::new(8);
    let key = bench.submit::<MULTISHOT>();
    bench.poll_kernel();
    bench.complete(key, 1, F_MORE);
    bench.complete(key, STOP, F_MORE);
    bench.poll_kernel();
    assert_eq!(bench.deferred.stop, [key]);
    assert_eq!(bench.slots.multishot(), 1);
}

#[test]
fn zero_copy_keeps_its_buffer_until_the_notification() {
    let mut bench = Bench::new(8);
    let key = bench.submit::<ZERO_COPY>();
    bench.poll_kernel();
    bench.complete(key, 512, F_MORE);
    bench.poll_kernel();
    assert_eq!(bench.take::<ZERO_COPY>(key), None, "the kernel still has the buffer");
    bench.complete(key, 0, F_NOTIF);
    bench.poll_kernel();
    assert_eq!(bench.take::<ZERO_COPY>(key), Some(512));

    let dropped = bench.submit::<ZERO_COPY>();
    bench.poll_kernel();
    bench.complete(dropped, 256, F_MORE);
    bench.poll_kernel();
    bench.abandon(dropped);
    bench.poll_kernel();
    assert_eq!(bench.log.take(), [""; 0]);
    bench.complete(dropped, 0, F_NOTIF);
    bench.poll_kernel();
    assert_eq!(bench.log.take(), ["abandoned with 256"]);

    let failed = bench.submit::<ZERO_COPY>();
    bench.poll_kernel();
    bench.complete(failed, -libc::EPIPE, 0); // an error without a notification
    bench.poll_kernel();
    assert_eq!(bench.take::<ZERO_COPY>(failed), Some(-libc::EPIPE));
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

/// The ring over the real kernel.
struct Real {
    ring: Ring<Uring>,
    shared: Arc<Shared>,
    slots: Slots,
    stats: Stats,
    deferred: Deferred,
}

impl Real {
    /// `None`, with the reason printed, where the kernel refuses it.
    fn new(masked: FeatureSet) -> Option<Self> {
        let opened = Uring::open(RingConfig { entries: 64, masked, ..RingConfig::default() });
        let required = std::env::var_os("PROACTOR_REQUIRE_URING").is_some_and(|value| value == "1");
        if let (Err(refused), false) = (&opened, required) {
            eprintln!("not tested: {refused}");
            return None;
        }
        let (uring, granted) = opened.unwrap();
        assert!(granted.features.iter().all(|feature| !masked.has(feature)));
        let shared = Shared::new().unwrap();
        let ring = Ring::new(uring, shared.clone(), true);
        Some(Real {
            ring,
            shared,
            slots: Slots::new(),
            stats: Stats::default(),
            deferred: Deferred::default(),
        })
    }

    fn poll_kernel(&mut self, mode: PollMode) {
        self.ring.poll_kernel(mode, &self.slots, &self.stats, &mut self.deferred).unwrap();
    }
}

impl Drop for Real {
    fn drop(&mut self) {
        self.ring.disarm_wake(&self.slots, &self.stats, &mut self.deferred);
    }
}

#[test]
#[cfg_attr(miri, ignore = "the real io_uring")]
fn t50_bad_entries_in_a_batch_strand_nothing() {
    for masked in [FeatureSet::default(), FeatureSet::default().with(Feature::SubmitAll)] {
        let Some(mut real) = Real::new(masked) else { return };
        // Bad ones first, last, alone and in a row: a flag that the operation does not know, and credentials
        // that nobody has registered.
        let entries = (0..30).map(|number| {
            let good = io_uring::opcode::Nop::new().build();
            match number % 7 {
                0 | 3 => (good.flags(io_uring::squeue::Flags::BUFFER_SELECT), -libc::EOPNOTSUPP),
                1 | 5 => (good.personality(999), -libc::EINVAL),
                _ => (good, 0),
            }
        });
        let (log, mut keys) = (Log::default(), Vec::new());
        for (entry, result) in entries {
            let inserted = real.slots.insert(Probe::<SINGLE>(log.clone(), [1; 40]), None, None);
            real.ring.submit(inserted, entry, &real.stats);
            keys.push((inserted.key(), result));
        }
        real.poll_kernel(PollMode::NoWait);
        for (key, result) in keys {
            // SAFETY: inserted with this type.
            let taken = real.slots.find(key).and_then(|done| unsafe { done.take::<Probe<SINGLE>>() });
            let answer = taken.map(|(op, completion, _)| op.complete(completion));
            assert_eq!(answer, Some(result), "one visit has handed over everything ({masked:?})");
        }
    }
}

#[test]
#[cfg_attr(miri, ignore = "the real io_uring")]
fn t40_a_wake_arrives_after_the_read_of_it_was_cancelled() {
    let Some(mut real) = Real::new(FeatureSet::default()) else { return };
    for _ in 0..20 {
        real.poll_kernel(PollMode::NoWait);
        let ended = real.ring.own_operation().unwrap();
        let cancel = io_uring::opcode::AsyncCancel::new(ended.pack()).build().user_data(CANCEL);
        // SAFETY: a cancel points to nothing.
        assert!(unsafe { real.ring.kernel.push(&cancel) });
        while real.ring.own_operation() == Some(ended) {
            real.poll_kernel(PollMode::NoWait);
        }
        assert!(real.shared.park(true));
        let shared = real.shared.clone();
        let waking = std::thread::spawn(move || shared.post(|_| ()).is_ok());
        // The time is there to end a wait that nobody ends.
        let before = real.stats.completions.get();
        while real.stats.completions.get() == before {
            let began = std::time::Instant::now();
            real.poll_kernel(PollMode::Wait(Deadline::After(Duration::from_secs(20))));
            assert!(began.elapsed() < Duration::from_secs(20), "the wake did not arrive");
        }
        real.shared.awake();
        assert!(waking.join().unwrap());
        real.shared.deliver();
    }
}
