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
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use crate::driver::current;
use crate::driver::shortage::Relief;
use crate::driver::submission::Submission;
use crate::op;
use crate::op::endpoint::Share;
use crate::op::fd::Opened;
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
    fn note(&self, answer: &io::Result<Opened>) {
        let error = answer.as_ref().err();
        match error.and_then(io::Error::raw_os_error) {
            _ if error.is_some_and(|error| error.kind() == io::ErrorKind::QuotaExceeded) => self.lacks_room(),
            Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM) => self.lacks_room(),
            Some(libc::ECANCELED) => {} // it says nothing about descriptors
            _ => self.exhausted.set(None),
        }
    }

    /// There was no descriptor for a connection.
    fn lacks_room(&self) {
        let pause = self.exhausted.get().map_or(FIRST_PAUSE, |(_, pause)| (2 * pause).min(LONGEST_PAUSE));
        self.exhausted.set(Some((now() + pause, pause)));
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
    /// Into the ring's table.
    direct: bool,
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
        Accepting { acceptor: acceptor.clone(), direct: false, state: State::New, cancelled: false }
    }

    /// One that becomes a direct descriptor.
    pub(super) fn direct(acceptor: &Rc<Acceptor>) -> Self {
        Accepting { direct: true, ..Self::new(acceptor) }
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

    /// Whose connections it takes.
    pub(super) fn listener(&self) -> &Share {
        &self.acceptor.endpoint
    }

    /// Takes the next one.
    pub(super) fn again(&mut self) {
        self.state = State::New;
    }

    fn ask(&self) -> State {
        let mut step = Submission::new(op::socket::Accept::new(&self.acceptor.endpoint, self.direct));
        if self.cancelled {
            step.request_cancel();
        }
        State::Asking(step)
    }
}

impl Future for Accepting {
    type Output = io::Result<Opened>;

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
