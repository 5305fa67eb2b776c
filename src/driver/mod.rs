//! The driver: operations in flight, on a ring or with a poller.
//!
//! This file is the only place that matches on the engine, which is one of the two. Code above submits an [`Op`] through
//! [`submission::Submission`] and gets its output.
//!
//! | file | what it holds |
//! |---|---|
//! | `dispatch.rs` | start, poll, cancel and drop of an operation: on the ring, by a call, on the pool |
//! | `submission.rs` | the future of an operation |
//! | `transfer.rs` | the future of a transfer in several steps: read_exact, write_all |
//! | `multishot.rs` | start and stop of multishot operations |
//! | `slots/` | the slots of operations, and an operation's lifecycle as a pure state machine |
//! | `proactor/` | the ring, over any `Kernel`: see there |
//! | `poller.rs` | the selector; the only file that waits with epoll |
//! | `memory/` | memory for chunks (`buffers.rs`); the ring's tables of descriptors and buffers (`table.rs`, `fixed.rs`) |
//! | `edges.rs` | descriptors for which the ring cannot wait: an epoll set beside it |
//! | `descriptor_limit.rs` | waiting for a descriptor to become free |
//! | `release.rs` | drops outside the loop, after which the descriptor closes at once |
//! | `poll_mode.rs` | the ways to poll the kernel, and the deferred work |
//! | `feature.rs`, `stats.rs` | features and counters, for reports |
//!
//! No user code (wakers, destructors, `complete`) runs while the engine is borrowed. The engines leave it in [`Deferred`],
//! and [`Driver::run_deferred`] runs it afterwards.

pub(crate) mod poll_mode;
#[macro_use]
pub(crate) mod transfer;
pub(crate) mod descriptor_limit;
mod dispatch;
mod edges;
pub(crate) mod feature;
pub(crate) mod memory;
mod multishot;
pub(crate) mod poller;
pub(crate) mod proactor;
mod release;
pub(crate) mod slots;
pub(crate) mod stats;
pub(crate) mod submission;

use poll_mode::{BackendInfo, Deferred, PollMode};
#[cfg(test)]
mod tests;

use std::cell::{Cell, OnceCell, RefCell, RefMut};
use std::fmt;
use std::io;
use std::num::NonZeroU64;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::rc::{Rc, Weak};
use std::sync::Arc;

use super::op::completion::Direction;
use super::op::fd::descriptor::{Descriptor, Opened, ZeroCopy};
use super::op::fd::host::{FixedFileSlot, Host};
use super::op::object::source::{Buffers, MultishotKind};
use super::op::{Op, Readiness};
use super::sys::context::{self, Entered};
use super::sys::fork::Origin;
use super::sys::guarded::Guarded;
use super::task::cell::layout::TaskRef;
use super::task::scheduler::Scheduler;
use super::task::threads::inbox::Shared;
pub(crate) use edges::attach_shared;
pub(crate) use memory::buffers::{MAX_BUFFERS, Resources};
pub(crate) use release::{flush_for, release_endpoint};

use crate::driver::slots::key::Key;
use descriptor_limit::DescriptorLimit;
use edges::Edges;
use feature::{Feature, FeatureSet};
use memory::buffers::Memory;
use memory::fixed::REGISTERED_BUFFERS;
use memory::table::Table;
use poller::Poller;
use proactor::foreign_fd::ForeignFd;
use proactor::kernel::{RingConfig, Uring};
use proactor::open::{Granted, Opcodes};
use proactor::ring::Ring;
use slots::arena::{SlotRef, Slots};
use slots::lifecycle::Lifecycle;
use stats::Stats;

thread_local! {
    static CURRENT: context::Context<Driver> = const { context::Context::new() };
}

pub(crate) enum Engine {
    Ring(Box<Ring<Uring>>, Granted),
    Poller(Poller),
    /// The runtime has ended, or this process is a fork.
    Closed,
}

impl Engine {
    /// Opens a ring. Returns the kernel's refusal as an error.
    pub(crate) fn ring(config: RingConfig, shared: &Arc<Shared>) -> io::Result<Self> {
        let (uring, granted) = Uring::open(config)?;
        let skip_success = granted.features.has(Feature::CqeSkip);
        Ok(Engine::Ring(Box::new(Ring::new(uring, shared.clone(), skip_success)), granted))
    }

    pub(crate) fn poller(masked: FeatureSet, shared: &Arc<Shared>) -> io::Result<Self> {
        Poller::new(shared.clone(), masked).map(Engine::Poller)
    }
}

