//! The driver: operations in flight, on a ring or with a poller.
//!
//! The engine is one of the two. Only the files of this folder itself match on it. Code above submits an [`Op`] through a
//! [`Submission`](operation::submission::Submission) and gets its output.
//!
//! | file | what it holds |
//! |---|---|
//! | `engine.rs` | the two engines, and the route of an operation |
//! | `poll.rs`, `poll_mode.rs` | polling the kernel, and the deferred work |
//! | `close.rs` | cancelling the operations in flight, and closing the engine |
//! | `host.rs` | the driver as the host of descriptors |
//! | `current.rs` | the driver of this thread |
//! | `operation/` | start, poll, cancel and drop of operations, and their futures |
//! | `slots/` | the slots of operations, and an operation's lifecycle as a pure state machine |
//! | `proactor/` | the ring, over any `Kernel`: see there |
//! | `selector/` | the poller, which is the only file that waits with epoll; edges for descriptors for which a ring cannot wait |
//! | `memory/` | memory for chunks (`buffers.rs`); the ring's tables of descriptors and buffers (`table.rs`, `fixed.rs`) |
//! | `descriptor_limit.rs` | waiting for a descriptor to become free |
//! | `feature.rs`, `stats.rs` | features and counters, for reports |
//!
//! No user code (wakers, destructors, `complete`) runs while the engine is borrowed. The engines leave it in [`Deferred`],
//! and [`Driver::run_deferred`] runs it afterwards.

mod close;
mod current;
pub(crate) mod descriptor_limit;
mod engine;
pub(crate) mod feature;
mod host;
pub(crate) mod memory;
#[macro_use]
pub(crate) mod operation;
mod poll;
pub(crate) mod poll_mode;
pub(crate) mod proactor;
pub(crate) mod selector;
pub(crate) mod slots;
pub(crate) mod stats;

pub(crate) use current::{
    attach, borrow_fd, check_waitable, current, descriptor_closed, operations_of, with,
};
pub(crate) use engine::Engine;
use engine::Route;
use poll_mode::{BackendInfo, Deferred};
#[cfg(test)]
mod tests;

use std::cell::{Cell, OnceCell, RefCell, RefMut};
use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::rc::{Rc, Weak};

use super::op::completion::Direction;
use super::op::fd::descriptor::{Descriptor, Opened, ZeroCopy};
use super::op::{Op, Readiness};
use super::sys::fork::Origin;
use super::task::scheduler::Scheduler;
pub(crate) use memory::buffers::MAX_BUFFERS;
pub(crate) use memory::resources::Resources;
pub(crate) use operation::release::{flush_for, release_endpoint};
pub(crate) use selector::edges::attach_shared;

use descriptor_limit::DescriptorLimit;
use feature::{Feature, FeatureSet};
use memory::buffers::Memory;
use memory::fixed::REGISTERED_BUFFERS;
use memory::table::Table;
use proactor::foreign_fd::ForeignFd;
use proactor::open::Opcodes;
use proactor::ring::Ring;
use proactor::uring::Uring;
use selector::edges::Edges;
use selector::poller::Poller;
use slots::arena::Slots;
use stats::Stats;

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

    /// Returns true if a wait can have a deadline ([`Deadline::At`]) instead of a timeout.
    pub(crate) fn takes_deadlines(&self) -> bool {
        self.features.has(Feature::AbsoluteTimer)
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

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver").field("operations", &self.slots.live()).finish_non_exhaustive()
    }
}
