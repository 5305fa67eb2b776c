//! An endpoint: a socket with what its operations share.
//!
//! *Gates*: one receive (or accept) and one send are in flight at a time; a later one waits until the one
//! before has ended, whether or not its future is still there. So bytes come and go in order, and a write
//! never overtakes one whose fate is open.
//!
//! *Arrivals*: what the kernel delivered to an operation whose future had gone. The next receive or accept
//! is answered from here first, so that dropping a future loses nothing.
#![forbid(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::task::{Context, Poll};

use socket2::SockAddr;

use super::fd::Descriptor;
use crate::task::waker::Waiter;

#[derive(Debug)]
pub(crate) struct Endpoint {
    pub(crate) descriptor: Descriptor,
    receiving: Gate,
    sending: Gate,
    arrivals: RefCell<VecDeque<Arrival>>,
    sent: Cell<u64>,
}

/// Something that came for a future that had gone.
#[derive(Debug)]
pub(crate) enum Arrival {
    /// Bytes of a stream; those before the offset have been taken.
    Bytes(Vec<u8>, usize),
    Datagram(Vec<u8>, Option<SockAddr>),
    Connection(OwnedFd),
    /// An error that the kernel reports only once, such as ECONNRESET.
    Error(i32),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Receive,
    Send,
}

impl Endpoint {
    pub(crate) fn new(descriptor: Descriptor) -> Rc<Self> {
        Rc::new(Endpoint {
            descriptor,
            receiving: Gate::default(),
            sending: Gate::default(),
            arrivals: RefCell::default(),
            sent: Cell::new(0),
        })
    }

    /// Bytes that the kernel took for sending so far.
    pub(crate) fn sent(&self) -> u64 {
        self.sent.get()
    }

    pub(crate) fn add_sent(&self, count: usize) {
        self.sent.set(self.sent.get() + count as u64);
    }

    pub(crate) fn arrived(&self, arrival: Arrival) {
        self.arrivals.borrow_mut().push_back(arrival);
    }

    pub(crate) fn has_arrivals(&self) -> bool {
        !self.arrivals.borrow().is_empty()
    }

    pub(crate) fn next_arrival(&self) -> Option<Arrival> {
        self.arrivals.borrow_mut().pop_front()
    }

    /// Puts back what the receiver had no room for.
    pub(crate) fn put_back(&self, arrival: Arrival) {
        self.arrivals.borrow_mut().push_front(arrival);
    }

    fn gate(&self, side: Side) -> &Gate {
        match side {
            Side::Receive => &self.receiving,
            Side::Send => &self.sending,
        }
    }
}

/// Lets one operation through at a time, first come, first served.
#[derive(Debug, Default)]
struct Gate {
    busy: Cell<bool>,
    next_ticket: Cell<u32>,
    waiting: RefCell<VecDeque<(u32, Option<Waiter>)>>,
}

impl Gate {
    /// Who has to be told that the gate is open. It keeps its place in the queue, and is asked for its
    /// waker again if it waits on.
    #[cold]
    fn first(&self) -> Option<Waiter> {
        self.waiting.borrow_mut().front_mut().and_then(|(_, waiter)| waiter.take())
    }

    /// Takes a place in the queue out. What comes back is code of the user to drop.
    #[cold]
    fn leave(&self, ticket: u32) -> Option<(u32, Option<Waiter>)> {
        let place = self.waiting.borrow().iter().position(|(other, _)| *other == ticket);
        place.and_then(|place| self.waiting.borrow_mut().remove(place))
    }
}

/// A place at a gate: outside, in the queue, or through. Dropping it lets the next one go.
#[derive(Debug)]
pub(crate) struct Pass {
    endpoint: Rc<Endpoint>,
    side: Side,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Outside,
    Waiting(u32),
    Through,
}

impl Pass {
    pub(crate) fn new(endpoint: &Rc<Endpoint>, side: Side) -> Self {
        Pass { endpoint: endpoint.clone(), side, state: State::Outside }
    }

    pub(crate) fn endpoint(&self) -> &Rc<Endpoint> {
        &self.endpoint
    }

    /// Goes through the gate, or waits for its turn.
    #[inline]
    pub(crate) fn poll_enter(&mut self, cx: &Context<'_>) -> Poll<()> {
        let gate = self.endpoint.gate(self.side);
        match self.state {
            State::Through => Poll::Ready(()),
            State::Outside if !gate.busy.get() && gate.waiting.borrow().is_empty() => {
                gate.busy.set(true);
                self.state = State::Through;
                Poll::Ready(())
            }
            State::Outside | State::Waiting(_) => self.poll_turn(cx),
        }
    }

    /// Waits for its turn.
    #[cold]
    fn poll_turn(&mut self, cx: &Context<'_>) -> Poll<()> {
        let gate = self.endpoint.gate(self.side);
        match self.state {
            State::Through => Poll::Ready(()),
            State::Outside => {
                let ticket = gate.next_ticket.get();
                gate.next_ticket.set(ticket.wrapping_add(1));
                let waiter = Waiter::new(cx); // may be code of the user: not while the queue is borrowed
                gate.waiting.borrow_mut().push_back((ticket, Some(waiter)));
                self.state = State::Waiting(ticket);
                Poll::Pending
            }
            State::Waiting(ticket) => {
                let mut waiting = gate.waiting.borrow_mut();
                let first = waiting.front().is_some_and(|(first, _)| *first == ticket);
                if first && !gate.busy.get() {
                    let entry = waiting.pop_front();
                    drop(waiting);
                    drop(entry); // a foreign waker's destructor is code of the user
                    gate.busy.set(true);
                    self.state = State::Through;
                    return Poll::Ready(());
                }
                drop(waiting);
                let waiter = Waiter::new(cx);
                let mut waiting = gate.waiting.borrow_mut();
                let entry = waiting.iter_mut().find(|(other, _)| *other == ticket);
                let replaced = entry.and_then(|(_, old)| old.replace(waiter));
                drop(waiting);
                drop(replaced);
                Poll::Pending
            }
        }
    }
}

impl Pass {
    /// Gives the place up, and says who may go through now. It may be entered anew.
    #[must_use = "the next one waits to be woken"]
    #[inline]
    pub(crate) fn release(&mut self) -> Option<Waiter> {
        let gate = self.endpoint.gate(self.side);
        match std::mem::replace(&mut self.state, State::Outside) {
            State::Outside => return None,
            State::Waiting(ticket) => drop(gate.leave(ticket)),
            State::Through => gate.busy.set(false),
        }
        if gate.busy.get() || gate.waiting.borrow().is_empty() { None } else { gate.first() }
    }

    /// The operation is not to begin any more: gives the place in the queue up, and wakes who waited in it.
    pub(crate) fn withdraw(&mut self) {
        let mut own = None;
        if let State::Waiting(ticket) = self.state {
            let mut waiting = self.endpoint.gate(self.side).waiting.borrow_mut();
            own =
                waiting.iter_mut().find(|(other, _)| *other == ticket).and_then(|(_, waiter)| waiter.take());
        }
        let next = self.release();
        own.into_iter().chain(next).for_each(Waiter::wake);
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if let Some(next) = self.release() {
            next.wake();
        }
    }
}
