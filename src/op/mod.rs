//! Operations: what a program asks of the kernel, each as a value with two readings.
//!
//! [`Op::entry`] is the submission queue entry that the proactor pushes; [`Op::call`] is the one system call
//! that the selector makes when [`Op::readiness`] says that the descriptor is ready, or on the blocking pool
//! where the kernel has no readiness (files). Both halves of an operation stand next to each other, in the
//! file of its family in `catalogue/`:
//!
//! | file | operations |
//! |---|---|
//! | `socket.rs` | recv, send (and read, write of pipes), socket, accept, connect, shutdown |
//! | `message.rs` | recvmsg, sendmsg: datagrams with addresses, vectored socket I/O |
//! | `receive.rs` | receiving into the loop's memory once bytes are there |
//! | `multishot.rs` | multishot receive, read, recvmsg and poll: operations of an endpoint, not of a future |
//! | `poll.rs` | waiting until a descriptor is ready, for I/O of others |
//! | `file.rs` | pread, pwrite, vectored, fsync, statx, ftruncate |
//! | `open.rs`, `close.rs` | openat, close |
//! | `direct.rs` | what only direct descriptors need: install, setsockopt |
//! | `nop.rs` | the empty round trip |
//!
//! `object/` holds what operations name and keep open:
//!
//! | file | holds |
//! |---|---|
//! | `fd.rs` | `Fd`, `Descriptor`: what operations name and keep open; places in the ring's table |
//! | `endpoint.rs` | `Endpoint`: a socket with what its operations share, and what has arrived and was not taken |
//! | `io_lock.rs`, `io_turn.rs` | the order of operations: one receive and one send of an endpoint at a time |
//! | `medium.rs`, `calls.rs` | the kind of a descriptor, and the calls that receive and send without waiting |
//! | `source.rs` | what a multishot operation receives, and the memory for it |
//! | `accepted.rs`, `datagram.rs` | an accepted connection, a received datagram |
//! | `open_file.rs` | `OpenFile`: a file's descriptor, with what operations on it share |
//!
//! Under both lie `completion.rs` (the kernel's answer), `abi.rs` (its constants and structures), `window.rs` (the part of a
//! buffer that one step moves) and `transfer.rs` (operations that move a buffer in steps).
//!
//! An operation does not know the driver. Once it has been inserted in its slot it stays there, at one
//! address, until the kernel has let go of it; only then do [`Op::complete`] or [`Op::abandoned`] take it.

pub(crate) mod abi;
pub(crate) mod catalogue;
pub(crate) mod completion;
pub(crate) mod object;
pub(crate) mod transfer;
pub(crate) mod window;

use crate::op::completion::{Completion, Direction};
use std::task::{Context, Poll};

pub(crate) use io_uring::squeue::Entry;

use super::sys::call::Call;
use super::task::cell::layout::Waiter;
use super::task::threads::pool::Lane;
use object::endpoint::EndpointRef;
use object::fd::Descriptor;
use object::io_turn::IoTurn;
use object::source::MultishotKind;