pub(crate) struct Driver {
    engine: RefCell<Engine>,
    /// Opcodes that the ring knows. Empty on the selector, and when the engine is closed.
    native: Cell<Opcodes>,
    slots: Slots,
    deferred: RefCell<Deferred>,
    /// Whether a drop outside the loop is polling the kernel: see `release.rs`.
    releasing: Cell<bool>,
    /// The epoll set of a proactor for descriptors for which the ring cannot wait.
    edges: Edges,
    /// The proactor's descriptor for a foreign loop, made at the first request.
    foreign: OnceCell<ForeignFd>,
    descriptor_limit: DescriptorLimit,
    /// Memory for the chunks of streams. The memory for datagrams is made at the first use.
    streams: Rc<Memory>,
    datagrams: OnceCell<Rc<Memory>>,
    resources: Resources,
    descriptors: Table,
    registered: Table,
    /// The features that the kernel granted.
    features: FeatureSet,
    scheduler: Rc<Scheduler>,
    origin: Origin,
    me: Weak<Driver>,
    pub(crate) stats: Stats,
}

/// The mechanism that carries out an operation.
enum Route {
    /// The ring.
    Ring,
    /// System calls, made at once, when the descriptor is ready, or on the pool.
    Calls,
    /// No mechanism: the runtime has ended, or this process is a fork.
    None,
}

impl Driver {
    pub(crate) fn new(mut engine: Engine, scheduler: Rc<Scheduler>, resources: Resources) -> Rc<Self> {
        let (native, features, ring) = match &mut engine {
            Engine::Ring(_, granted) => (granted.opcodes, granted.features, granted.buffers.take()),
            Engine::Poller(poller) => (Opcodes::default(), poller.features, None),
            Engine::Closed => Default::default(),
        };
        let (size, max) = (resources.stream_buffer_size as usize, resources.stream_buffers as usize);
        let bundles = features.has(Feature::RecvBundle);
        let streams = Rc::new(Memory::new(size, max, true, ring).with_bundles(bundles));
        let driver = Rc::new_cyclic(move |me| Driver {
            engine: RefCell::new(engine),
            native: Cell::new(native),
            slots: Slots::new(),
            deferred: RefCell::default(),
            releasing: Cell::new(false),
            edges: Edges::default(),
            foreign: OnceCell::new(),
            descriptor_limit: DescriptorLimit::default(),
            streams,
            datagrams: OnceCell::new(),
            descriptors: Table::new(resources.direct_descriptors),
            registered: Table::new(REGISTERED_BUFFERS),
            resources,
            features,
            origin: scheduler.shared().origin,
            scheduler,
            me: me.clone(),
            stats: Stats::default(),
        });
        driver.register_tables();
        driver
    }

    pub(crate) fn enter(self: Rc<Self>) -> Entered<Driver> {
        context::enter(&CURRENT, self)
    }

    /// Wraps a descriptor for this runtime.
    pub(crate) fn attach(&self, fd: impl Into<Opened>) -> Descriptor {
        let zero_copy = self.features.has(Feature::SendZeroCopy);
        let zero_copy = if zero_copy { self.resources.zero_copy } else { ZeroCopy::NEVER };
        Descriptor::new(fd.into(), self.me.clone(), zero_copy)
    }

