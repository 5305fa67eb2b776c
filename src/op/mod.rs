//! Operations: requests of a program to the kernel, each as a value with two forms.
//!
//! [`Op::entry`] is the submission queue entry that the proactor pushes. [`Op::call`] is the system call that the selector
//! makes when the [`Op::readiness`] of the descriptor allows it, or that the blocking pool makes if the kernel has no
//! readiness for it (files). Both forms of an operation stand next to each other, in the file of its family in `catalogue/`:
//!
//! | file | operations |
//! |---|---|
//! | `net/recv.rs`, `net/send.rs` | recv and send; read and write of pipes |
//! | `net/socket.rs`, `net/accept.rs` | socket, connect, shutdown; accept |
//! | `net/datagram.rs`, `net/vectored.rs` | recvmsg and sendmsg: datagrams with addresses, vectored socket I/O |
//! | `net/recv_chunk.rs` | receives into the runtime's memory |
//! | `net/multishot.rs` | multishot receive, read, recvmsg and poll, which belong to endpoints |
//! | `poll.rs` | waits for the readiness of a descriptor |
//! | `fs/read_write.rs`, `fs/vectored.rs` | pread, pwrite and their vectored forms |
//! | `fs/open.rs`, `fs/metadata.rs` | openat; fsync, statx, ftruncate |
//! | `close.rs` | close |
//! | `direct.rs` | operations that only direct descriptors need: install, setsockopt |
//! | `nop.rs` | the empty round trip |
//!
//! `object/` has the endpoints of network operations, and `fd/` the descriptors:
//!
//! | file | holds |
//! |---|---|
//! | `object/endpoint.rs`, `object/endpoint_ref.rs` | a socket or pipe with the state that its operations share, and references to it |
//! | `object/received.rs` | the receive queue of an endpoint |
//! | `object/io_lock.rs`, `object/io_turn.rs` | the order of operations: one receive and one send of an endpoint at a time |
//! | `object/endpoint_kind.rs`, `object/calls.rs` | the kind of a descriptor, and the calls that receive and send without waiting |
//! | `object/source.rs` | the kinds of multishot operations, and the memory for what they receive |
//! | `object/accepted.rs`, `object/datagram.rs` | an accepted connection, a received datagram |
//! | `fd/descriptor.rs`, `fd/host.rs` | an open descriptor, its runtime, and the slots of the ring's file table |
//! | `fd/open_file.rs` | a file's descriptor with the state that its operations share |
//!
//! Under both lie `completion.rs` (the kernel's answer), `abi.rs` (its constants and structures), `window.rs` (the part of a
//! buffer that one step moves) and `transfer.rs` (operations that move a buffer in steps).
//!
//! An operation does not know the driver. Once inserted into its slot it stays there, at one address, until its last
//! completion. Only then is it moved out, for [`Op::complete`] or [`Op::abandoned`].

pub(crate) mod abi;
pub(crate) mod catalogue;
pub(crate) mod completion;
pub(crate) mod fd;
pub(crate) mod object;
pub(crate) mod transfer;
pub(crate) mod window;

use crate::op::completion::{Completion, Direction};
use std::task::{Context, Poll};

pub(crate) use io_uring::squeue::Entry;

use super::sys::call::Call;
use super::task::cell::layout::Waiter;
use super::task::threads::pool::Lane;
use crate::op::object::endpoint_ref::EndpointRef;
use fd::descriptor::Descriptor;
use object::io_turn::IoTurn;
use object::source::MultishotKind;

/// One operation: see the documentation of this module.
pub(crate) trait Op: Sized + 'static {
    /// The output of the future that submitted the operation.
    type Output;

    /// The operation's name in reports: the name of the system call.
    const NAME: &'static str;

    /// The number of its completions.
    const KIND: Kind = Kind::Single;

    /// Whether the operation waits until its descriptor is ready. The ring ends such an operation with EAGAIN only if it cannot
    /// wait for the descriptor. Then the operation starts again with system calls: see `driver/selector/edges.rs`.
    const WAITS: bool = false;

    /// The opcode of [`entry`](Self::entry). The driver checks beforehand that the kernel knows it.
    const OPCODE: u8;

    /// Polls whether the operation may start. Returns `Pending` while it must wait (the waker is kept), and `Some(result)` if
    /// the result is known without the kernel.
    fn prepare(&mut self, cx: &mut Context<'_>) -> Poll<Option<i32>> {
        let _ = cx;
        Poll::Ready(None)
    }

    /// Returns the multishot operation that can provide the result, and its endpoint. The driver starts that operation
    /// instead of this one if the backend can.
    fn multishot(&self) -> Option<(&EndpointRef, MultishotKind)> {
        None
    }

    /// Returns the address of the only runtime that can carry out the operation. `None` if any runtime can. An operation that
    /// names a slot of the ring's file table is bound to the ring's runtime.
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

    /// Whether the shutdown may leave a call on the pool running after its future was dropped. The pool then starts another
    /// thread as a replacement. For calls that may wait without limit and transfer nothing.
    const MAY_BE_LEFT: bool = false;

    /// Returns true if the selector must wait for an event before the first call, because a call has failed with EAGAIN just
    /// before.
    fn waits_first(&self) -> bool {
        false
    }

    /// Handles EOPNOTSUPP of the call. Returns true if [`call`](Self::call) returns another call from now on.
    fn otherwise(&mut self) -> bool {
        false
    }

    /// Returns true if this answer of the call means that it must be made again when the descriptor is ready.
    fn not_yet(&self, result: i32) -> bool {
        would_block(result)
    }

    /// Returns true if this answer of the call means that nothing is left to move for now. Then the selector makes no further
    /// call before the descriptor is ready again.
    fn drained(&self, result: i32) -> bool {
        let _ = result;
        false
    }

    /// Turns the result into the output. Runs once, after the last completion.
    fn complete(self, completion: Completion) -> Self::Output;

    /// Handles the result of an operation whose future was dropped, and keeps data that the kernel has delivered. The result
    /// is `ECANCELED` if the operation never started.
    fn abandoned(self, completion: Completion) {
        drop(self.complete(completion));
    }

    /// Releases everything but the buffer, which the kernel still uses ([`Kind::ZeroCopy`]). The result has come, and the
    /// future was dropped. `abandoned` follows at the notification.
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

/// The number of completions of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Exactly one.
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
