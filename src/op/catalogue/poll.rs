//! Waits for the readiness of a descriptor, on which other code does the I/O: see poll(2).
//!
//! There are two kinds. A *level* wait completes as soon as the descriptor is ready. An *edge* wait follows a call that has
//! failed with EAGAIN, and completes at the next report of a multishot poll (`net/multishot.rs`). On the selector an edge
//! wait completes at the next event, whatever the level is: a descriptor may be ready without data, such as a socket with an
//! entry in its queue of errors. A ring without multishot polls waits for the level.

use crate::op::abi::events;
use std::cell::Cell;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use io_uring::{opcode, types};

use crate::op::completion::{Completion, Direction};
use crate::op::fd::descriptor::{Descriptor, on_fd};
use crate::op::object::endpoint_ref::EndpointRef;
use crate::op::object::io_lock::Side;
use crate::op::object::io_turn::IoTurn;
use crate::op::object::received::Received;
use crate::op::object::source::MultishotKind;
use crate::op::{Entry, Kind, MultishotStep, Op, Readiness};
use crate::sys::call::Call;

pub(crate) struct PollReady {
    endpoint: EndpointRef,
    /// The turn of an edge wait.
    turn: Option<IoTurn>,
    direction: Direction,
    pollfd: libc::pollfd,
}

impl PollReady {
    /// Creates a level wait.
    pub(crate) fn level(endpoint: &EndpointRef, direction: Direction) -> Self {
        let pollfd = libc::pollfd { fd: -1, events: events(direction), revents: 0 };
        PollReady { endpoint: endpoint.clone(), turn: None, direction, pollfd }
    }

    /// Creates an edge wait, for a caller that holds the turn and has found the descriptor not ready.
    pub(crate) fn edge(turn: IoTurn, direction: Direction) -> Self {
        let endpoint = turn.endpoint().clone();
        PollReady { turn: Some(turn), ..Self::level(&endpoint, direction) }
    }

    /// Creates the turn of an edge wait.
    pub(crate) fn turn(endpoint: &EndpointRef) -> IoTurn {
        IoTurn::new(endpoint, Side::Receive)
    }
}

impl Op for PollReady {
    /// The result, and the turn of an edge wait.
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
            // Several reports mean the same as one.
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

/// Waits until a listener has a connection: the ring polls an epoll set that contains the listener.
///
/// A ring keeps the files of its operations open until the kernel destroys it, which is some time after the end of the
/// process. An epoll set does not keep its members open. So a listener closes with its last descriptor, and its port is free,
/// while this operation is still in flight.
pub(crate) struct PollListener {
    set: Rc<OwnedFd>,
    host: *const (),
}

impl PollListener {
    /// Creates the wait. `set` contains the listener.
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