/// One operation: see the module.
pub(crate) trait Op: Sized + 'static {
    /// The output of the future that submitted the operation.
    type Output;

    /// The operation's name in reports: the name of the system call.
    const NAME: &'static str;

    /// How its completions come.
    const KIND: Kind = Kind::Single;

    /// Whether it waits until its descriptor is ready. The ring ends such an operation with EAGAIN only when it cannot wait
    /// for the descriptor; then the operation begins again, as calls: see `driver/edges.rs`.
    const WAITS: bool = false;

    /// The opcode of [`entry`](Self::entry), so that a kernel without it is found out beforehand.
    const OPCODE: u8;

    /// Polls whether the operation may begin: `Pending` while it must wait (the waker is kept), `Some(result)`
    /// when it can be answered without the kernel.
    fn prepare(&mut self, cx: &mut Context<'_>) -> Poll<Option<i32>> {
        let _ = cx;
        Poll::Ready(None)
    }

    /// Returns the multishot operation that can provide the result, and its endpoint. The driver starts that operation
    /// instead of this one if the backend can.
    fn multishot(&self) -> Option<(&EndpointRef, MultishotKind)> {
        None
    }

    /// The address of the only runtime that can carry it out, if any other would mistake what it names: a place of a table.
    #[inline]
    fn bound_to(&self) -> Option<*const ()> {
        None
    }

    /// Returns the turn at an I/O lock that the operation waits for or holds.
    fn turn(&mut self) -> Option<&mut IoTurn> {
        None
    }

    /// Returns the submission queue entry. Pointers into `self` are valid until the last completion.
    fn entry(&mut self) -> Entry;

    /// Returns the condition under which the system call can be made.
    fn readiness(&self) -> Readiness<'_>;

    /// Returns the system call. Pointers into `self` are valid until the call has been made.
    fn call(&mut self) -> Call;

    /// The lane of the blocking pool that makes the call, if the pool makes it.
    const LANE: Lane = Lane::Call;

    /// Whether a call on the pool may be left running when its future has gone: the end of the runtime does not wait for
    /// it, and the pool starts another thread in its place. For calls that may wait for ever and transfer nothing.
    const MAY_BE_LEFT: bool = false;

    /// Whether the selector is not to try before an event has come: somebody has tried in vain.
    fn waits_first(&self) -> bool {
        false
    }

    /// Its call was answered with EOPNOTSUPP. True if [`call`](Self::call) gives another one from now on.
    fn otherwise(&mut self) -> bool {
        false
    }

    /// Whether this answer of the call means that it has to be made again, when the descriptor is ready.
    fn not_yet(&self, result: i32) -> bool {
        would_block(result)
    }

    /// Whether this answer of the call means that nothing is left to move for now, so that the next one need
    /// not be tried before the descriptor is ready again. For the selector.
    fn drained(&self, result: i32) -> bool {
        let _ = result;
        false
    }

    /// Takes the result apart; runs once, when nothing of the operation is with the kernel any more.
    fn complete(self, completion: Completion) -> Self::Output;

    /// The same for an operation whose future has gone: gives back what the kernel delivered all the same.
    /// `ECANCELED` when it never began.
    fn abandoned(self, completion: Completion) {
        drop(self.complete(completion));
    }

    /// Lets go of everything but the buffer, which the kernel still uses ([`Kind::ZeroCopy`]): the result has come, and
    /// the future has gone. `abandoned` follows at the notification.
    fn release(&mut self, completion: Completion) {
        let _ = completion;
    }

    /// Handles one completion of a [`Kind::Multishot`] operation, the last one included. Runs while the driver is borrowed:
    /// it only stores the item, and must not run user code.
    fn multishot_step(&mut self, completion: Completion) -> MultishotStep {
        debug_assert!(false, "{} is no multishot operation, but got {completion:?} of many", Self::NAME);
        MultishotStep::default()
    }
}

/// The effect of one completion of a multishot operation.
#[derive(Debug, Default)]
pub(crate) struct MultishotStep {
    /// The waiter to wake, beside the operation's own future.
    pub(crate) wake: Option<Waiter>,
    /// Whether the operation must be stopped.
    pub(crate) stop: bool,
}

/// How the completions of an operation come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One.
    Single,
    /// Any number with `F_MORE`, then the last one without. The operation belongs to an endpoint and has no future; its
    /// slot is reclaimed at the last completion.
    Multishot,
    /// The result with `F_MORE`, then a notification that the buffer is free; or one result without.
    ZeroCopy,
}

/// The condition under which an operation's system call can be made without waiting.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Readiness<'a> {
    /// None: the call never waits.
    Immediate,
    /// The descriptor is ready in this direction.
    When(&'a Descriptor, Direction),
    /// There is no readiness for the call: the blocking pool makes it.
    OnPool,
}

/// Returns true if this answer of a non-blocking call means "not ready yet".
///
/// `connect` is not an exception: after EINPROGRESS it is called again once the socket is writable, and
/// answers then with the outcome (EALREADY if it was too early).
fn would_block(result: i32) -> bool {
    matches!(-result, libc::EAGAIN | libc::EINPROGRESS | libc::EALREADY)
}
