//! The accept of a connection from a listener's backlog, without spinning if there is no descriptor for it.
//!
//! With no descriptor free accept(2) answers EMFILE, at once and on both backends, and the client stays in the
//! backlog. The error is reported; but a caller that tries again at once, as servers do, would use all of the
//! CPU for the same error. So the next accept of that listener first waits: until the runtime has closed a
//! descriptor, or for a pause that doubles with each failure in a row.
#![forbid(unsafe_code)]

use std::cell::Cell;
use std::future::Future;
use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use crate::driver::descriptor_limit::DescriptorFreed;
use crate::driver::operation::submission::Submission;
use crate::driver::{Driver, current};
use crate::op::Op;
use crate::op::catalogue::net::accept::Accept;
use crate::op::catalogue::poll::PollListener;
use crate::op::object::accepted::Accepted;
use crate::op::object::endpoint_ref::EndpointRef;
use crate::op::object::io_lock::Side;
use crate::op::object::io_turn::IoTurn;
use crate::sys::cancelled;
use crate::sys::context::expect_runtime;
use crate::time::{Sleep, now, sleep_until};

/// The first pause after a failure, and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The state that the accepts of one listener share.
#[derive(Debug)]
pub(in crate::net) struct Acceptor {
    pub(in crate::net) endpoint: EndpointRef,
    /// After a failure: the time before which no accept is tried, and the pause that led to it.
    exhausted: Cell<Option<(Instant, Duration)>>,
    /// The epoll set that the ring polls in the listener's place; `None` on the selector.
    set: Option<Rc<OwnedFd>>,
}

impl Acceptor {
    /// Makes the acceptor of a listener that belongs to the runtime of this thread. On the ring it has an epoll set, made
    /// now, so that a later lack of descriptors does not affect it.
    pub(in crate::net) fn new(endpoint: EndpointRef) -> io::Result<Rc<Self>> {
        let set = current().map_or(Ok(None), |driver| driver.set_of_listener(&endpoint.descriptor))?;
        Ok(Rc::new(Acceptor { endpoint, exhausted: Cell::new(None), set: set.map(Rc::new) }))
    }

    /// Returns the set that the ring polls before an accept is tried. Returns `None` if the operation waits by itself, or
    /// need not wait.
    fn polled(&self, driver: &Driver) -> Option<Rc<OwnedFd>> {
        let polls = driver.check_origin().is_ok() && !self.endpoint.has_received();
        self.set.clone().filter(|_| polls)
    }

    /// Notes from the kernel's answer whether it lacked a descriptor, or memory for one.
    fn note<T>(&self, answer: &io::Result<T>) {
        let error = answer.as_ref().err();
        match error.and_then(io::Error::raw_os_error) {
            _ if error.is_some_and(|error| error.kind() == io::ErrorKind::QuotaExceeded) => {
                self.note_no_descriptor()
            }
            Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM) => self.note_no_descriptor(),
            Some(libc::ECANCELED | libc::EAGAIN | libc::EINTR) => {} // no information about descriptors
            _ => self.exhausted.set(None),
        }
    }

    /// Notes that there was no descriptor for a connection.
    fn note_no_descriptor(&self) {
        let pause = self.exhausted.get().map_or(FIRST_PAUSE, |(_, pause)| (2 * pause).min(LONGEST_PAUSE));
        self.exhausted.set(Some((now() + pause, pause)));
    }

    /// Returns the pause that the next accept has to wait for.
    fn pause(&self) -> Option<Pause> {
        let (until, _) = self.exhausted.get().filter(|_| !self.endpoint.has_received())?;
        Some(Pause { freed: DescriptorFreed::new(current()?), time: sleep_until(until) })
    }
}

/// A pause: it ends when a descriptor has been closed, or when the time has elapsed.
struct Pause {
    freed: DescriptorFreed,
    time: Sleep,
}

impl Future for Pause {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match Pin::new(&mut self.freed).poll(cx) {
            Poll::Ready(()) => Poll::Ready(()),
            Poll::Pending => Pin::new(&mut self.time).poll(cx),
        }
    }
}

/// The accept of one connection.
///
/// Nothing is accepted before this is polled and there is a connection: a loop that does something else, or nothing at
/// all, takes neither a client nor the kernel's wake-up for one, so another loop or process with the same listener
/// serves it. On the ring that takes two steps. An operation waits until the listener has a connection
/// ([`PollListener`]); then accept4(2) is called, or the ring accepts, and neither waits.
pub(in crate::net) struct Accepting {
    acceptor: Rc<Acceptor>,
    /// Whether the connection gets a direct descriptor.
    direct: bool,
    state: State,
    cancelled: bool,
}

