//! The driver: operations in flight, on whichever machine there is.
//!
//! This file is the only place that matches on the backend. Everything above submits an [`Op`] through
//! [`submission::Submission`] and gets its output; everything below is one of two machines.
//!
//! | file | what it holds |
//! |---|---|
//! | `dispatch.rs` | how an operation begins, goes on and is given up: on the ring, by a call, on the pool |
//! | `submission.rs` | the future of an operation |
//! | `transfer.rs` | the future of several: read_exact, write_all |
//! | `multishot.rs` | how an endpoint's own operation begins and ends |
//! | `slots/` | where operations lie (`arena.rs`, `key.rs`), and their life as a pure state machine (`lifecycle.rs`) |
//! | `proactor/` | the ring, over any `Kernel`: see there |
//! | `poller.rs` | the selector; the only file that waits with epoll |
//! | `memory/` | memory for chunks (`buffers.rs`); the ring's tables of descriptors and buffers (`table.rs`, `fixed.rs`) |
//! | `edges.rs` | descriptors for which the ring cannot wait: an epoll set beside it |
//! | `descriptor_limit.rs` | waiting for a descriptor to become free |
//! | `release.rs` | what a drop does so that a descriptor closes at once |
//! | `visit.rs` | one visit to the kernel: whether it waits, and what it leaves to be done |
//! | `feature.rs`, `stats.rs` | what a report says |
//!
//! No code of the user (wakers, destructors, `complete`) runs while the backend is borrowed: machines leave
//! that in [`Deferred`], and [`Driver::settle`] does it afterwards.

pub(crate) mod visit;
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

use crate::driver::visit::{Deferred, Machinery, Park};
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
use super::op::object::fd::{Descriptor, FixedFileSlot, Host, Opened, ZeroCopy};
use super::op::object::source::{Buffers, MultishotKind};
use super::op::{Op, Wait};
use super::sys::context::{self, Entered};
use super::sys::fork::Origin;
use super::sys::guarded::Guarded;
use super::task::cell::layout::TaskRef;
use super::task::scheduler::Scheduler;
use super::task::threads::inbox::Shared;
pub(crate) use edges::attach_shared;
pub(crate) use memory::buffers::{MAX_BUFFERS, Resources};
pub(crate) use release::{flush_for, let_go};

use crate::driver::slots::key::Key;
use descriptor_limit::Shortage;
use edges::Edges;
use feature::{Feature, FeatureSet};
use memory::buffers::Memory;
use memory::fixed::REGISTERED_BUFFERS;
use memory::table::Table;
use poller::Poller;
use proactor::kernel::{RingConfig, Uring};
use proactor::open::{Granted, Opcodes};
use proactor::readiness::Readiness;
use proactor::ring::Ring;
use slots::arena::{SlotRef, Slots};
use slots::lifecycle::Lifecycle;
use stats::Stats;

thread_local! {
    static CURRENT: context::Context<Driver> = const { context::Context::new() };
}

pub(crate) enum Backend {
    Ring(Box<Ring<Uring>>, Granted),
    Poller(Poller),
    /// The runtime has ended, or this process is a fork of its own.
    Closed,
}

impl Backend {
    /// A ring, or why there is none.
    pub(crate) fn ring(config: RingConfig, shared: &Arc<Shared>) -> io::Result<Self> {
        let (uring, granted) = Uring::open(config)?;
        let skip_success = granted.features.has(Feature::CqeSkip);
        Ok(Backend::Ring(Box::new(Ring::new(uring, shared.clone(), skip_success)), granted))
    }

    pub(crate) fn poller(masked: FeatureSet, shared: &Arc<Shared>) -> io::Result<Self> {
        Poller::new(shared.clone(), masked).map(Backend::Poller)
    }
}

