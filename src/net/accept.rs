//! Taking a connection off a listener's backlog, and not spinning when there is no descriptor for it.
//!
//! With no descriptor free accept(2) answers EMFILE, at once and on both backends, and the client stays in the
//! backlog. The error is reported; but a caller who tries again at once, as servers do, would take all of the
//! CPU to hear the same again. So the next accept of that listener first waits: until the runtime has closed a
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

use crate::driver::current;
use crate::driver::shortage::Relief;
use crate::driver::submission::Submission;
use crate::op;
use crate::op::endpoint::Share;
use crate::time::{Sleep, now, sleep_until};

/// The first pause after a failure, and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// What the accepts of one listener share.
#[derive(Debug)]
pub(super) struct Acceptor {
    pub(super) endpoint: Share,
    /// Until when the kernel need not be asked, and the pause that led to this; after a failure.
    exhausted: Cell<Option<(Instant, Duration)>>,
}

impl Acceptor {
    pub(super) fn new(endpoint: Share) -> Rc<Self> {
        Rc::new(Acceptor { endpoint, exhausted: Cell::new(None) })
    }

    /// The kernel has answered: notes whether it lacked a descriptor, or memory for one.
    fn note(&self, answer: &io::Result<OwnedFd>) {
        let errno = answer.as_ref().err().and_then(io::Error::raw_os_error);
        self.exhausted.set(match (errno, self.exhausted.get()) {
            (Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM), before) => {
                let pause = before.map_or(FIRST_PAUSE, |(_, pause)| (2 * pause).min(LONGEST_PAUSE));
                Some((now() + pause, pause))
            }
            // It says nothing about descriptors.
            (Some(libc::ECANCELED), before) => before,
            _ => None,
        });
    }

    /// What the next accept has to wait for.
    fn pause(&self) -> Option<Pause> {
        let (until, _) = self.exhausted.get().filter(|_| !self.endpoint.has_arrivals())?;
        Some(Pause { relief: Relief::new(current()?), time: sleep_until(until) })
    }
}

/// Over when a descriptor has been closed, or the time has come.
struct Pause {
    relief: Relief,
    time: Sleep,
}

impl Future for Pause {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match Pin::new(&mut self.relief).poll(cx) {
            Poll::Ready(()) => Poll::Ready(()),
            Poll::Pending => Pin::new(&mut self.time).poll(cx),
        }
    }
}

/// One connection, without its address.
pub(super) struct Accepting {
    acceptor: Rc<Acceptor>,
    state: State,
    cancelled: bool,
}

enum State {
    /// Not polled yet.
    New,
    Pausing(Pause),
    Asking(Submission<op::socket::Accept>),
}

impl Accepting {
    pub(super) fn new(acceptor: &Rc<Acceptor>) -> Self {
        Accepting { acceptor: acceptor.clone(), state: State::New, cancelled: false }
    }

    pub(super) fn request_cancel(&mut self) {
        self.cancelled = true;
        match &mut self.state {
            State::New => {}
            State::Asking(step) => step.request_cancel(),
            State::Pausing(_) => {
                let before = std::mem::replace(&mut self.state, State::New);
                if let State::Pausing(pause) = before {
                    pause.relief.withdraw();
                }
            }
        }
    }

    /// Takes the next one.
    pub(super) fn again(&mut self) {
        self.state = State::New;
    }

    fn ask(&self) -> State {
        let mut step = Submission::new(op::socket::Accept::new(&self.acceptor.endpoint));
        if self.cancelled {
            step.request_cancel();
        }
        State::Asking(step)
    }
}

impl Future for Accepting {
    type Output = io::Result<OwnedFd>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            self.state = match &mut self.state {
                State::New => match self.acceptor.pause().filter(|_| !self.cancelled) {
                    Some(pause) => State::Pausing(pause),
                    None => self.ask(),
                },
                State::Pausing(pause) => {
                    ready!(Pin::new(pause).poll(cx));
                    self.ask()
                }
                State::Asking(step) => {
                    let answer = ready!(Pin::new(step).poll(cx));
                    self.acceptor.note(&answer);
                    match answer {
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => self.ask(),
                        answer => return Poll::Ready(answer),
                    }
                }
            }
        }
    }
}
