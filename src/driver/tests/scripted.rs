//! A ring over a scripted kernel, with operations that note their end.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;

use crate::driver::poll_mode::{Deadline, Deferred, PollMode};
use crate::driver::proactor::kernel::{Kernel, Reaped};
use crate::driver::proactor::ring::Ring;
use crate::driver::slots::arena::Slots;
use crate::driver::slots::key::Key;
use crate::driver::slots::lifecycle::{Action, Event, Lifecycle};
use crate::driver::slots::slot_ref::SlotRef;
use crate::driver::stats::Stats;
use crate::op::completion::Completion;
use crate::op::{Entry, Kind, MultishotStep, Op, Readiness};
use crate::sys::call::Call;
use crate::task::threads::inbox::Shared;

pub(super) const F_MORE: u32 = 1 << 1;
pub(super) const F_NOTIF: u32 = 1 << 3;
pub(super) const CANCEL: u64 = 1 << 63;

/// Does what the test says, and notes what it was asked.
#[derive(Default)]
pub(super) struct Scripted {
    pub(super) room: usize,
    pub(super) queued: Vec<u64>,
    pub(super) submitted: Vec<u64>,
    pub(super) arrived: Vec<Reaped>,
    pub(super) overflowed: Vec<Reaped>,
    /// Errors that the next enters answer with, before submitting anything.
    pub(super) errors: Vec<i32>,
    pub(super) waits: usize,
    /// There is work that waits for an enter, or the flag for it stays up.
    pub(super) flagged: bool,
    /// The arguments of the last enter.
    pub(super) asked: Option<(u32, Deadline)>,
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
pub(super) struct Log(pub(super) Rc<RefCell<Vec<String>>>);

impl Log {
    pub(super) fn note(&self, what: impl Into<String>) {
        self.0.borrow_mut().push(what.into());
    }

    pub(super) fn take(&self) -> Vec<String> {
        self.0.take()
    }
}

pub(super) struct Probe<const KIND: u8>(pub(super) Log, pub(super) [u8; 40]);

impl<const KIND: u8> Drop for Probe<KIND> {
    fn drop(&mut self) {
        assert!(self.1.iter().all(|byte| *byte == self.1[0]), "somebody wrote into the operation");
    }
}

/// The item after which a multishot operation is to end.
pub(super) const STOP: i32 = 99;

pub(super) const SINGLE: u8 = 0;
pub(super) const MULTISHOT: u8 = 1;
pub(super) const ZERO_COPY: u8 = 2;

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

pub(super) struct Bench {
    pub(super) ring: Ring<Scripted>,
    pub(super) slots: Slots,
    pub(super) stats: Stats,
    pub(super) deferred: Deferred,
    pub(super) log: Log,
    pub(super) next: Cell<u8>,
}

impl Bench {
    pub(super) fn new(room: usize) -> Self {
        let kernel = Scripted { room, ..Scripted::default() };
        let mut ring = Ring::new(kernel, Shared::new().unwrap(), true);
        let (slots, stats, mut deferred) = (Slots::new(), Stats::default(), Deferred::default());
        // Its own operation first, so that it does not stand among those of the test.
        ring.poll_kernel(PollMode::NoWait, &slots, &stats, &mut deferred).unwrap();
        ring.kernel.submitted.clear();
        Bench { ring, slots, stats, deferred, log: Log::default(), next: Cell::new(0) }
    }

    pub(super) fn submit<const KIND: u8>(&mut self) -> Key {
        self.next.set(self.next.get().wrapping_add(1));
        let op = Probe::<KIND>(self.log.clone(), [self.next.get(); 40]);
        let inserted = self.slots.insert(op, None, None);
        self.ring.submit(inserted, io_uring::opcode::Nop::new().build(), &self.stats);
        inserted.key()
    }

    pub(super) fn complete(&mut self, key: Key, result: i32, flags: u32) {
        self.ring
            .kernel
            .arrived
            .push(Reaped { user_data: key.pack(), completion: Completion { result, flags } });
    }

    pub(super) fn poll_kernel(&mut self) {
        self.ring.poll_kernel(PollMode::NoWait, &self.slots, &self.stats, &mut self.deferred).unwrap();
        for key in std::mem::take(&mut self.deferred.reclaim) {
            self.slots.find(key).unwrap().reclaim();
        }
    }

    pub(super) fn drain(&mut self) {
        self.ring.poll_kernel(PollMode::Drain, &self.slots, &self.stats, &mut self.deferred).unwrap();
    }

    pub(super) fn lifecycle(&self, key: Key) -> Option<Lifecycle> {
        self.slots.find(key).map(SlotRef::lifecycle)
    }

    /// Drops the operation's future, as the driver does.
    pub(super) fn abandon(&mut self, key: Key) {
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

    pub(super) fn take<const KIND: u8>(&mut self, key: Key) -> Option<i32> {
        // SAFETY: the tests name the kind with which they submitted.
        let taken = unsafe { self.slots.find(key)?.take::<Probe<KIND>>() };
        taken.map(|(op, completion, _)| op.complete(completion))
    }

    pub(super) fn own(&self) -> usize {
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