pub(crate) struct Driver {
    backend: RefCell<Backend>,
    /// Opcodes that the ring knows; none on the selector, nor when the backend is closed.
    native: Cell<Opcodes>,
    slots: Slots,
    deferred: RefCell<Deferred>,
    /// A drop outside of the loop is at work: see `release.rs`.
    releasing: Cell<bool>,
    /// On the proactor, for descriptors for which the ring cannot wait.
    edges: Edges,
    /// For a foreign loop on the proactor, once it has asked.
    readiness: OnceCell<Readiness>,
    shortage: Shortage,
    /// Memory for the chunks of streams, and for datagrams, once there were any.
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
enum Machine {
    /// The ring.
    Ring,
    /// System calls: at once, when the descriptor is ready, or on the pool.
    Calls,
    /// Nothing any more: the runtime has ended, or this process is a fork of its own.
    None,
}

impl Driver {
    pub(crate) fn new(mut backend: Backend, scheduler: Rc<Scheduler>, resources: Resources) -> Rc<Self> {
        let (native, features, ring) = match &mut backend {
            Backend::Ring(_, granted) => (granted.opcodes, granted.features, granted.buffers.take()),
            Backend::Poller(poller) => (Opcodes::default(), poller.features, None),
            Backend::Closed => Default::default(),
        };
        let (size, max) = (resources.stream_buffer_size as usize, resources.stream_buffers as usize);
        let bundles = features.has(Feature::RecvBundle);
        let streams = Rc::new(Memory::new(size, max, true, ring).with_bundles(bundles));
        let driver = Rc::new_cyclic(move |me| Driver {
            backend: RefCell::new(backend),
            native: Cell::new(native),
            slots: Slots::new(),
            deferred: RefCell::default(),
            releasing: Cell::new(false),
            edges: Edges::default(),
            readiness: OnceCell::new(),
            shortage: Shortage::default(),
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

    /// Takes charge of a descriptor.
    pub(crate) fn attach(&self, fd: impl Into<Opened>) -> Descriptor {
        let zero_copy = self.features.has(Feature::SendZeroCopy);
        let zero_copy = if zero_copy { self.resources.zero_copy } else { ZeroCopy::NEVER };
        Descriptor::new(fd.into(), self.me.clone(), zero_copy)
    }

    /// The backend. In a fork of the process there is none: see [`Origin`].
    #[inline]
    fn backend(&self) -> RefMut<'_, Backend> {
        let mut backend = self.backend.borrow_mut();
        if !self.origin.is_here() {
            self.disown(&mut backend);
        }
        backend
    }

    #[cold]
    fn disown(&self, backend: &mut Backend) {
        self.native.set(Opcodes::default());
        self.edges.close();
        if let Backend::Ring(ring, _) = std::mem::replace(backend, Backend::Closed) {
            ring.disown(); // the selector's own copy of the epoll set has just been closed
        }
    }

    /// An error in a fork of the process in which the runtime was made.
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
    fn machine(&self, opcode: u8) -> Machine {
        if self.native.get().has(opcode) {
            return Machine::Ring;
        }
        match &*self.backend() {
            Backend::Ring(..) | Backend::Poller(_) => Machine::Calls,
            Backend::Closed => Machine::None,
        }
    }

    /// Whether the ring carries this operation out.
    pub(crate) fn carries_out<O: Op>(&self) -> bool {
        self.native.get().has(O::OPCODE)
    }

    /// Calls `f` with the ring. Returns `None` if there is no ring.
    #[inline]
    fn with_ring<T>(&self, f: impl FnOnce(&mut Ring<Uring>) -> T) -> Option<T> {
        match &mut *self.backend() {
            Backend::Ring(ring, _) => Some(f(ring)),
            Backend::Poller(_) | Backend::Closed => None,
        }
    }

    /// Calls `f` with the poller, the descriptor and the direction: on the selector, and where the ring cannot wait.
    fn with_poller<O: Op, T>(
        &self,
        op: &O,
        f: impl FnOnce(&mut Poller, &Descriptor, Direction) -> T,
    ) -> Option<T> {
        let Wait::Ready(descriptor, direction) = op.wait() else { return None };
        match &mut *self.backend() {
            Backend::Poller(poller) => Some(f(poller, descriptor, direction)),
            Backend::Ring(..) if descriptor.needs_edges() => {
                self.edges.with(|poller| f(poller, descriptor, direction))
            }
            Backend::Ring(..) | Backend::Closed => None,
        }
    }

    /// One visit to the kernel, and everything that follows from it.
    pub(crate) fn visit(&self, park: Park) -> io::Result<()> {
        let visited = self.visit_backend(park);
        self.settle();
        visited
    }

    /// One visit to the kernel. What follows from it is left in `deferred`.
    fn visit_backend(&self, park: Park) -> io::Result<()> {
        self.check_origin()?;
        self.streams.replenish();
        if let Some(datagrams) = self.datagrams.get() {
            datagrams.replenish();
        }
        let visited = {
            let mut deferred = self.deferred.borrow_mut();
            // What a drop outside of the loop has left is not slept over.
            let park = if deferred.is_empty() { park } else { park.without_waiting() };
            match &mut *self.backend() {
                Backend::Ring(ring, _) => ring.visit(park, &self.slots, &self.stats, &mut deferred),
                Backend::Poller(poller) => poller.visit(park, &self.slots, &self.stats, &mut deferred),
                Backend::Closed => Ok(()),
            }
        };
        self.settle_places();
        visited.and_then(|()| self.visit_edges())
    }

    /// Hands over what is queued, and takes what comes of it at once: the ends of cancelled operations, so
    /// that their descriptors close although the loop may not turn soon.
    pub(crate) fn flush(&self) {
        for _ in 0..4 {
            if !self.is_behind() || self.visit(Park::Drain).is_err() {
                return;
            }
        }
    }

    /// Whether a wait can end at a point in time instead of after a length of it.
    pub(crate) fn takes_deadlines(&self) -> bool {
        self.features.has(Feature::AbsoluteTimer)
    }

    /// Whether a visit may bring something at once. The kernel can say so for longer than it is true.
    pub(crate) fn has_work(&self) -> bool {
        match &mut *self.backend() {
            Backend::Ring(ring, _) => ring.has_work(),
            Backend::Poller(_) | Backend::Closed => false,
        }
    }

    /// Whether something waits to be handed to the kernel, or overflowed there.
    pub(crate) fn is_behind(&self) -> bool {
        match &mut *self.backend() {
            Backend::Ring(ring, _) => ring.is_behind(),
            Backend::Poller(_) | Backend::Closed => false,
        }
    }

    /// The same, of what was asked for since the last visit, or left by it.
    pub(crate) fn has_queued(&self) -> bool {
        let queued = match &mut *self.backend() {
            Backend::Ring(ring, _) => ring.has_queued(),
            Backend::Poller(_) | Backend::Closed => false,
        };
        queued || self.has_deferred()
    }

    /// Whether code of users waits for the next visit.
    fn has_deferred(&self) -> bool {
        !self.deferred.borrow().is_empty()
    }

    /// Runs the code of the user that visits have left: wakers, and destructors of what was abandoned. A
    /// panic in one does not keep the others from running; it goes on when all have.
    fn settle(&self) {
        let mut guarded = Guarded::default();
        while !self.deferred.borrow().is_empty() {
            // What runs here may leave more.
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

    /// The driver's own operation, if one is in flight.
    fn own(&self) -> Option<Key> {
        match &*self.backend() {
            Backend::Ring(ring, _) => ring.own_operation(),
            Backend::Poller(_) | Backend::Closed => None,
        }
    }

    /// Operations of futures that occupy a slot, those of dropped ones included.
    pub(crate) fn live_operations(&self) -> usize {
        self.slots.live() - self.slots.multishot() - usize::from(self.own().is_some())
    }

    /// Operations of endpoints: multishot receives and polls.
    pub(crate) fn multishot_operations(&self) -> usize {
        self.slots.multishot() - usize::from(self.edges.is_polled())
    }

    /// Operations that have begun since the runtime was made, the driver's own included.
    pub(crate) fn begun(&self) -> u64 {
        self.slots.inserted()
    }

    /// Asks for the end of everything that is in flight. Who waits for what ends at once is woken, which may
    /// be code of the user.
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

    /// Operations into which somebody else still has pointers, less the driver's own.
    pub(crate) fn in_flight(&self) -> usize {
        self.count(Lifecycle::is_in_flight)
    }

    /// Those of them whose result has come: the kernel only reads their buffers, until a peer has taken the bytes.
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

    /// Operations in flight, less calls on the pool that nobody waits for.
    pub(crate) fn awaited(&self) -> usize {
        let keys = self.slots.keys().into_iter();
        let left = keys.filter_map(|key| self.slots.find(key)).filter(|operation| operation.is_left());
        self.in_flight() - left.count()
    }

    /// Closes the backend. What is still in flight stays where it is for good.
    pub(crate) fn close(&self) {
        if let Backend::Ring(ring, _) = &mut *self.backend() {
            ring.disarm_wake(&self.slots, &self.stats, &mut self.deferred.borrow_mut());
        }
        self.settle();
        self.release_notifying();
        self.native.set(Opcodes::default());
        let backend = std::mem::replace(&mut *self.backend(), Backend::Closed);
        drop(backend);
        self.edges.close();
        // What is still in flight may yet take a buffer: then the kernel keeps them all. What is notifying takes none.
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
    pub(crate) fn machinery(&self) -> Machinery {
        match &*self.backend() {
            Backend::Ring(ring, granted) => {
                let mut machinery = Machinery {
                    features: granted.features,
                    refused: granted.refused.clone(),
                    ring_entries: ring.kernel.entries(),
                    setup_flags: granted.setup_flags(),
                };
                self.say_refused(&mut machinery);
                machinery
            }
            Backend::Poller(poller) => Machinery { features: poller.features, ..Machinery::default() },
            Backend::Closed => Machinery::default(),
        }
    }

    /// The foreign loop has turned: what comes from now on makes its descriptor readable.
    pub(crate) fn acknowledge(&self) {
        if let Some(readiness) = self.readiness.get() {
            readiness.acknowledge();
        }
    }

    /// The descriptor that a foreign loop polls: readable when a turn would do something.
    ///
    /// # Panics
    /// When there is no descriptor free to make it.
    pub(crate) fn foreign_fd(&self) -> RawFd {
        match &mut *self.backend() {
            Backend::Ring(ring, _) => {
                let readiness = self.readiness.get_or_init(|| {
                    Readiness::new(&mut ring.kernel, self.scheduler.shared()).unwrap_or_else(|error| {
                        panic!("no descriptor could be made for the foreign loop: {error}")
                    })
                });
                readiness.as_fd().as_raw_fd()
            }
            Backend::Poller(poller) => poller.as_fd().as_raw_fd(),
            Backend::Closed => match self.check_origin() {
                Err(error) => panic!("{error}"),
                Ok(()) => unreachable!("a runtime that can be borrowed is open"),
            },
        }
    }
}

impl Host for Driver {
    fn deregister(&self, token: u64, fd: RawFd) {
        match &mut *self.backend() {
            Backend::Poller(poller) => poller.deregister(token, fd, &self.stats),
            Backend::Ring(..) => self.deregister_edges(token, fd),
            Backend::Closed => {}
        }
    }

    fn descriptor_closed(&self) {
        self.shortage.relieve();
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

/// The driver of the loop that runs on this thread.
pub(crate) fn with<T>(f: impl FnOnce(Option<&Driver>) -> T) -> T {
    context::with(&CURRENT, f)
}

/// The same, shared.
pub(crate) fn current() -> Option<Rc<Driver>> {
    context::get(&CURRENT)
}

/// The names of the operations that a task of this thread's loop has in flight.
pub(crate) fn operations_of(task: &TaskRef) -> Vec<&'static str> {
    current().map_or_else(Vec::new, |driver| driver.slots.names_of(task))
}

/// Takes charge of a descriptor, for the runtime of this thread.
///
/// # Panics
/// Outside a runtime; `what` names the method in the message.
#[track_caller]
pub(crate) fn attach(fd: impl Into<Opened>, what: &str) -> Descriptor {
    let mut fd = Some(fd.into());
    let descriptor = with(|driver| driver.map(|driver| driver.attach(fd.take().expect("taken once"))));
    crate::sys::context::expect_runtime(descriptor, what)
}

/// A descriptor has been closed other than by its owner's drop.
pub(crate) fn descriptor_closed() {
    with(|driver| driver.map(Host::descriptor_closed));
}

/// Whether a loop can wait for the descriptor: `EPERM` for a file that is always ready, on which a poll of the ring would
/// end at once and for ever.
pub(crate) fn check_waitable(fd: BorrowedFd<'_>) -> io::Result<()> {
    poller::set_of([fd]).map(drop)
}

/// Borrows the descriptor that a foreign loop polls.
pub(crate) fn borrow_fd(driver: &Driver) -> BorrowedFd<'_> {
    // SAFETY: the driver owns the descriptor and closes it only when the runtime is closed, which the borrow
    // of the driver by way of the runtime excludes.
    unsafe { BorrowedFd::borrow_raw(driver.foreign_fd()) }
}