enum State {
    /// Not polled yet.
    New,
    Pausing(Pause),
    /// Waiting for the I/O lock, or holding it before the first try.
    Entering(IoTurn),
    /// The ring waits for a connection.
    Waiting(IoTurn, Submission<PollListener>),
    Accept(Submission<Accept>),
    /// The result has been returned.
    Done,
}

impl Accepting {
    pub(in crate::net) fn new(acceptor: &Rc<Acceptor>) -> Self {
        Accepting { acceptor: acceptor.clone(), direct: false, state: State::New, cancelled: false }
    }

    /// Makes an accept whose connection gets a direct descriptor.
    pub(in crate::net) fn direct(acceptor: &Rc<Acceptor>) -> Self {
        Accepting { direct: true, ..Self::new(acceptor) }
    }

    pub(in crate::net) fn request_cancel(&mut self) {
        self.cancelled = true;
        match &mut self.state {
            State::New | State::Done => {}
            State::Entering(turn) => turn.withdraw(),
            State::Waiting(_, step) => step.request_cancel(),
            State::Accept(step) => step.request_cancel(),
            State::Pausing(_) => {
                let before = std::mem::replace(&mut self.state, State::New);
                if let State::Pausing(pause) = before {
                    pause.freed.withdraw();
                }
            }
        }
    }

    /// Returns the listener whose connections this accepts.
    pub(in crate::net) fn listener(&self) -> &EndpointRef {
        &self.acceptor.endpoint
    }

    /// Returns the runtime of the listener.
    ///
    /// # Panics
    /// When it is not the one that runs here: an accept makes an object, which belongs to the runtime that polls it.
    fn host(&self) -> Rc<Driver> {
        let driver = expect_runtime(current(), Accept::NAME);
        driver.check_host(self.acceptor.endpoint.descriptor.host(), Accept::NAME);
        driver
    }

    fn enter(&self) -> State {
        State::Entering(IoTurn::new(&self.acceptor.endpoint, Side::Receive))
    }

    /// Starts the wait with the I/O lock held: the ring polls for a connection, or the submitted operation waits itself.
    fn begin(&self, turn: IoTurn, driver: &Driver) -> State {
        match self.acceptor.polled(driver) {
            Some(set) => {
                let wait = PollListener::new(set, &self.acceptor.endpoint.descriptor);
                State::Waiting(turn, Submission::new(wait))
            }
            None => State::Accept(Submission::new(Accept::new(turn, self.direct))),
        }
    }

    /// Accepts a connection that the ring has reported. Returns the next state, or the result.
    fn take(&self, turn: IoTurn, driver: &Driver) -> Result<State, io::Result<Accepted>> {
        let on_ring = driver.accepts_on_ring(&self.acceptor.endpoint.descriptor, self.direct);
        let accept = Accept::new(turn, on_ring && self.direct);
        if on_ring {
            return Ok(State::Accept(Submission::new(accept)));
        }
        let (answer, turn) = driver.call_now(accept);
        self.answered(answer, turn)
    }

    /// Handles the answer of an accept. Returns the next state if there is to be another accept, or the result.
    fn answered(&self, answer: io::Result<Accepted>, turn: IoTurn) -> Result<State, io::Result<Accepted>> {
        self.acceptor.note(&answer);
        match answer.as_ref().map_err(io::Error::kind) {
            // Another loop was faster.
            Err(io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => Ok(State::Entering(turn)),
            _ => Err(answer),
        }
    }
}

impl Future for Accepting {
    type Output = io::Result<Accepted>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let driver = this.host();
        loop {
            let next = match &mut this.state {
                State::New => match this.acceptor.pause().filter(|_| !this.cancelled) {
                    Some(pause) => Ok(State::Pausing(pause)),
                    None => Ok(this.enter()),
                },
                State::Pausing(pause) => {
                    ready!(Pin::new(pause).poll(cx));
                    Ok(this.enter())
                }
                State::Entering(_) if this.cancelled => Err(Err(cancelled())),
                State::Entering(turn) => {
                    ready!(turn.poll_acquire(cx));
                    let before = std::mem::replace(&mut this.state, State::Done);
                    let State::Entering(turn) = before else { unreachable!("matched above") };
                    Ok(this.begin(turn, &driver))
                }
                State::Waiting(_, step) => {
                    let ended = ready!(Pin::new(step).poll(cx));
                    let before = std::mem::replace(&mut this.state, State::Done);
                    let State::Waiting(turn, _) = before else { unreachable!("matched above") };
                    ended.map_err(Err).and_then(|()| this.take(turn, &driver))
                }
                State::Accept(step) => {
                    let (answer, turn) = ready!(Pin::new(step).poll(cx));
                    this.answered(answer, turn)
                }
                State::Done => panic!("an accept was polled after its result"),
            };
            match next {
                Ok(state) => this.state = state,
                Err(answer) => {
                    this.state = State::Done;
                    return Poll::Ready(answer);
                }
            }
        }
    }
}
