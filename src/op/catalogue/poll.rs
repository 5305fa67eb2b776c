//! Waiting until a descriptor is ready, for I/O that somebody else does: see poll(2).
//!
//! Two readings of "ready" are offered. *Level*: the operation asks, and is over as soon as there is something. *Edge*: a
//! multishot operation (`multishot.rs`) reports whenever something happens, and whoever has tried in vain waits for the
//! next report. The selector waits for its next event, whatever the level says: a descriptor may be ready and have nothing
//! to give, such as a socket with something in its queue of errors. A ring without multishot polls asks for the level.

use crate::op::abi::events;
use std::cell::Cell;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use io_uring::{opcode, types};

use crate::op::completion::{Completion, Direction};
use crate::op::object::endpoint::{EndpointRef, Received};
use crate::op::object::fd::{Descriptor, on_fd};
use crate::op::object::io_lock::Side;
use crate::op::object::io_turn::IoTurn;
use crate::op::object::source::MultishotKind;
use crate::op::{Entry, Kind, MultishotStep, Op, Readiness};
use crate::sys::call::Call;

pub(crate) struct PollReady {
    endpoint: EndpointRef,
    /// Its turn, if it waits for an edge.
    turn: Option<IoTurn>,
    direction: Direction,
    pollfd: libc::pollfd,
}

impl PollReady {
    /// Until it is ready.
    pub(crate) fn level(endpoint: &EndpointRef, direction: Direction) -> Self {
        let pollfd = libc::pollfd { fd: -1, events: events(direction), revents: 0 };
        PollReady { endpoint: endpoint.clone(), turn: None, direction, pollfd }
    }

    /// Creates the wait for the next edge, for an operation that holds the turn and has found the descriptor not ready.
    pub(crate) fn edge(turn: IoTurn, direction: Direction) -> Self {
        let endpoint = turn.endpoint().clone();
        PollReady { turn: Some(turn), ..Self::level(&endpoint, direction) }
    }

    /// Creates the turn of an operation that waits for an edge.
    pub(crate) fn turn(endpoint: &EndpointRef) -> IoTurn {
        IoTurn::new(endpoint, Side::Receive)
    }
}

impl Op for PollReady {
    /// The turn comes back.
    type Output = (io::Result<()>, Option<IoTurn>);
    const NAME: &'static str = "poll";
    const OPCODE: u8 = opcode::PollAdd::CODE;

    fn turn(&mut self) -> Option<&mut IoTurn> {
        self.turn.as_mut()
    }

    fn prepare(&mut self, cx: &mut Context<'_>) -> Poll<Option<i32>> {
        if self.turn.is_none() {
            return Poll::Ready(None);
        }
        let Some(mut received) = ready!(self.endpoint.poll_received(cx, false)) else {
            return Poll::Ready(None);
        };
        loop {
            if let Received::Error(errno) = received {
                return Poll::Ready(Some(-errno));
            }
            // Several reports say no more than one.
            match self.endpoint.next_received() {
                Some(next) => received = next,
                None => return Poll::Ready(Some(1)),
            }
        }
    }

    fn multishot(&self) -> Option<(&EndpointRef, MultishotKind)> {
        self.turn.is_some().then_some((&self.endpoint, MultishotKind::Poll(self.direction)))
    }

    fn entry(&mut self) -> Entry {
        let events = events(self.direction) as u32;
        on_fd!(self.endpoint.descriptor.fd(), |fd| opcode::PollAdd::new(fd, events).build())
    }

    fn readiness(&self) -> Readiness<'_> {
        Readiness::When(&self.endpoint.descriptor, self.direction)
    }

    fn call(&mut self) -> Call {
        self.pollfd.fd = self.endpoint.descriptor.raw();
        // SAFETY: the one structure is part of this operation; the call does not wait.
        unsafe { Call::new(libc::SYS_poll, [&raw mut self.pollfd as usize, 1, 0]) }
    }

    /// poll(2) answers zero when nothing is ready.
    fn not_yet(&self, result: i32) -> bool {
        result == 0
    }

    fn waits_first(&self) -> bool {
        self.turn.is_some()
    }

    fn complete(self, completion: Completion) -> Self::Output {
        (completion.unit(), self.turn)
    }
}

/// Waits until a listener has a connection, by way of an epoll set that contains the listener: for the ring.
///
/// A ring keeps the files open that its operations name, until it is taken apart, and the kernel does that some time
/// after the process has ended. A set does not keep its members open. So a listener closes with its last descriptor,
/// and its port is free, while this operation is still with the kernel.
pub(crate) struct PollListener {
    set: Rc<OwnedFd>,
    host: *const (),
}

impl PollListener {
    /// The set contains this descriptor.
    pub(crate) fn new(set: Rc<OwnedFd>, listener: &Descriptor) -> Self {
        PollListener { set, host: listener.host() }
    }
}

impl Op for PollListener {
    type Output = io::Result<()>;
    /// The operation that waits.
    const NAME: &'static str = "accept";
    const OPCODE: u8 = opcode::PollAdd::CODE;

    fn bound_to(&self) -> Option<*const ()> {
        Some(self.host)
    }

    fn entry(&mut self) -> Entry {
        opcode::PollAdd::new(types::Fd(self.set.as_raw_fd()), libc::POLLIN as u32).build()
    }

    fn readiness(&self) -> Readiness<'_> {
        Readiness::Immediate
    }

    fn call(&mut self) -> Call {
        unreachable!("only a ring waits for listeners this way")
    }

    fn complete(self, completion: Completion) -> Self::Output {
        completion.unit()
    }
}

/// The state of the ring's poll of an epoll set.
#[derive(Debug, Default)]
pub(crate) struct SetState {
    /// A poll is with the kernel, or on its way there.
    pub(crate) armed: Cell<bool>,
    /// The set has events.
    pub(crate) fired: Cell<bool>,
}

/// The ring's poll of an epoll set. It belongs to the driver and has no future, so it is of the multishot kind, but it ends
/// with its first completion: the set stays readable until its events have been taken.
pub(crate) struct PollSet {
    set: Rc<OwnedFd>,
    state: Rc<SetState>,
}

impl PollSet {
    pub(crate) fn new(set: Rc<OwnedFd>, state: Rc<SetState>) -> Self {
        PollSet { set, state }
    }
}

impl Op for PollSet {
    type Output = ();
    const NAME: &'static str = "poll";
    const KIND: Kind = Kind::Multishot;
    const OPCODE: u8 = opcode::PollAdd::CODE;

    fn entry(&mut self) -> Entry {
        opcode::PollAdd::new(types::Fd(self.set.as_raw_fd()), libc::POLLIN as u32).build()
    }

    fn readiness(&self) -> Readiness<'_> {
        Readiness::Immediate
    }

    fn call(&mut self) -> Call {
        unreachable!("only a ring polls an epoll set")
    }

    fn multishot_step(&mut self, completion: Completion) -> MultishotStep {
        self.state.armed.set(false);
        self.state.fired.set(completion.result > 0);
        MultishotStep::default()
    }

    fn complete(self, _: Completion) {}
}