    /// Borrows the engine. It is closed first in a fork of the process: see [`Origin`].
    #[inline]
    fn engine(&self) -> RefMut<'_, Engine> {
        let mut engine = self.engine.borrow_mut();
        if !self.origin.is_here() {
            self.disown(&mut engine);
        }
        engine
    }

    #[cold]
    fn disown(&self, engine: &mut Engine) {
        self.native.set(Opcodes::default());
        self.edges.close();
        if let Engine::Ring(ring, _) = std::mem::replace(engine, Engine::Closed) {
            ring.disown(); // the selector's own copy of the epoll set has just been closed
        }
    }

    /// Returns an error in a fork of the process in which the runtime was made.
    pub(crate) fn check_origin(&self) -> io::Result<()> {
        if self.origin.is_here() {
            return Ok(());
        }
        Err(io::Error::other(
            "the runtime was made before fork(2), and its ring or epoll set belongs to the parent process: \
             make runtimes in the child, or have the child call execve(2)",
        ))
    }

    /// Returns the mechanism that carries out operations with this opcode.
    #[inline]
    fn route(&self, opcode: u8) -> Route {
        if self.native.get().has(opcode) {
            return Route::Ring;
        }
        match &*self.engine() {
            Engine::Ring(..) | Engine::Poller(_) => Route::Calls,
            Engine::Closed => Route::None,
        }
    }

    /// Returns true if the ring carries out this operation.
    pub(crate) fn carries_out<O: Op>(&self) -> bool {
        self.native.get().has(O::OPCODE)
    }

    /// Calls `f` with the ring. Returns `None` if there is no ring.
    #[inline]
    fn with_ring<T>(&self, f: impl FnOnce(&mut Ring<Uring>) -> T) -> Option<T> {
        match &mut *self.engine() {
            Engine::Ring(ring, _) => Some(f(ring)),
            Engine::Poller(_) | Engine::Closed => None,
        }
    }

    /// Calls `f` with the poller, the descriptor and the direction. There is a poller on the selector, and for descriptors for
    /// which the ring cannot wait.
    fn with_poller<O: Op, T>(
        &self,
        op: &O,
        f: impl FnOnce(&mut Poller, &Descriptor, Direction) -> T,
    ) -> Option<T> {
        let Readiness::When(descriptor, direction) = op.readiness() else { return None };
        match &mut *self.engine() {
            Engine::Poller(poller) => Some(f(poller, descriptor, direction)),
            Engine::Ring(..) if descriptor.needs_edges() => {
                self.edges.with(|poller| f(poller, descriptor, direction))
            }
            Engine::Ring(..) | Engine::Closed => None,
        }
    }

    /// Polls the kernel once, and runs the deferred work.
    pub(crate) fn poll_kernel(&self, mode: PollMode) -> io::Result<()> {
        let visited = self.poll_engine(mode);
        self.run_deferred();
        visited
    }

    /// Polls the kernel once. Wakers and destructors are left in `deferred`.
    fn poll_engine(&self, mode: PollMode) -> io::Result<()> {
        self.check_origin()?;
        self.streams.refill_if_needed();
        if let Some(datagrams) = self.datagrams.get() {
            datagrams.refill_if_needed();
        }
        let visited = {
            let mut deferred = self.deferred.borrow_mut();
            // Work that a drop outside the loop has deferred must not wait.
            let mode = if deferred.is_empty() { mode } else { mode.without_waiting() };
            match &mut *self.engine() {
                Engine::Ring(ring, _) => ring.poll_kernel(mode, &self.slots, &self.stats, &mut deferred),
                Engine::Poller(poller) => poller.poll_kernel(mode, &self.slots, &self.stats, &mut deferred),
                Engine::Closed => Ok(()),
            }
        };
        self.reclaim_file_slots();
        visited.and_then(|()| self.take_edges())
    }

    /// Submits queued entries and takes the completions that follow at once. So the descriptors of cancelled operations close
    /// although the loop may not turn soon.
    pub(crate) fn flush(&self) {
        for _ in 0..4 {
            if !self.is_behind() || self.poll_kernel(PollMode::Drain).is_err() {
                return;
            }
        }
    }

    /// Returns true if a wait can have a deadline ([`Deadline::At`]) instead of a timeout.
    pub(crate) fn takes_deadlines(&self) -> bool {
        self.features.has(Feature::AbsoluteTimer)
    }

    /// Returns true if polling the kernel may bring completions at once. The kernel's flag may stay up longer than that.
    pub(crate) fn has_work(&self) -> bool {
        match &mut *self.engine() {
            Engine::Ring(ring, _) => ring.has_work(),
            Engine::Poller(_) | Engine::Closed => false,
        }
    }

    /// Returns true if entries wait to be submitted, or completions have overflowed in the kernel.
    pub(crate) fn is_behind(&self) -> bool {
        match &mut *self.engine() {
            Engine::Ring(ring, _) => ring.is_behind(),
            Engine::Poller(_) | Engine::Closed => false,
        }
    }

    /// Returns true if operations of futures wait to be submitted, or deferred work waits to run.
    pub(crate) fn has_queued(&self) -> bool {
        let queued = match &mut *self.engine() {
            Engine::Ring(ring, _) => ring.has_queued(),
            Engine::Poller(_) | Engine::Closed => false,
        };
        queued || self.has_deferred()
    }

    /// Returns true if deferred work waits to run.
    fn has_deferred(&self) -> bool {
        !self.deferred.borrow().is_empty()
    }

    /// Runs the deferred user code: wakers, and destructors of abandoned operations. A panic in one does not keep the others
    /// from running; it continues after all have run.
    fn run_deferred(&self) {
        let mut guarded = Guarded::default();
        while !self.deferred.borrow().is_empty() {
            // This code may defer more work.
            let Deferred { mut wake, mut release, mut reclaim, mut stop } = self.deferred.take();
            stop.drain(..).for_each(|key| guarded.run(|| self.stop_operation(key)));
            wake.drain(..).for_each(|waiter| guarded.run(|| waiter.wake()));
            release
                .drain(..)
                .for_each(|key| guarded.run(|| self.slots.find(key).map_or((), SlotRef::release)));
            reclaim
                .drain(..)
                .for_each(|key| guarded.run(|| self.slots.find(key).map_or((), SlotRef::reclaim)));
            let mut deferred = self.deferred.borrow_mut();
            if deferred.is_empty() {
                *deferred = Deferred { wake, release, reclaim, stop }; // keeps their memory
            }
        }
        guarded.finish();
    }

    /// Returns the key of the driver's own operation, if one is in flight.
    fn own(&self) -> Option<Key> {
        match &*self.engine() {
            Engine::Ring(ring, _) => ring.own_operation(),
            Engine::Poller(_) | Engine::Closed => None,
        }
    }

    /// Counts the operations of futures in slots, those of dropped futures included.
    pub(crate) fn live_operations(&self) -> usize {
        self.slots.live() - self.slots.multishot() - usize::from(self.own().is_some())
    }

    /// Counts the multishot operations of endpoints.
    pub(crate) fn multishot_operations(&self) -> usize {
        self.slots.multishot() - usize::from(self.edges.is_polled())
    }

    /// Counts the operations that have started since the runtime was made, the driver's own included.
    pub(crate) fn begun(&self) -> u64 {
        self.slots.inserted()
    }

    /// Cancels every operation in flight. Operations that end at once wake their waiters, which may run user code.
    pub(crate) fn cancel_all(&self) {
        let own = self.own();
        let mut guarded = Guarded::default();
        for key in self.slots.keys().into_iter().filter(|key| own != Some(*key)) {
            let lifecycle = self.slots.find(key).map(SlotRef::lifecycle);
            if matches!(lifecycle, Some(Lifecycle::Queued | Lifecycle::InFlight)) {
                guarded.run(|| match self.slots.find(key) {
                    Some(operation) if operation.is_multishot() => self.abandon(key),
                    _ => self.cancel(key),
                });
            }
        }
        guarded.finish();
    }

    /// Counts the operations into which the kernel or the pool has pointers, without the driver's own.
    pub(crate) fn in_flight(&self) -> usize {
        self.count(Lifecycle::is_in_flight)
    }

    /// Counts the operations in flight whose result has come. The kernel only reads their buffers, until a peer has taken the
    /// bytes.
    pub(crate) fn notifying(&self) -> usize {
        self.count(Lifecycle::is_notifying)
    }

    fn count(&self, is_counted: impl Fn(Lifecycle) -> bool) -> usize {
        let own = self.own();
        let keys = self.slots.keys().into_iter().filter(|key| own != Some(*key));
        keys.filter_map(|key| self.slots.find(key))
            .filter(|operation| is_counted(operation.lifecycle()))
            .count()
    }

    /// Counts the operations in flight, without calls on the pool that need not be awaited: see [`Op::MAY_BE_LEFT`].
    pub(crate) fn awaited(&self) -> usize {
        let keys = self.slots.keys().into_iter();
        let left = keys.filter_map(|key| self.slots.find(key)).filter(|operation| operation.is_left());
        self.in_flight() - left.count()
    }

    /// Closes the engine. Operations that are still in flight stay in their slots for good.
    pub(crate) fn close(&self) {
        if let Engine::Ring(ring, _) = &mut *self.engine() {
            ring.disarm_wake(&self.slots, &self.stats, &mut self.deferred.borrow_mut());
        }
        self.run_deferred();
        self.release_notifying();
        self.native.set(Opcodes::default());
        let engine = std::mem::replace(&mut *self.engine(), Engine::Closed);
        drop(engine);
        self.edges.close();
        // An operation in flight may yet take a buffer, unless it is notifying: then the kernel keeps all buffers.
        if self.awaited() == self.notifying() {
            self.streams.withdraw();
            self.datagrams.get().iter().for_each(|memory| memory.withdraw());
        }
    }

    /// Detaches leaked operations from their tasks, as the last step of a shutdown. A leaked operation keeps its memory and
    /// its descriptor; its task would keep the loop's inbox and event descriptor as well.
    pub(crate) fn disown_leaked(&self) {
        let mut guarded = Guarded::default();
        for key in self.slots.keys() {
            guarded.run(|| drop(self.slots.find(key).map(SlotRef::disown)));
        }
        guarded.finish();
    }

    /// Describes the backend for reports.
    pub(crate) fn backend_info(&self) -> BackendInfo {
        match &*self.engine() {
            Engine::Ring(ring, granted) => {
                let mut info = BackendInfo {
                    features: granted.features,
                    refused: granted.refused.clone(),
                    ring_entries: ring.kernel.entries(),
                    setup_flags: granted.setup_flags(),
                };
                self.say_refused(&mut info);
                info
            }
            Engine::Poller(poller) => BackendInfo { features: poller.features, ..BackendInfo::default() },
            Engine::Closed => BackendInfo::default(),
        }
    }

    /// Notes that the foreign loop has turned: later work makes its descriptor readable again.
    pub(crate) fn acknowledge(&self) {
        if let Some(foreign) = self.foreign.get() {
            foreign.acknowledge();
        }
    }

    /// Returns the descriptor that a foreign loop polls. It is readable when a turn would do something.
    ///
    /// # Panics
    /// If there is no free descriptor to make it.
    pub(crate) fn foreign_fd(&self) -> RawFd {
        match &mut *self.engine() {
            Engine::Ring(ring, _) => {
                let foreign = self.foreign.get_or_init(|| {
                    ForeignFd::new(&mut ring.kernel, self.scheduler.shared()).unwrap_or_else(|error| {
                        panic!("no descriptor could be made for the foreign loop: {error}")
                    })
                });
                foreign.as_fd().as_raw_fd()
            }
            Engine::Poller(poller) => poller.as_fd().as_raw_fd(),
            Engine::Closed => match self.check_origin() {
                Err(error) => panic!("{error}"),
                Ok(()) => unreachable!("a runtime that can be borrowed is open"),
            },
        }
    }
}

impl Host for Driver {
    fn deregister(&self, token: u64, fd: RawFd) {
        match &mut *self.engine() {
            Engine::Poller(poller) => poller.deregister(token, fd, &self.stats),
            Engine::Ring(..) => self.deregister_edges(token, fd),
            Engine::Closed => {}
        }
    }

    fn descriptor_closed(&self) {
        self.descriptor_limit.descriptor_freed();
    }

    fn is_here(&self) -> bool {
        self.origin.is_here()
    }

    fn reserve_file_slot(&self) -> io::Result<Option<FixedFileSlot>> {
        Driver::reserve_file_slot(self)
    }

    fn free_file_slot(&self, index: u32, filled: bool) {
        self.give_back_file_slot(index, filled);
    }

    fn stop_multishot(&self, token: NonZeroU64) {
        self.stop_operation(Key::unpack(token.get()));
    }

    fn buffers(&self, what: MultishotKind) -> Rc<dyn Buffers> {
        if what == MultishotKind::Datagrams { self.datagrams().clone() } else { self.streams.clone() }
    }
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver").field("operations", &self.slots.live()).finish_non_exhaustive()
    }
}

/// Calls `f` with the driver of the loop that runs on this thread.
pub(crate) fn with<T>(f: impl FnOnce(Option<&Driver>) -> T) -> T {
    context::with(&CURRENT, f)
}

/// Returns the driver of the loop that runs on this thread.
pub(crate) fn current() -> Option<Rc<Driver>> {
    context::get(&CURRENT)
}

/// Returns the names of the operations that a task of this thread's loop has in flight.
pub(crate) fn operations_of(task: &TaskRef) -> Vec<&'static str> {
    current().map_or_else(Vec::new, |driver| driver.slots.names_of(task))
}

/// Wraps a descriptor for the runtime of this thread.
///
/// # Panics
/// Outside a runtime; `what` names the method in the message.
#[track_caller]
pub(crate) fn attach(fd: impl Into<Opened>, what: &str) -> Descriptor {
    let mut fd = Some(fd.into());
    let descriptor = with(|driver| driver.map(|driver| driver.attach(fd.take().expect("taken once"))));
    crate::sys::context::expect_runtime(descriptor, what)
}

/// Notes that a descriptor has been closed by other means than the drop of its owner.
pub(crate) fn descriptor_closed() {
    with(|driver| driver.map(Host::descriptor_closed));
}

/// Checks that a loop can wait for the descriptor. Returns `EPERM` for a file that is always ready, on which a poll of the
/// ring would end at once again and again.
pub(crate) fn check_waitable(fd: BorrowedFd<'_>) -> io::Result<()> {
    poller::set_of([fd]).map(drop)
}

/// Borrows the descriptor that a foreign loop polls.
pub(crate) fn borrow_fd(driver: &Driver) -> BorrowedFd<'_> {
    // SAFETY: the driver owns the descriptor and closes it only when the runtime is closed, which the borrow
    // of the driver by way of the runtime excludes.
    unsafe { BorrowedFd::borrow_raw(driver.foreign_fd()) }
}
